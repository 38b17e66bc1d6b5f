"""A client that hangs up while it waits for a claim: it gets nothing, and nothing is lost for it.

Requests are made of bare ASGI here, because the client must go at an exact moment: before a job
comes, with it, or while it is being claimed. What a claim answers is in `test_claims`.
"""

import asyncio
from typing import Any

import msgspec
import pytest

from eventstore.errors import NotWritten
from eventstore.memory import MemoryStore
from service.processors import remote_kind
from tests.support.service import LOG_ID, RunningService, running_service
from tests.support.world import Hiccups, about

BODY = {"kinds": ["work"], "worker": "node-1", "wait": 30, "max": 10}


class Client:
    """One request to `/claims`; `hang_up` when it has had enough."""

    def __init__(self, service: RunningService, **more: Any) -> None:
        self._body = [msgspec.json.encode(BODY | more)]
        self._gone = asyncio.Event()
        self.sent: list[Any] = []
        scope = {
            "type": "http", "method": "POST", "path": "/claims", "raw_path": b"/claims",
            "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
            "server": ("localhost", 8080), "client": ("127.0.0.1", 5),
            "headers": [(b"host", b"localhost:8080"), (b"content-type", b"application/json")],
            "state": {},
        }  # fmt: skip
        self.task = asyncio.create_task(service.app(scope, self._receive, self._send))

    def hang_up(self) -> None:
        self._gone.set()

    async def _receive(self) -> Any:
        if self._body:
            return {"type": "http.request", "body": self._body.pop(), "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)


async def post(service: RunningService) -> str:
    answer = await service.http.post("/jobs/work", json={})
    return str(answer.json()["id"])


async def types(service: RunningService, job_id: str) -> list[str]:
    return [event.type for event in await service.log.read_stream(job_id)]


async def can_be_claimed(service: RunningService) -> list[str]:
    """Which jobs another client gets."""
    answer = await service.http.post("/claims", json=BODY | {"wait": 0})
    return [] if not answer.content else [each["job"]["id"] for each in answer.json()["claims"]]


async def test_who_hangs_up_while_he_waits_is_waited_for_no_longer_and_gets_nothing() -> None:
    async with running_service(remote_kind("work")) as service:
        client = Client(service)
        await asyncio.sleep(5)
        assert not client.task.done()
        client.hang_up()
        await asyncio.sleep(0.001)
        assert client.task.done()
        await client.task
        job_id = await post(service)
        assert await types(service, job_id) == ["JobCreated"]
        assert await can_be_claimed(service) == [job_id]


@pytest.mark.parametrize("first", ["hang up", "job"])
async def test_a_job_that_comes_as_he_hangs_up_is_there_for_others_and_counts_nothing(
    first: str,
) -> None:
    async with running_service(remote_kind("work")) as service:
        client = Client(service)
        await asyncio.sleep(5)
        if first == "hang up":
            client.hang_up()
            job_id = await post(service)
        else:
            posting = asyncio.create_task(post(service))
            service.projector.listen(client.hang_up)
            job_id = await posting
        await client.task
        await service.jobs.get(job_id)
        assert await can_be_claimed(service) == [job_id]
        job = await service.jobs.get(job_id)
        assert job is not None
        assert (job.attempts, job.crashes) == (1, 0)
        assert service.board._busy["work"] == 1


async def test_who_hangs_up_in_the_turn_in_which_a_job_comes_leaves_no_failure_behind() -> None:
    """The loop of the tests raises what nobody else would look at."""
    async with running_service(remote_kind("work")) as service:
        client = Client(service)
        await asyncio.sleep(5)
        service.projector._listeners.insert(0, client.hang_up)  # told just before the claims are
        job_id = await post(service)
        await client.task
        assert await can_be_claimed(service) == [job_id]


async def test_what_was_claimed_for_one_who_is_gone_is_given_back_uncounted() -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    async with running_service(remote_kind("work"), store=store) as service:
        jobs = [await post(service) for _ in range(3)]
        store.latency_s = 2
        client = Client(service)
        await asyncio.sleep(1)
        client.hang_up()
        await client.task
        store.latency_s = 0
        for job_id in jobs:
            assert await types(service, job_id) == ["JobCreated", "AttemptStarted", "AttemptFailed"]
            job = await service.jobs.get(job_id)
            assert job is not None
            assert (job.attempts, job.crashes) == (0, 0)
            assert job.last_error is not None
            assert job.last_error.reason == "released"
        assert sorted(await can_be_claimed(service)) == sorted(jobs)


async def test_of_several_all_are_given_back_that_can_be() -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    async with running_service(remote_kind("work"), store=store) as service:
        jobs = [await post(service) for _ in range(3)]
        store.latency_s = 2
        store.refuse = lambda append: (
            NotWritten("no room")
            if append.events[0].type == "AttemptFailed" and append.stream == jobs[0]
            else None
        )
        client = Client(service)
        await asyncio.sleep(1)
        client.hang_up()
        await client.task
        assert [len(await types(service, job_id)) for job_id in jobs] == [2, 3, 3]


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("after_s", [0.5, 1.5])
async def test_a_request_that_is_stopped_keeps_no_job_to_itself(
    after_s: float, *, refused: bool
) -> None:
    """While its claims are recorded, or refused, or after it."""
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    async with running_service(remote_kind("work"), store=store) as service:
        client = Client(service)
        await asyncio.sleep(0.1)
        store.latency_s = 1
        if refused:
            store.refuse = about("AttemptStarted", NotWritten("no room"))
        job_id = await post(service)
        await asyncio.sleep(after_s)
        client.task.cancel()
        await asyncio.wait([client.task])
        await asyncio.sleep(5)
        store.refuse, store.latency_s = (lambda _: None), 0
        job = await service.jobs.get(job_id)
        assert job is not None
        busy = service.board._busy["work"]
        assert busy == (job.status == "processing"), "nothing is hidden that nobody has"
        await asyncio.sleep(60)  # admission opens again
        assert (await can_be_claimed(service) == [job_id]) is (busy == 0)


async def test_who_stays_to_the_end_is_answered() -> None:
    async with running_service(remote_kind("work")) as service:
        client = Client(service)
        await asyncio.sleep(5)
        await post(service)
        await client.task
        assert client.sent[0]["status"] == 200
