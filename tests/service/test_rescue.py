"""Work that is saved from dead workers: at the start of the next process, or when a lease is over.

A crash is not the job's failure, so its attempts are not used up; but a job that kills its worker
every time must end too. An observer may be wrong about a silence in one direction only: what the
log knows to be alive is never given up.
"""

import asyncio
from random import Random

from eventstore import clock
from eventstore.errors import NotWritten
from eventstore.event import NEW
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from eventstore.timestamp import later
from projections.job import Job, Status, fold
from service import commands
from service.backoff import DEFAULT
from service.commands import Options
from tests.support.world import CLIENT, elapsed, script, seconds, takes, world


class Kept(MemoryStore):
    """A log that outlives its process, as a file does."""

    async def aclose(self):
        pass


class Victim:
    """A process that claims jobs of kind `work` and dies without a word."""

    def __init__(self, store):
        self._log = EventLog(store, dice=Random(1))

    async def begin(self) -> None:
        self._epoch = await self._log.begin("0.1.0")

    async def create(self, job_id: str, *, max_attempts: int = 3) -> Job:
        now = clock.now()
        options = Options(now, 0, max_attempts, 300, DEFAULT)
        new = commands.create(kind="work", payload=None, options=options, now=now, meta=CLIENT)
        return fold(await self._log.append(job_id, NEW, *new))

    async def claim(self, job: Job) -> None:
        started = commands.start(
            job, now=clock.now(), worker="w-dead", epoch=self._epoch, lease_s=30, meta={}
        )
        await self._log.append(job.id, job.head, *started)


async def left_running(store, count: int, **options) -> list[str]:
    """Jobs whose process died over them."""
    victim = Victim(store)
    await victim.begin()
    names = [f"job-{number}" for number in range(count)]
    for name in names:
        await victim.claim(await victim.create(name, **options))
    return names


async def test_attempts_of_an_earlier_process_are_over_the_moment_the_next_one_starts():
    store = MemoryStore(log_id="1f" * 16)
    [job_id] = await left_running(store, 1, max_attempts=1)
    async with world(script("done"), store=store) as w:
        job = await w.ended(job_id)
        [lost] = await w.events(job_id, "AttemptFailed")
    assert seconds(lost.time) == 0
    assert (lost.data["reason"], lost.data["error_class"]) == ("worker_lost", "WorkerLost")
    assert lost.meta["actor"] == "system"
    assert lost.private["error"] == "worker w-dead: its process ended without a word"
    assert (job.status, job.attempts, job.crashes, job.attempt) == (Status.COMPLETED, 1, 1, 2)


async def test_a_rescued_job_is_tried_again_after_a_backoff():
    store = MemoryStore(log_id="1f" * 16)
    [job_id] = await left_running(store, 1)
    async with world(script("done"), store=store) as w:
        await w.ended(job_id)
        [lost] = await w.events(job_id, "AttemptFailed")
        _, again = await w.events(job_id, "AttemptStarted")
    assert again.time == lost.data["retry_at"] > lost.time


async def test_a_whole_crew_is_rescued_in_one_commit():
    store = MemoryStore(log_id="1f" * 16)
    jobs = await left_running(store, 100)
    async with world(script("done"), store=store) as w:
        for job_id in jobs:
            assert (await w.ended(job_id)).status is Status.COMPLETED
        assert ["AttemptFailed"] * 100 in w.store.commits


async def test_a_job_that_kills_its_worker_five_times_has_failed():
    store = Kept(log_id="1f" * 16)
    victim = Victim(store)
    await victim.begin()
    job = await victim.create("job-1")
    for crash in range(1, 6):
        await victim.claim(job)
        async with world(store=store) as w:
            await asyncio.sleep(1)
            job = await w.get("job-1")
        assert (job.crashes, job.attempts) == (crash, 0)
        assert job.status is (Status.FAILED if crash == 5 else Status.PENDING)
        await asyncio.sleep(3600)
        await victim.begin()
    async with world(store=store) as w:
        *_, lost, ended = await w.events("job-1")
    assert ended.data == {"attempt": 5, "reason": "crashes"}
    assert lost.nonce == ended.nonce


async def test_what_a_graceful_stop_gave_back_is_run_by_the_next_process():
    store = Kept(log_id="1f" * 16)
    work = script(takes(3600), "done")
    async with world(work, store=store) as w:
        job_id = await w.post()
        await asyncio.sleep(1)
    async with world(work, store=store) as w:
        job = await w.ended(job_id)
    assert [attempt.outcome for attempt in job.attempt_log] == ["released", "completed"]
    assert (job.attempts, job.crashes) == (1, 0)


async def test_an_attempt_that_renews_its_lease_is_not_given_up_by_anybody():
    work = script(takes(200))
    async with world(work) as w, w.another_worker(work):
        assert (await w.ended(await w.post())).attempt == 1


async def test_an_observer_that_has_missed_the_renewals_gives_nothing_up():
    work = script(takes(200))
    async with world(work) as w, w.another_worker() as following:
        job_id = await w.post()
        await asyncio.sleep(1)
        following.cancel()
        job = await w.ended(job_id)
    assert (job.status, job.attempt, job.crashes) == (Status.COMPLETED, 1, 0)


async def test_an_attempt_whose_outcome_waits_for_the_log_is_not_given_up_by_its_own_worker():
    async with world(script("done", "done twice")) as w:
        w.store.refuse = lambda append: (
            NotWritten("no room")
            if append.events[0].type == "JobCompleted" and elapsed() < 100
            else None
        )
        job = await w.ended(await w.post())
    assert (job.result, job.attempt, seconds(job.finished_at)) == ("done", 1, 100)


async def test_a_silent_attempt_of_another_worker_is_given_up_after_its_lease_and_a_grace():
    """The other one has no epoch, as a worker elsewhere: nothing proves that it is dead."""
    async with world(script("done")) as w:
        job_id = await w.post(after_s=0.5)
        await w.jobs.execute(
            job_id,
            lambda job: commands.start(
                job, now=job.run_at, worker="w-far", epoch=None, lease_s=12, meta={}
            ),
        )
        job = await w.ended(job_id)
        [expired] = await w.events(job_id, "AttemptFailed")
    assert expired.data["reason"] == "lease_expired"
    assert 17 <= seconds(expired.time) <= 19
    assert (job.status, job.crashes) == (Status.COMPLETED, 1)


async def test_a_worker_elsewhere_is_not_lost_because_this_process_starts():
    store = Kept(log_id="1f" * 16)
    async with world(store=store, work=False) as w:
        job_id = await w.post()
        await w.jobs.execute(
            job_id,
            lambda job: commands.start(
                job, now=clock.now(), worker="w-far", epoch=None, lease_s=30, meta={}
            ),
        )
    async with world(script("done"), store=store) as w:
        await asyncio.sleep(34.999_999)
        assert (await w.get(job_id)).status is Status.PROCESSING
        await asyncio.sleep(2)
        assert (await w.get(job_id)).crashes == 1


async def test_no_lease_ends_because_the_wall_clock_was_set_forward(monkeypatch):
    right = clock.now
    async with world(script(takes(20))) as w:
        job_id = await w.post()
        await asyncio.sleep(1)
        monkeypatch.setattr(clock, "now", lambda: later(right(), 86_400))
        job = await w.ended(job_id)
    assert (job.status, job.attempt) == (Status.COMPLETED, 1)
