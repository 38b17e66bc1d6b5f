"""A worker that keeps its claims over HTTP: the same lives of jobs as with the server's own worker.

The server is whole but for its socket, and so is the worker: what one says to the other goes by
ASGI, on virtual time. A server that is away, or an answer that is lost, is a transport that says
so. The calls themselves are tested with the web, a worker in a process of its own end to end.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from eventstore.errors import NotWritten
from projections.job import Job
from service.processors import (
    AttemptError,
    Misconfigured,
    Permanent,
    Processor,
    Registry,
    RetryAfter,
    Unsure,
    remote_kind,
)
from service.remote import CannotWorkError, RemoteLedger, RemoteWorker
from service.rescue import Rescue
from tests.support.loop import elapsed
from tests.support.service import URL, RunningService, running_service
from tests.support.world import script, takes


class Line(httpx2.AsyncBaseTransport):
    """The way to the server. `fault` may lose a request, or the answer to it."""

    def __init__(self, app: Any) -> None:
        self._way = httpx2.ASGITransport(app=app)
        self.fault: Callable[[httpx2.Request], str | None] = lambda _: None
        self.asked: list[tuple[float, str]] = []
        self.delay_s = 0.0  # of answers

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append((elapsed(), request.url.path.rsplit("/", 1)[-1]))
        fault = self.fault(request)
        if fault == "away":
            raise httpx2.ConnectError("connection refused")
        answer = await self._way.handle_async_request(request)
        await asyncio.sleep(self.delay_s)
        if fault == "answer lost":
            await answer.aread()
            raise httpx2.ReadError("connection reset")
        return answer


@asynccontextmanager
async def working(
    *processors: Processor, concurrency: int = 10
) -> AsyncIterator[tuple[RunningService, Line, RemoteWorker]]:
    """A server that runs nothing itself, and a remote worker of these kinds."""
    kinds = [processor.kind for processor in processors]
    async with running_service(*map(remote_kind, kinds)) as service:
        line = Line(service.app)
        rescue = Rescue(service.jobs, service.board, epoch=1, ours=set, cancel_grace_s=10)
        async with httpx2.AsyncClient(transport=line, base_url=URL) as client:
            ledger = RemoteLedger(client, worker="far")
            worker = RemoteWorker(ledger, Registry(*processors), kinds, concurrency=concurrency)
            tasks = [asyncio.create_task(worker.run()), asyncio.create_task(rescue.run())]
            try:
                yield service, line, worker
            finally:
                worker.stop()
                tasks[1].cancel()
                await asyncio.wait(tasks)
                await worker.drain(0)


async def post(service: RunningService, payload: Any = None, kind: str = "work") -> str:
    answer = await service.http.post(f"/jobs/{kind}", json=payload or {})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def ended(service: RunningService, job_id: str) -> Job:
    job = await service.jobs.wait_until(job_id, lambda job: not job.is_open, timeout_s=86_400)
    assert job is not None
    assert not job.is_open, job
    return job


async def types(service: RunningService, job_id: str) -> list[str]:
    return [event.type for event in await service.log.read_stream(job_id)]


async def test_a_job_is_run_far_away_and_its_history_names_who_did_it() -> None:
    async with working(script(takes(2, {"pages": 3}))) as (service, _, _):
        job_id = await post(service)
        job = await ended(service, job_id)
        assert (job.status, job.result, job.attempts) == ("completed", {"pages": 3}, 1)
        [_, started, completed] = await service.log.read_stream(job_id)
        assert (started.data["worker"], started.data["epoch"]) == ("far", None)
        assert completed.data["duration_s"] == 2


async def test_a_failure_is_retried_with_its_words() -> None:
    async with working(script(ValueError("no luck"), "done")) as (service, _, _):
        job = await ended(service, await post(service))
        assert (job.status, job.attempts) == ("completed", 2)
        assert job.last_error is not None
        assert (job.last_error.class_, job.last_error.message) == ("ValueError", "no luck")
        assert "ValueError: no luck" in (job.last_error.traceback or "")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Permanent("never", facts={"code": 550}), "failed", "error"),
        (Unsure("who knows", then="fail"), "failed", "unknown"),
    ],
)
async def test_what_an_error_says_of_the_job_is_heard(
    error: AttemptError, status: str, reason: str
) -> None:
    async with working(script(error)) as (service, _, _):
        job = await ended(service, await post(service))
        assert (job.status, job.attempts) == (status, 1)
        assert job.last_error is not None
        assert (job.last_error.reason, job.last_error.facts) == (reason, error.facts)


async def test_the_delay_a_processor_asks_for_is_kept() -> None:
    async with working(script(RetryAfter(600), "done")) as (service, _, _):
        job = await ended(service, await post(service))
        assert job.status == "completed"
        assert elapsed() == pytest.approx(600, abs=1.1)


async def test_a_fault_of_its_settings_pauses_the_kind_and_burns_no_attempt() -> None:
    async with working(script(Misconfigured("login refused"), "done")) as (service, _, _):
        job_id = await post(service)
        await asyncio.sleep(3600)
        job = await service.jobs.get(job_id)
        assert job is not None
        assert (job.status, job.attempts) == ("pending", 0)
        pause = service.kinds.get("work").pause
        assert pause is not None
        assert (pause.cause, pause.reason) == ("config", "login refused")
        await service.kinds.resume("work", meta={}, reason=None)
        assert (await ended(service, job_id)).status == "completed"


async def test_a_long_attempt_renews_its_lease() -> None:
    async with working(script(takes(35, "done"))) as (service, _, _):
        job_id = await post(service)
        await ended(service, job_id)
        assert (await types(service, job_id))[2:-1] == ["LeaseRenewed"] * 3


async def test_a_cancellation_is_heard_at_the_next_renewal() -> None:
    async with working(script(takes(3600))) as (service, _, _):
        job_id = await post(service)
        await asyncio.sleep(1)
        answer = await service.http.post(f"/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (202, "processing")
        job = await ended(service, job_id)
        assert job.status == "cancelled"
        assert elapsed() == pytest.approx(10, abs=0.1)
        assert (await types(service, job_id))[-2:] == ["AttemptFailed", "JobCancelled"]


async def test_a_result_that_is_too_large_fails_the_job_for_good() -> None:
    async with working(script("x" * 70_000)) as (service, _, _):
        job = await ended(service, await post(service))
        assert (job.status, job.attempts) == ("failed", 1)
        assert job.last_error is not None
        assert job.last_error.class_ == "ResultTooLarge"


async def test_a_result_that_is_no_json_here_fails_the_job_for_good() -> None:
    async with working(script({"big": 2**60})) as (service, _, _):
        job = await ended(service, await post(service))
        assert (job.status, job.attempts) == ("failed", 1)
        assert job.last_error is not None
        assert job.last_error.class_ == "ResultNotJson"


class Fehlerä(Exception):  # noqa: PLC2401  a name as somebody may give it
    """A name that is not ASCII."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a\0b"),
        ValueError("x" * 150_000),
        ValueError("half \ud800 a pair"),
        Fehlerä("ü"),
        RetryAfter(400 * 86_400),
        RetryAfter(float("nan")),
    ],
    ids=["NUL", "long", "surrogate", "class", "a year and more", "no number"],
)
async def test_whatever_an_error_says_its_attempt_is_recorded(error: Exception) -> None:
    async with working(script(error, "done")) as (service, _, _):
        job_id = await post(service)
        await asyncio.sleep(1)
        failed = (await service.log.read_stream(job_id))[2]
        assert (failed.type, failed.data["reason"]) == ("AttemptFailed", "error")
        assert failed.data["error_class"] == type(error).__name__


