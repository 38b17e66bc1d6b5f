"""The table of `service.rescue`, row by row, each on both sides of its instant.

Rescue looks when the test says so. That a pending job expires, and what becomes of all of it when
the log knows better, is in `test_expiry`; whole lives, with a worker that goes on meanwhile, in
`test_rescue` and `test_cancel`.
"""

import asyncio

import pytest

from eventstore import clock
from eventstore.timestamp import later
from projections.job import Job, Status
from service import commands
from service.commands import Ending
from service.rescue import LEASE_GRACE_S, LIMIT_GRACE_S
from tests.service.desk import CLIENT
from tests.service.watch import (
    CANCEL_GRACE_S,
    EARLIER,
    LEASE_S,
    OURS,
    REMOTE,
    SIDES,
    TIMEOUT_S,
    Watch,
    watching,
)
from tests.support.build import US
from tests.support.world import elapsed


def ended_as(job: Job) -> str | None:
    """How its only attempt ended, if it has."""
    return job.attempt_log[0].outcome


# at the start


@pytest.mark.parametrize(("epoch", "lost"), [(EARLIER, True), (OURS, False), (REMOTE, False)])
async def test_at_the_start_attempts_of_an_earlier_process_are_lost_and_no_others(epoch, lost):
    async with watching() as watch:
        job_id = await watch.start(epoch)
        await watch.rescue._give_up_lost()
        assert ended_as(await watch.get(job_id)) == ("worker_lost" if lost else None)


async def test_a_lost_attempt_that_was_to_be_cancelled_is():
    async with watching() as watch:
        job_id = await watch.start(EARLIER)
        await watch.desk.jobs.cancel(job_id, meta=CLIENT)
        await watch.get(job_id)
        await watch.rescue._give_up_lost()
        job = await watch.get(job_id)
        assert (job.status, job.crashes) == (Status.CANCELLED, 1)


async def test_a_lost_attempt_of_an_expired_job_is_its_last():
    async with watching() as watch:
        job_id = await watch.start(EARLIER, expires_at=later(clock.now(), 5))
        await asyncio.sleep(5)
        await watch.rescue._give_up_lost()
        assert await watch.desk.types(job_id) == [
            "JobCreated", "AttemptStarted", "AttemptFailed", "JobFailed",
        ]  # fmt: skip


# silence


@SIDES
@pytest.mark.parametrize("epoch", [EARLIER, REMOTE])
async def test_who_is_silent_for_his_lease_and_a_grace_is_given_up(epoch, off_by, given_up):
    async with watching() as watch:
        job_id = await watch.start(epoch)
        await watch.look_at(7)
        await watch.look_at(7 + LEASE_S + LEASE_GRACE_S + off_by)
        assert (ended_as(await watch.get(job_id)) == "lease_expired") is given_up


@SIDES
async def test_silence_is_counted_from_the_last_renewal_that_was_seen(off_by, given_up):
    async with watching() as watch:
        job_id = await watch.start(REMOTE)
        await watch.look_at(0)
        await asyncio.sleep(20)
        await watch.renew(job_id)
        await watch.look_at(21)
        await watch.look_at(21 + LEASE_S + LEASE_GRACE_S + off_by)
        assert (ended_as(await watch.get(job_id)) == "lease_expired") is given_up


async def test_an_attempt_of_this_process_may_be_silent():
    async with watching() as watch:
        job_id = await watch.start(OURS)
        await watch.look_at(0)
        await watch.look_at(TIMEOUT_S)
        assert ended_as(await watch.get(job_id)) is None


async def test_an_attempt_of_this_process_that_ended_without_a_word_is_silent_like_any_other():
    async with watching() as watch:
        job_id = await watch.start(OURS)
        await watch.look_at(0)
        watch.ours.clear()
        await watch.look_at(LEASE_S + LEASE_GRACE_S)
        assert ended_as(await watch.get(job_id)) == "lease_expired"


async def test_an_old_attempt_that_goes_on_here_does_not_vouch_for_the_next_one_elsewhere():
    """A plain function may be stuck in its thread while the job is tried again by somebody else."""
    async with watching() as watch:
        job_id = await watch.start(OURS)
        job = await watch.get(job_id)
        await watch.desk.jobs.fail(
            job, token=job.lease.token, ending=Ending("timeout", "TimeoutError"),
            duration_s=1, meta={}, retry_after_s=0,
        )  # fmt: skip
        await watch.decide(
            job_id, commands.start, worker="far", epoch=REMOTE, lease_s=LEASE_S, meta={}
        )
        await watch.look_at(0)
        await watch.look_at(LEASE_S + LEASE_GRACE_S)
        assert [each.outcome for each in (await watch.get(job_id)).attempt_log] == [
            "timeout", "lease_expired",
        ]  # fmt: skip


