"""`POST /claims`: a worker in any language takes due jobs, and waits for them.

The kinds here have no processor in this process: only who asks over HTTP runs them. Time is
virtual, and requests go through the whole application. What a worker says of its claims is in
`test_claims_said`, and a client that hangs up in `test_claims_gone`.
"""

import asyncio
from typing import Any

import pytest

from eventstore import clock
from eventstore.errors import NotWritten, StoreError, StoreFailed
from eventstore.event import Append
from eventstore.memory import MemoryStore
from eventstore.timestamp import later
from tests.service.web.claims import NOW, claim, claimed, post, say, serving, types
from tests.support.service import ACTOR, LEASE_S, LOG_ID
from tests.support.world import Hiccups, about


async def test_a_claim_is_all_that_a_worker_needs_to_know() -> None:
    async with serving() as service:
        job_id = await post(service, payload={"n": 7}, timeout=60)
        answer = await claim(service)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        page = answer.json()
        assert page["waited_s"] == 0
        [found] = page["claims"]
        job = found.pop("job")
        assert (job["id"], job["status"], job["payload"]) == (job_id, "processing", {"n": 7})
        assert job["attempt_log"][0]["worker"] == "node-1"
        assert found == {
            "attempt": 1,
            "token": await service.log.head(),
            "lease_s": LEASE_S,
            "lease_until": later(NOW, LEASE_S),
            "timeout_s": 60,
            "deadline": later(NOW, 60),
            "facts": {},
            "accepted": [],
            "refused": [],
        }


async def test_a_claim_is_in_the_log_with_its_worker_and_who_asked() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        [_, started] = await service.log.read_stream(job_id)
        assert (started.type, started.pos, started.meta["actor"]) == (
            "AttemptStarted",
            token,
            ACTOR,
        )
        assert (started.data["worker"], started.data["epoch"]) == ("node-1", None)


async def test_what_was_claimed_is_not_claimed_again() -> None:
    async with serving() as service:
        await claimed(service)
        answer = await claim(service)
        assert (answer.status_code, answer.content) == (204, b"")


async def test_the_best_jobs_of_the_kinds_asked_for_come_first_and_no_more_than_asked_for() -> None:
    async with serving() as service:
        low = await post(service)
        high = await post(service, priority=5)
        other = await post(service, "other", priority=9)
        await post(service)
        found = (await claim(service, max=2)).json()["claims"]
        assert [each["job"]["id"] for each in found] == [high, low]
        assert len((await claim(service, "other", "work", "other", max=100)).json()["claims"]) == 2
        assert (await service.jobs.get(other)).status == "processing"


async def test_a_kind_that_is_not_there_is_named_with_those_that_are() -> None:
    async with serving() as service:
        await post(service)
        answer = await claim(service, "unheard-of")
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error["pointer"] == "#/kinds/0"
        assert "but email, " in error["detail"]


async def test_who_waits_gets_a_job_the_moment_it_comes_and_hears_how_long_he_waited() -> None:
    async with serving() as service:
        waiting = asyncio.create_task(claim(service, wait=30))
        await asyncio.sleep(7.5)
        job_id = await post(service)
        page = (await waiting).json()
        assert page["claims"][0]["job"]["id"] == job_id
        assert page["waited_s"] == 7.5


async def test_who_waits_in_vain_gets_204_when_his_time_is_over() -> None:
    async with serving() as service:
        before = clock.monotonic()
        assert (await claim(service, wait=12.5)).status_code == 204
        assert clock.monotonic() - before == pytest.approx(12.5)


async def test_many_who_wait_get_different_jobs() -> None:
    async with serving() as service:
        waiting = [asyncio.create_task(claim(service, wait=30, max=2)) for _ in range(5)]
        await asyncio.sleep(1)
        posted = {await post(service) for _ in range(5)}
        answers = [(await each) for each in waiting]
        found = [each["job"]["id"] for a in answers if a.content for each in a.json()["claims"]]
        assert sorted(found) == sorted(posted)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"worker": "w"}, "#/kinds"),
        ({"kinds": ["work"]}, "#/worker"),
        ({"kinds": [], "worker": "w"}, "#/kinds"),
        ({"kinds": ["work"] * 101, "worker": "w"}, "#/kinds"),
        ({"kinds": ["Work"], "worker": "w"}, "#/kinds/0"),
        ({"kinds": "work", "worker": "w"}, "#/kinds"),
        ({"kinds": ["work"], "worker": ""}, "#/worker"),
        ({"kinds": ["work"], "worker": "w" * 65}, "#/worker"),
        ({"kinds": ["work"], "worker": "a\nb"}, "#/worker"),
        ({"kinds": ["work"], "worker": "w", "max": 0}, "#/max"),
        ({"kinds": ["work"], "worker": "w", "max": 101}, "#/max"),
        ({"kinds": ["work"], "worker": "w", "max": 1.5}, "#/max"),
        ({"kinds": ["work"], "worker": "w", "wait": -1}, "#/wait"),
        ({"kinds": ["work"], "worker": "w", "wait": 30.1}, "#/wait"),
        ({"kinds": ["work"], "worker": "w", "lease": 5}, "#/lease"),
    ],
)
async def test_422_for_what_is_no_claim_and_nothing_is_claimed(body: Any, pointer: str) -> None:
    async with serving() as service:
        job_id = await post(service)
        answer = await service.http.post("/claims", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert await types(service, job_id) == ["JobCreated"]


@pytest.mark.parametrize("verb", ["", "/x/renew", "/x/complete", "/x/fail"])
async def test_a_query_is_refused(verb: str) -> None:
    async with serving() as service:
        answer = await service.http.post(f"/claims{verb}?wait=5", json={})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "?wait")