async def test_a_result_that_is_no_text_fails_the_job_for_good() -> None:
    async with working(script({"half": "\ud800"})) as (service, _, _):
        job = await ended(service, await post(service))
        assert (job.status, job.attempts) == ("failed", 1)


async def test_a_claim_is_kept_while_its_outcome_is_offered() -> None:
    async with working(script(takes(9, "done"))) as (service, line, _):
        line.fault = lambda request: (
            "away" if request.url.path.endswith("complete") and elapsed() < 100 else None
        )
        job = await ended(service, await post(service))
        assert (job.status, job.attempts, job.crashes) == ("completed", 1, 0)
        assert elapsed() == pytest.approx(100, abs=1)


async def test_an_answer_that_is_not_joblogs_is_no_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with working(script("done")) as (service, line, _):

        async def portal(request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, text="<html>please log in</html>", request=request)

        monkeypatch.setattr(line, "handle_async_request", portal)
        await asyncio.sleep(60)
        monkeypatch.undo()
        assert (await ended(service, await post(service))).status == "completed"


@pytest.mark.parametrize("what", ["complete", "fail"])
@pytest.mark.parametrize("fault", ["away", "answer lost"])
async def test_an_outcome_is_offered_until_it_is_taken_and_recorded_once(
    what: str, fault: str
) -> None:
    step = "done" if what == "complete" else Permanent("never")
    async with working(script(step)) as (service, line, _):
        line.fault = lambda request: (
            fault if request.url.path.endswith(what) and elapsed() < 3 else None
        )
        job_id = await post(service)
        await ended(service, job_id)
        await asyncio.sleep(10)
        ends = ["JobCompleted"] if what == "complete" else ["AttemptFailed", "JobFailed"]
        assert await types(service, job_id) == ["JobCreated", "AttemptStarted", *ends]


