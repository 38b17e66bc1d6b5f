"""Cancellation of what runs: the attempt is asked to stop, and whatever is recorded first holds.

A coroutine is stopped by cancelling it; one that listens ends at once, one that answers with a
result has completed, and a deaf one is given up after a grace. Plain functions are in
`test_threads`, what is recorded for each ending in `test_sequels`, remote workers in
`web/test_claims`.
"""

import asyncio
from random import Random

import pytest

from eventstore.errors import NotWritten, OutcomeUnknown
from eventstore.log import EventLog
from projections.job import Status
from service.commands import NotAllowedError
from service.processors import Attempt, Permanent
from tests.support.build import cancel_requested
from tests.support.wait import until
from tests.support.world import CLIENT, elapsed, script, seconds, takes, world


async def running(w, **options) -> str:
    """A job whose attempt runs, since a second ago."""
    job_id = await w.post(**options)
    await asyncio.sleep(1)
    assert (await w.get(job_id)).status is Status.PROCESSING
    return job_id


def deaf(until_s: float, result: object = None):
    """A step that hears nothing until then."""

    async def step(_: Attempt):
        while (left := until_s - elapsed()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue
        return result

    return step


async def test_an_attempt_that_listens_ends_at_once_and_so_does_its_job():
    stopped = []

    async def listens(attempt: Attempt) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.append((attempt.cancelled, elapsed()))

    async with world(script(listens)) as w:
        job_id = await running(w)
        asked = await w.jobs.cancel(job_id, meta=CLIENT, reason="ordered twice")
        assert (asked.status, asked.cancel_requested_at) == (Status.PROCESSING, job_time(1))
        job = await w.ended(job_id)
        _, _, request, failed, cancelled = await w.events(job_id)
    assert (job.status, seconds(job.finished_at)) == (Status.CANCELLED, 1)
    assert stopped == [(True, 1)]
    assert request.private == {"reason": "ordered twice"}
    assert (failed.data["reason"], failed.data["retry_at"]) == ("cancelled", None)
    assert failed.nonce == cancelled.nonce, "in one append"
    assert job.attempt_log[0].outcome == "cancelled"


async def test_to_ask_twice_is_to_ask_once():
    async with world(script(deaf(5))) as w:
        job_id = await running(w)
        first = await w.jobs.cancel(job_id, meta=CLIENT)
        assert await w.jobs.cancel(job_id, meta=CLIENT, reason="again") == first
        await w.ended(job_id)
        assert len(await w.events(job_id, "CancelRequested")) == 1


async def test_an_error_is_only_its_way_to_stop():
    async def breaks(_: Attempt) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise Permanent("closed under me") from None

    async with world(script(breaks)) as w:
        job_id = await running(w)
        await w.jobs.cancel(job_id, meta=CLIENT)
        assert (await w.ended(job_id)).status is Status.CANCELLED
        [failed] = await w.events(job_id, "AttemptFailed")
    assert (failed.data["reason"], failed.data["error_class"]) == ("cancelled", "Cancelled")


async def test_what_was_settled_before_is_recorded():
    async def half(attempt: Attempt) -> None:
        attempt.accepted.add(0)
        await asyncio.sleep(3600)

    async with world(script(half)) as w:
        job_id = await running(w)
        await w.jobs.cancel(job_id, meta=CLIENT)
        job = await w.ended(job_id)
    assert (job.status, job.accepted) == (Status.CANCELLED, (0,))


async def test_an_attempt_that_answers_with_a_result_has_completed():
    async def too_late(_: Attempt) -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "it was sent already"

    async with world(script(too_late)) as w:
        job_id = await running(w)
        await w.jobs.cancel(job_id, meta=CLIENT)
        job = await w.ended(job_id)
    assert (job.status, job.result) == (Status.COMPLETED, "it was sent already")
    assert job.cancel_requested_at is None


async def test_a_job_that_has_completed_is_not_cancelled():
    async with world(script("done")) as w:
        job_id = await w.post()
        await w.ended(job_id)
        with pytest.raises(NotAllowedError):
            await w.jobs.cancel(job_id, meta=CLIENT)


@pytest.mark.parametrize(("ends_s", "status"), [(10.9, "completed"), (13.1, "cancelled")])
async def test_a_deaf_attempt_is_given_up_after_the_grace_and_may_complete_before(ends_s, status):
    async with world(script(deaf(ends_s, "done")), cancel_grace_s=10) as w:
        job_id = await running(w)
        await w.jobs.cancel(job_id, meta=CLIENT)
        job = await w.ended(job_id)
        await asyncio.sleep(20)
        assert not w.worker.running
        assert (await w.get(job_id)) == job, "what it says later is refused"
    assert job.status == status
    if status == "cancelled":
        assert 11 <= seconds(job.finished_at) <= 13
        assert job.last_error.message.endswith("did not stop within 10 s")


async def test_a_deaf_attempt_keeps_its_slot_until_it_returns():
    work, other = script(deaf(100)), script("done", kind="other")
    async with world(work, other, concurrency=1, cancel_grace_s=10) as w:
        job_id = await running(w)
        await w.jobs.cancel(job_id, meta=CLIENT)
        assert (await w.ended(job_id)).status is Status.CANCELLED
        assert elapsed() < 14
        job = await w.ended(await w.post(kind="other"))
    assert seconds(job.finished_at) == 100


async def test_a_cancelled_job_may_be_tried_again_while_its_deaf_attempt_still_runs():
    async with world(script(deaf(100, "first"), "second"), cancel_grace_s=10) as w:
        job_id = await running(w)
        await w.jobs.cancel(job_id, meta=CLIENT)
        await w.ended(job_id)
        await w.jobs.retry(job_id, meta=CLIENT)
        job = await w.ended(job_id)
        await asyncio.sleep(100)
        assert (await w.get(job_id)) == job
    assert (job.status, job.result, job.attempts) == (Status.COMPLETED, "second", 1)


async def test_an_attempt_asked_to_stop_before_it_began_never_begins():
    """Its claim is recorded and the log's answer on its way, when another process asks."""
    ran = []

    async def noted(_: Attempt) -> None:
        ran.append(elapsed())

    lost = [OutcomeUnknown("no answer")]
    async with world(script(noted)) as w:
        w.store.lose = lambda append: (
            lost.pop() if lost and append.events[0].type == "AttemptStarted" else None
        )
        job_id = await w.post()
        started = await until(w.log, lambda event: event.type == "AttemptStarted")
        another = EventLog(w.store._store, dice=Random(99))
        await another.append(job_id, started.head, cancel_requested())
        job = await w.ended(job_id)
    assert (job.status, ran) == (Status.CANCELLED, [])
    assert [each.outcome for each in job.attempt_log] == ["cancelled"]


async def test_a_completion_that_waits_for_the_log_is_not_given_up_for_a_cancellation():
    """However long: it has ended, and what it came to is no longer in doubt."""
    async with world(script("done"), cancel_grace_s=10) as w:
        w.store.refuse = lambda append: (
            NotWritten("no room")
            if append.events[0].type == "JobCompleted" and elapsed() < 100
            else None
        )
        job_id = await running(w)
        await w.jobs.cancel(job_id, meta=CLIENT)
        job = await w.ended(job_id)
    assert (job.status, job.result, seconds(job.finished_at)) == (Status.COMPLETED, "done", 100)


async def test_a_failure_that_waits_for_the_log_ends_in_the_cancellation_asked_for_meanwhile():
    async with world(script(ValueError("no luck"))) as w:
        w.store.refuse = lambda append: (
            NotWritten("no room")
            if append.events[0].type == "AttemptFailed" and elapsed() < 100
            else None
        )
        job_id = await running(w)
        await w.jobs.cancel(job_id, meta=CLIENT)
        job = await w.ended(job_id)
    assert (job.status, seconds(job.finished_at)) == (Status.CANCELLED, 100)
    assert job.last_error.class_ == "ValueError", "its own words are kept"


async def test_a_request_recorded_by_another_process_reaches_the_attempt():
    async with world(script("never here"), concurrency=1) as w:
        work = script(takes(3600), kind="theirs")
        async with w.another_worker(work):
            job_id = await w.post(kind="theirs")
            await asyncio.sleep(1)
            await w.jobs.cancel(job_id, meta=CLIENT)
            job = await w.ended(job_id, within_s=1)
    assert (job.status, job.attempt_log[0].outcome) == (Status.CANCELLED, "cancelled")


async def test_a_stop_meanwhile_ends_it_as_cancelled_and_not_as_given_back():
    async with world(script(takes(3600))) as w:
        job_id = await running(w)
        draining = asyncio.create_task(w.worker.drain(5))
        await asyncio.sleep(1)
        await w.jobs.cancel(job_id, meta=CLIENT)
        await draining
        assert (await w.get(job_id)).status is Status.CANCELLED
        assert await w.types(job_id) == [
            "JobCreated", "AttemptStarted", "CancelRequested", "AttemptFailed", "JobCancelled",
        ]  # fmt: skip


async def test_a_pending_job_that_is_about_to_be_claimed_is_cancelled_and_not_run():
    ran = []

    async def noted(_: Attempt) -> None:
        ran.append(elapsed())

    async with world(script(noted), concurrency=1) as w:
        w.store.refuse = lambda append: (
            NotWritten("no room")
            if append.events[0].type == "AttemptStarted" and elapsed() < 10
            else None
        )
        job_id = await w.post()
        await asyncio.sleep(1)
        await w.jobs.cancel(job_id, meta=CLIENT)
        await asyncio.sleep(60)
        assert await w.types(job_id) == ["JobCreated", "JobCancelled"]
    assert ran == []


async def test_many_are_cancelled_at_once():
    async with world(script(takes(3600)), concurrency=50) as w:
        jobs = [await w.post() for _ in range(50)]
        await asyncio.sleep(1)
        await asyncio.gather(*(w.jobs.cancel(job_id, meta=CLIENT) for job_id in jobs))
        ended = [await w.ended(job_id) for job_id in jobs]
    assert {(job.status, job.finished_at) for job in ended} == {(Status.CANCELLED, job_time(1))}


def job_time(after_s: int) -> str:
    return f"2026-11-23T12:00:{after_s:02}.000000Z"