async def test_a_remote_attempt_has_one_lease_from_a_restart_on():
    async with watching() as watch:
        job_id = await watch.start(REMOTE)
        await watch.look_at(30)
        restarted = Watch(watch.desk)
        await restarted.rescue._give_up_lost()
        await restarted.look_at(31)
        await restarted.look_at(31 + LEASE_S + LEASE_GRACE_S - US)
        assert ended_as(await watch.get(job_id)) is None
        await restarted.look_at(31 + LEASE_S + LEASE_GRACE_S)
        assert ended_as(await watch.get(job_id)) == "lease_expired"


# time limit


@SIDES
@pytest.mark.parametrize("epoch", [OURS, REMOTE])
async def test_who_goes_on_after_his_time_limit_and_a_grace_is_given_up(epoch, off_by, given_up):
    async with watching() as watch:
        job_id = await watch.start(epoch)
        await watch.look_at(7)
        for second in range(20, 300, 20):
            await watch.look_at(second)
            await watch.renew(job_id)
        await watch.look_at(300)
        await watch.look_at(7 + TIMEOUT_S + LIMIT_GRACE_S + off_by)
        job = await watch.get(job_id)
        assert (ended_as(job) == "timeout") is given_up
        assert job.attempts == 1, "it counts"


async def test_a_time_limit_is_the_attempts_and_not_the_jobs():
    async with watching() as watch:
        job_id = await watch.start(OURS)
        await watch.look_at(0)
        await watch.look_at(TIMEOUT_S - 1)
        job = await watch.get(job_id)
        await watch.desk.jobs.fail(
            job, token=job.lease.token, ending=Ending("error", "E"), duration_s=1, meta={},
            retry_after_s=0,
        )  # fmt: skip
        again = await watch.decide(
            job_id, commands.start, worker="w", epoch=OURS, lease_s=LEASE_S, meta={}
        )
        watch.ours.add(again.lease.token)
        await watch.look_at(TIMEOUT_S + 100)
        assert (await watch.get(job_id)).status is Status.PROCESSING


# cancellation


@SIDES
@pytest.mark.parametrize(("epoch", "hears_after_s"), [(OURS, 0), (REMOTE, LEASE_S / 3)])
async def test_who_does_not_stop_within_the_grace_is_given_up(
    epoch, hears_after_s, off_by, given_up
):
    async with watching() as watch:
        job_id = await watch.start(epoch)
        await watch.look_at(1)
        await watch.desk.jobs.cancel(job_id, meta=CLIENT)
        await watch.get(job_id)
        await watch.look_at(2)
        await watch.renew(job_id)
        await watch.look_at(3)
        await watch.look_at(2 + CANCEL_GRACE_S + hears_after_s + off_by)
        job = await watch.get(job_id)
        assert (ended_as(job) == "cancelled") is given_up
        assert (job.status is Status.CANCELLED) is given_up


async def test_the_grace_is_counted_from_the_request_and_not_from_the_start():
    async with watching() as watch:
        job_id = await watch.start(OURS)
        await watch.look_at(0)
        await watch.look_at(100)
        await watch.desk.jobs.cancel(job_id, meta=CLIENT)
        await watch.get(job_id)
        await watch.look_at(101)
        await watch.look_at(101 + CANCEL_GRACE_S - US)
        assert (await watch.get(job_id)).status is Status.PROCESSING


# what is on its way to the log


@pytest.mark.parametrize("second", [100, 10_000])
async def test_what_has_ended_and_only_waits_for_the_log_is_left_alone(second):
    async with watching() as watch:
        job_id = await watch.start(OURS)
        await watch.desk.jobs.cancel(job_id, meta=CLIENT)
        [token] = watch.ours
        watch.recording.add(token)
        await watch.look_at(0)
        await watch.look_at(second)
        assert ended_as(await watch.get(job_id)) is None


async def test_what_is_watched_is_what_runs():
    async with watching() as watch:
        for _ in range(50):
            job_id = await watch.start(OURS)
            await watch.look_at(elapsed())
            assert len(watch.rescue._watched) == 1
            token = (await watch.get(job_id)).lease.token
            await watch.decide(
                job_id, commands.complete, token=token, duration_s=1, result=None, meta={}
            )
        await watch.look_at(elapsed())
        assert watch.rescue._watched == {}