async def test_a_worker_cut_off_stops_at_the_end_of_its_lease_and_the_job_runs_again() -> None:
    stopped_at: list[float] = []

    async def first(_: Any) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped_at.append(elapsed())

    async with working(script(first, "done")) as (service, line, _):
        line.fault = lambda _: "away" if 1 < elapsed() < 60 else None
        job_id = await post(service)
        job = await ended(service, job_id)
        assert (job.status, job.attempts, job.crashes) == ("completed", 1, 1)
        assert stopped_at == [30]
        [failed] = [e for e in await service.log.read_stream(job_id) if e.type == "AttemptFailed"]
        assert failed.data["reason"] == "lease_expired"


async def test_while_the_server_is_away_it_is_asked_more_and_more_seldom() -> None:
    async with working(script("done")) as (service, line, _):
        line.fault = lambda _: "away" if elapsed() < 100 else None
        await asyncio.sleep(0)
        line.asked.clear()
        await asyncio.sleep(130)
        job = await ended(service, await post(service))
        assert job.status == "completed"
    gaps = [b - a for (a, _), (b, _) in zip(line.asked, line.asked[1:], strict=False)]
    assert gaps[-3] <= 20.1
    assert len(line.asked) < 25


async def test_it_claims_no_more_than_it_has_slots_for() -> None:
    running = most = 0

    async def step(_: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    async with working(script(step), concurrency=3) as (service, _, _):
        ids = [await post(service) for _ in range(10)]
        for job_id in ids:
            assert (await ended(service, job_id)).status == "completed"
    assert most == 3


async def test_a_stop_takes_nothing_more() -> None:
    async with working(script("done")) as (service, _, worker):
        await asyncio.sleep(1)
        worker.stop()
        await asyncio.sleep(0.6)
        job_id = await post(service)
        await asyncio.sleep(60)
        assert await types(service, job_id) == ["JobCreated"]


async def test_what_is_on_its_way_at_a_stop_is_given_back() -> None:
    async with working(script(takes(3600))) as (service, line, worker):
        await asyncio.sleep(1)
        line.delay_s = 0.4
        job_id = await post(service)
        await asyncio.sleep(0.1)
        assert (await types(service, job_id))[-1] == "AttemptStarted"
        worker.stop()
        await asyncio.sleep(0.5)
        line.delay_s = 0
        await worker.drain(0)
        job = await service.jobs.get(job_id)
        assert job is not None
        assert (job.attempt_log[0].outcome, job.attempts) == ("released", 0)


async def test_a_drain_gives_back_what_still_runs() -> None:
    async with working(script(takes(3600))) as (service, _, worker):
        job_id = await post(service)
        await asyncio.sleep(1)
        await worker.drain(5)
        job = await service.jobs.get(job_id)
        assert job is not None
        assert (job.attempt_log[0].outcome, job.attempts) == ("released", 0)
        assert worker.running == 0


async def test_a_refusal_for_good_ends_the_worker_and_says_why() -> None:
    async with running_service() as service:
        line = Line(service.app)
        async with httpx2.AsyncClient(transport=line, base_url=URL) as client:
            ledger = RemoteLedger(client, worker="far")
            with pytest.raises(CannotWorkError, match=r"422: #/kinds"):
                await ledger.take(["Not A Kind"], 1)
            line.fault = lambda _: "away"
            with pytest.raises(NotWritten, match="connection refused"):
                await ledger.take(["email"], 1)
