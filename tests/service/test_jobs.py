"""`Jobs`: what it does about concurrency, about keys, and about who reads what he wrote.

Which commands a state permits is tested with the commands; here it is that every decision is taken
on what the log really holds, however old the state was that the caller saw, and is recorded once.
"""

import asyncio
from uuid import UUID

import pytest

from eventstore import clock
from eventstore.errors import Conflict, TooLarge
from eventstore.event import NEW, NewEvent
from eventstore.memory import MemoryStore
from projections.job import Status, fold
from projections.table import Filter
from service import commands
from service.commands import Ending, NotAllowedError
from service.jobs import CONFLICTS_MAX, Jobs
from service.refusals import JobNotFoundError, PreconditionFailedError
from tests.service.desk import CLIENT, OPTIONS, opened
from tests.support.build import (
    LOG_ID,
    US,
    at,
    attempt_started,
    job_cancelled,
    job_completed,
    job_created,
    job_retried,
)

ERROR = Ending("error", "ValueError", "no luck")


async def create(desk, payload=None, **arguments):
    return (await desk.jobs.create("email", payload, OPTIONS, meta=CLIENT, **arguments)).job


def start(now=None):
    return lambda job: commands.start(
        job, now=now or clock.now(), worker="w", epoch=1, lease_s=30.0, meta={}
    )


def complete(token):
    return lambda job: commands.complete(
        job, token=token, now=clock.now(), duration_s=1.0, result=None, meta={}
    )


async def test_a_created_job_is_in_the_log_and_answered_as_it_is_there():
    async with opened() as desk:
        await asyncio.sleep(7)
        created = await desk.jobs.create("email", {"n": 1}, OPTIONS, meta=CLIENT)
        [event] = await desk.log.read_stream(created.job.id)
    assert created.job == fold([event])
    assert created.replayed is False
    assert (event.type, event.time, event.meta["actor"]) == ("JobCreated", at(7), "client")
    assert UUID(created.job.id).version == 7


async def test_a_creation_may_be_dated():
    async with opened() as desk:
        job = await create(desk, now=at(60))
    assert job.created_at == at(60)


async def test_what_does_not_fit_a_line_is_refused_and_not_recorded():
    async with opened() as desk:
        with pytest.raises(TooLarge):
            await create(desk, "x" * 65_535)
        assert await desk.log.head() == 1


async def test_many_jobs_created_at_once_are_as_many_jobs():
    async with opened() as desk:
        jobs = await asyncio.gather(*(create(desk, n) for n in range(50)))
        assert len({job.id for job in jobs}) == 50
        assert await desk.log.head() == 51


async def test_a_job_can_be_read_at_once_after_every_write():
    async with opened() as desk:
        job = await create(desk)
        assert await desk.jobs.get(job.id) == job
        job = await desk.jobs.execute(job.id, start())
        assert await desk.jobs.get(job.id) == job
        job = await desk.jobs.execute(job.id, complete(job.lease.token))
        assert await desk.jobs.get(job.id) == job
        assert await desk.jobs.page(Filter(status=Status.COMPLETED), limit=9) == [job]


async def test_reading_waits_for_what_was_written_before():
    async with opened(stale_at=1) as desk:
        job = None
        for _ in range(2):
            job = await (desk.jobs.execute(job.id, start()) if job else create(desk))
            seen = desk.projector.position
            reading = asyncio.create_task(desk.jobs.get(job.id))
            listing = asyncio.create_task(desk.jobs.page(Filter(), limit=9))
            await asyncio.sleep(10)
            assert not reading.done()
            assert not listing.done()
            desk.projector.apply(await desk.log.read(seen))
            assert await reading == job
            assert await listing == [job]


async def test_pages_go_on_below_a_position():
    async with opened() as desk:
        jobs = [await create(desk, n) for n in range(3)]
        assert await desk.jobs.page(Filter(), limit=2) == [jobs[2], jobs[1]]
        assert await desk.jobs.page(Filter(), before=jobs[1].created_pos, limit=2) == [jobs[0]]


