"""Jobs whose time is over before they begin, with and without a worker; and what rescue does when
the log cannot be written, or knows better.

The instant itself is tested with the commands and the board as well, each for its own part.
"""

import asyncio

import pytest

from eventstore import clock
from eventstore.errors import NotWritten
from eventstore.timestamp import later
from projections.job import Status
from service import commands
from service.commands import Ending
from service.rescue import LEASE_GRACE_S
from tests.service.desk import CLIENT, OPTIONS, opened
from tests.service.watch import LEASE_S, OURS, REMOTE, SIDES, Watch, watching
from tests.support.world import about, elapsed, script, seconds, world


@SIDES
async def test_a_pending_job_is_given_up_when_it_expires(off_by, given_up):
    async with watching() as watch:
        job_id = await watch.create(expires_at=later(clock.now(), 60))
        await watch.look_at(60 + off_by)
        job = await watch.get(job_id)
        assert (job.status is Status.FAILED) is given_up
        assert (job.attempts, job.attempt_log) == (0, ())


@pytest.mark.parametrize("what", ["waits for its time", "waits for another attempt", "is held"])
async def test_it_expires_whatever_it_waits_for(what):
    async with watching() as watch:
        expires_at = later(clock.now(), 60)
        if what == "waits for its time":
            job_id = await watch.create(expires_at=expires_at)
        else:
            job_id = await watch.start(OURS, expires_at=expires_at)
            job = await watch.get(job_id)
            ending = Ending("unknown", "E", then="hold" if what == "is held" else "retry")
            await watch.desk.jobs.fail(
                job, token=job.lease.token, ending=ending, duration_s=1, meta={}, retry_after_s=3600
            )
        await watch.get(job_id)
        await watch.look_at(60)
        job = await watch.get(job_id)
        [*_, failed] = await watch.desk.log.read_stream(job_id)
        assert (job.status, failed.type) == (Status.FAILED, "JobFailed")
        assert failed.data == {"attempt": job.attempt, "reason": "expired"}
        assert failed.meta["actor"] == "system"


async def test_an_attempt_that_runs_does_not_expire():
    async with watching() as watch:
        job_id = await watch.start(OURS, expires_at=later(clock.now(), 60))
        await watch.look_at(61)
        assert (await watch.get(job_id)).status is Status.PROCESSING


async def test_an_expired_job_that_was_retried_is_wanted_after_all():
    async with watching() as watch:
        job_id = await watch.create(expires_at=later(clock.now(), 60))
        await watch.look_at(60)
        await watch.desk.jobs.retry(job_id, meta=CLIENT)
        await watch.get(job_id)
        await watch.look_at(3600)
        job = await watch.get(job_id)
        assert (job.status, job.expires_at) == (Status.PENDING, None)


async def test_jobs_expire_in_a_process_without_a_worker():
    async with world(script("done"), work=False) as w:
        now = clock.now()
        options = OPTIONS._replace(run_at=now, expires_at=later(now, 60))
        job_id = (await w.jobs.create("work", None, options, meta=CLIENT)).job.id
        job = await w.ended(job_id)
    assert job.status is Status.FAILED
    assert 60 <= seconds(job.finished_at) <= 61


async def test_jobs_of_a_paused_kind_expire_too():
    async with world(script("done")) as w:
        await w.service.kinds.pause("work", meta=CLIENT, reason=None)
        now = clock.now()
        options = OPTIONS._replace(run_at=now, expires_at=later(now, 60))
        job_id = (await w.jobs.create("work", None, options, meta=CLIENT)).job.id
        assert (await w.ended(job_id)).status is Status.FAILED
        assert (await w.types(job_id)) == ["JobCreated", "JobFailed"]


# the log knows better, or cannot be written


async def test_what_cannot_be_recorded_now_is_recorded_when_there_is_room():
    async with world(script("done"), work=False) as w:
        w.store.refuse = lambda append: (
            NotWritten("no room")
            if elapsed() < 100 and append.events[0].type != "JobCreated"
            else None
        )
        now = clock.now()
        options = OPTIONS._replace(run_at=now, expires_at=later(now, 60))
        job_id = (await w.jobs.create("work", None, options, meta=CLIENT)).job.id
        job = await w.ended(job_id)
    assert 100 <= seconds(job.finished_at) <= 101


async def test_a_silent_attempt_is_given_up_when_there_is_room():
    async with world(script("done"), work=False) as w:
        job_id = await w.post(max_attempts=1)
        await w.jobs.execute(
            job_id,
            lambda job: commands.start(
                job, now=clock.now(), worker="far", epoch=REMOTE, lease_s=LEASE_S, meta={}
            ),
        )
        w.store.refuse = about("AttemptFailed", NotWritten("no room"))
        await asyncio.sleep(100)
        assert (await w.get(job_id)).status is Status.PROCESSING
        w.store.refuse = lambda _: None
        await asyncio.sleep(2)
        assert (await w.get(job_id)).crashes == 1


async def test_a_sign_of_life_that_was_not_seen_yet_keeps_an_attempt():
    """The read model stands still; the log has a renewal, and refuses."""
    async with watching() as ahead:
        job_id = await ahead.start(REMOTE)
        async with opened(ahead.desk.log._store, stale_at=2, seed=9) as behind:
            watch = Watch(behind)
            await watch.look_at(0)
            await asyncio.sleep(20)
            await ahead.renew(job_id)
            await watch.look_at(LEASE_S + LEASE_GRACE_S)
        assert await ahead.desk.types(job_id) == ["JobCreated", "AttemptStarted", "LeaseRenewed"]