@pytest.mark.parametrize("verb", ["", "/x/renew", "/x/complete", "/x/fail"])
async def test_a_body_must_be_there_and_be_json(verb: str) -> None:
    async with serving() as service:
        path = f"/claims{verb}"
        json = {"Content-Type": "application/json"}
        assert (await service.http.post(path, headers=json)).status_code == 400
        assert (await service.http.post(path, content=b"{", headers=json)).status_code == 400
        assert (await service.http.post(path, content=b"{}")).status_code == 415
        assert (await service.http.get(path)).status_code == 405


# the rules of kinds and of expiry hold for who asks over HTTP, too


async def test_a_paused_kind_is_claimed_by_nobody_until_it_is_resumed() -> None:
    async with serving() as service:
        job_id = await post(service)
        await service.http.post("/kinds/work/pause")
        waiting = asyncio.create_task(claim(service, wait=30))
        await asyncio.sleep(5)
        assert await types(service, job_id) == ["JobCreated"]
        await service.http.post("/kinds/work/resume")
        assert (await waiting).json()["waited_s"] == 5


async def test_no_more_are_claimed_than_may_run_at_a_time() -> None:
    async with serving() as service:
        for _ in range(5):
            await post(service)
        await service.http.put("/kinds/work/limits", json={"concurrency": 2, "rate": None})
        first, second = (await claim(service, max=5)).json()["claims"]
        assert (await claim(service, max=5)).status_code == 204
        await say(service, first["job"]["id"], "complete", token=first["token"])
        assert len((await claim(service, max=5)).json()["claims"]) == 1
        assert second["attempt"] == 1


async def test_no_more_are_claimed_than_may_start_in_a_time() -> None:
    async with serving() as service:
        for _ in range(3):
            await post(service)
        limits = {"concurrency": None, "rate": {"count": 1, "per_s": 10}}
        await service.http.put("/kinds/work/limits", json=limits)
        waits = [(await claim(service, wait=30)).json()["waited_s"] for _ in range(3)]
        assert waits == [0, 10, 10]


async def test_an_expired_job_is_claimed_by_nobody() -> None:
    async with serving() as service:
        await post(service, expires_at=later(NOW, 5))
        await asyncio.sleep(5)
        assert (await claim(service)).status_code == 204


async def test_while_nothing_can_be_recorded_nothing_is_claimed() -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    async with serving(store=store) as service:
        job_id = await post(service)
        store.refuse = about("AttemptStarted", NotWritten("no room"))
        assert (await claim(service)).status_code == 204
        store.refuse = lambda _: None
        assert (await claim(service, wait=30)).json()["claims"][0]["job"]["id"] == job_id
        assert service.board._busy["work"] == 1


async def test_a_job_that_somebody_else_claims_in_the_same_moment_is_left_out() -> None:
    async with serving() as service:
        theirs, ours = await post(service), await post(service)
        job = service.board.get(theirs)
        assert job is not None
        both = asyncio.gather(service.start(theirs), claim(service, max=2))
        _, answer = await both
        found = [each["job"]["id"] for each in answer.json()["claims"]]
        assert found in ([ours], [theirs, ours])
        assert (await types(service, theirs)).count("AttemptStarted") == 1
        assert (await claim(service)).status_code == 204


async def test_what_cannot_be_claimed_is_not_given_out_again_at_once() -> None:
    """A worker asks again as soon as it is answered: it would do nothing else."""
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    asked = []

    def refuse(append: Append) -> StoreError | None:
        asked.append(append)
        return StoreFailed("the disk did") if append.events[0].type == "AttemptStarted" else None

    async with serving(store=store) as service:
        job_id = await post(service)
        store.refuse = refuse
        for _ in range(10):
            assert (await claim(service)).status_code == 204
        assert len(asked) == 1
        store.refuse = lambda _: None
        [found] = (await claim(service, wait=5)).json()["claims"]
        assert found["job"]["id"] == job_id