@pytest.mark.parametrize("name", ["never-heard-of", "log", "kind-email"])
async def test_what_is_no_job_is_not_found(name):
    async with opened() as desk:
        await desk.write("kind-email", NewEvent("KindPaused", clock.now(), {}))
        assert await desk.jobs.get(name) is None
        for asked in (
            desk.jobs.cancel(name, meta={}),
            desk.jobs.retry(name, meta={}),
            desk.jobs.execute(name, start()),
            desk.jobs.history(name),
        ):
            with pytest.raises(JobNotFoundError) as missing:
                await asked
            assert missing.value.job_id == name
        assert await desk.jobs.wait_until(name, lambda _: True, timeout_s=9) is None


async def test_the_history_is_all_events_oldest_first():
    async with opened() as desk:
        job = await create(desk)
        await desk.jobs.cancel(job.id, meta=CLIENT, reason="twice")
        history = await desk.jobs.history(job.id)
    assert [(event.rev, event.type) for event in history] == [
        (1, "JobCreated"),
        (2, "JobCancelled"),
    ]
    assert history[1].private == {"reason": "twice"}


# deciding again


async def test_a_conflict_is_decided_again_on_the_fresh_job():
    async with opened(stale_at=0) as desk:
        await desk.write("a", job_created())
        desk.projector.apply(await desk.log.read())
        await desk.write("a", attempt_started(1))
        seen = []

        def decide(job):
            seen.append((job.rev, job.status))
            return [job_cancelled(2)] if job.status == "pending" else [job_completed(2)]

        job = await desk.jobs.execute("a", decide)
        assert await desk.types("a") == ["JobCreated", "AttemptStarted", "JobCompleted"]
    assert seen == [(1, "pending"), (2, "processing")]
    assert job.status == "completed"


async def test_of_a_claim_and_a_cancellation_at_once_the_claim_is_refused_or_asked_to_stop():
    async with opened() as desk:
        for _ in range(20):
            job = await create(desk)
            both = await asyncio.gather(
                desk.jobs.execute(job.id, start()),
                desk.jobs.cancel(job.id, meta={}),
                return_exceptions=True,
            )
            claimed, cancelled = both
            assert not isinstance(cancelled, Exception)
            if isinstance(claimed, NotAllowedError):
                assert await desk.types(job.id) == ["JobCreated", "JobCancelled"]
            else:
                types = await desk.types(job.id)
                assert types == ["JobCreated", "AttemptStarted", "CancelRequested"]


async def test_of_eight_claims_at_once_one_wins():
    async with opened() as desk:
        job = await create(desk)
        claims = (desk.jobs.execute(job.id, start(), known=job) for _ in range(8))
        found = await asyncio.gather(*claims, return_exceptions=True)
        assert sorted(type(each).__name__ for each in found) == ["Job", *["NotAllowedError"] * 7]
        assert await desk.types(job.id) == ["JobCreated", "AttemptStarted"]


async def test_cancellations_at_once_are_one_cancellation_and_all_succeed():
    async with opened() as desk:
        job = await create(desk)
        found = await asyncio.gather(*(desk.jobs.cancel(job.id, meta={}) for _ in range(5)))
        assert {each.status for each in found} == {Status.CANCELLED}
        assert await desk.types(job.id) == ["JobCreated", "JobCancelled"]


async def test_conflicts_without_end_are_a_fault_of_ours():
    async with opened() as desk:
        job = await create(desk)
        tries = []

        async def refuse(stream, expected, *events, **_):
            tries.append(expected)
            raise Conflict(stream, expected, NEW)

        desk.log.append = refuse
        with pytest.raises(AssertionError, match="conflicts in a row"):
            await desk.jobs.cancel(job.id, meta={})
        assert len(tries) == CONFLICTS_MAX


async def test_what_a_decision_raises_is_passed_on():
    async with opened() as desk:
        job = await create(desk)

        def decide(_):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await desk.jobs.execute(job.id, decide)
        assert await desk.types(job.id) == ["JobCreated"]


# only at a revision


@pytest.mark.parametrize("ask", [Jobs.cancel, Jobs.retry])
@pytest.mark.parametrize(("revs", "done"), [([2], True), ([1, 2], True), ([1], False), ([], False)])
async def test_a_command_may_be_for_certain_revisions_only(ask, revs, done):
    async with opened(stale_at=0) as desk:
        await desk.write("a", job_created(run_at=at(99)))
        desk.projector.apply(await desk.log.read())
        await desk.write("a", job_retried(0, run_at=at(98)))
        if done:
            assert (await ask(desk.jobs, "a", meta={}, if_rev=revs)).rev == 3
        else:
            with pytest.raises(PreconditionFailedError, match="revision 2") as failed:
                await ask(desk.jobs, "a", meta={}, if_rev=revs)
            assert failed.value.job.rev == 2
            assert len(await desk.types("a")) == 2


# failures


@pytest.mark.parametrize(("asked_s", "retry_at"), [(90.0, at(90)), (0.0, at(0))])
async def test_a_failure_waits_as_long_as_was_asked_for(asked_s, retry_at):
    async with opened() as desk:
        job = await desk.jobs.execute((await create(desk)).id, start())
        failed = await desk.jobs.fail(
            job, token=job.lease.token, ending=ERROR, duration_s=1, meta={}, retry_after_s=asked_s
        )
    assert failed.next_attempt_at == retry_at


async def test_a_failure_waits_as_long_as_the_dice_say():
    async def waits(seed):
        async with opened(seed=seed) as desk:
            job = await desk.jobs.execute((await create(desk)).id, start())
            failed = await desk.jobs.fail(
                job, token=job.lease.token, ending=ERROR, duration_s=1, meta={}
            )
        return failed.next_attempt_at

    drawn = [await waits(seed) for seed in range(5)]
    assert drawn == [await waits(seed) for seed in range(5)]
    assert len(set(drawn)) == 5
    assert all(at(0) <= each <= at(5) for each in drawn)


# waiting


async def test_waiting_for_what_is_so_already_ends_at_once():
    async with opened() as desk:
        job = await create(desk)
        assert await desk.jobs.wait_until(job.id, lambda _: True, timeout_s=0) == job
        assert clock.now() == at(0)


async def test_waiting_ends_when_the_job_is_as_wanted():
    async with opened() as desk:
        job = await create(desk)
        waiting = asyncio.create_task(
            desk.jobs.wait_until(job.id, lambda job: not job.is_open, timeout_s=60)
        )
        await asyncio.sleep(10)
        await desk.write(job.id, attempt_started(10))
        await asyncio.sleep(10)
        assert not waiting.done()
        await desk.write(job.id, job_completed(20))
        done = await waiting
    assert (done.status, done.rev, clock.now()) == (Status.COMPLETED, 3, at(20))


@pytest.mark.parametrize("timeout_s", [0, US, 30])
async def test_waiting_in_vain_ends_on_time_with_the_job_as_it_is(timeout_s):
    async with opened() as desk:
        job = await create(desk)
        found = await desk.jobs.wait_until(job.id, lambda _: False, timeout_s=timeout_s)
        assert (found, clock.now()) == (job, at(timeout_s))


@pytest.mark.parametrize(
    ("moves_at", "status"),
    [(30 - US, "cancelled"), (30 + US, "pending")],
    ids=["-1us", "+1us"],
)
async def test_a_change_counts_until_the_time_is_up(moves_at, status):
    async with opened() as desk:
        job = await create(desk)
        loop = asyncio.get_running_loop()
        cancelling = []
        cancel = desk.jobs.cancel
        loop.call_at(
            loop.time() + moves_at,
            lambda: cancelling.append(asyncio.ensure_future(cancel(job.id, meta={}))),
        )
        found = await desk.jobs.wait_until(job.id, lambda job: not job.is_open, timeout_s=30)
        assert found.status == status
        await asyncio.sleep(1)
        await asyncio.gather(*cancelling)


async def test_what_was_answered_can_be_read_though_another_process_wrote_it():
    """Cancelling twice writes nothing; the answer still is what later reads must know."""
    store = MemoryStore(log_id=LOG_ID)
    async with opened(store) as left, opened(store, stale_at=1, seed=2) as right:
        job = await create(left)
        cancelled = await left.jobs.cancel(job.id, meta={})
        assert await right.jobs.cancel(job.id, meta={}) == cancelled
        reading = asyncio.create_task(right.jobs.get(job.id))
        await asyncio.sleep(10)
        assert not reading.done()
        right.projector.apply(await right.log.read(1))
        assert await reading == cancelled
