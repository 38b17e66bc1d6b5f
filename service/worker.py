"""The worker: takes due jobs from the board, as many as it has slots, and runs each attempt in a
task of its own.

It looks when the log moved, when a slot is free again, when the next job is due, and at least once
a second: an appointment on the wall clock is never slept towards in one go, so that a stepped or
frozen clock does no harm. Claims made together, and outcomes that arrive together, share commits;
that is the log's doing.

Rescue: attempts that an earlier process left running are over the moment this one starts (it holds
the store's lock), and are recorded as `worker_lost`. An attempt that shows no sign of life for its
lease and LEASE_GRACE_S, measured on this process's monotonic clock, is recorded as `lease_expired`.

The worker knows nothing of HTTP, and how an attempt goes is `service.attempt`'s.
"""

import asyncio
import logging
from contextlib import suppress

from eventstore import clock
from eventstore.errors import StoreError
from eventstore.timestamp import Timestamp, seconds_between
from projections.board import JobBoard
from projections.events import FailureReason
from projections.job import Job
from service.admission import Admission
from service.attempt import RunningAttempt, WorkerIdentity
from service.commands import Ending, FencedError
from service.jobs import Jobs, PreconditionFailedError
from service.processors import Registry

LOOK_EVERY_S = 1.0
RELEASE_S = 5.0  # for processors to notice that they were cancelled; a deaf one is left behind
LEASE_GRACE_S = 5.0  # an owner stops at its lease's end; this is for its last words to arrive

logger = logging.getLogger("joblog.worker")


class Worker:
    """Runs jobs until it is drained."""

    def __init__(
        self,
        jobs: Jobs,
        board: JobBoard,
        registry: Registry,
        admission: Admission,
        identity: WorkerIdentity,
        *,
        concurrency: int,
    ) -> None:
        self._jobs = jobs
        self._board = board
        self._registry = registry
        self._admission = admission
        self._me = identity
        self._concurrency = concurrency
        # By attempt and not by job: the next one may begin before the last has heard that it ended.
        self._running: dict[RunningAttempt, asyncio.Task[None]] = {}
        # job -> (rev, monotonic time when that was first seen)
        self._signs_of_life: dict[str, tuple[int, float]] = {}
        self._wake = asyncio.Event()
        self._stopping = False
        self._looked_at = clock.monotonic()
        self._inspected_at = float("-inf")

    async def run(self) -> None:
        """Rescue what was lost, then work until `stop`."""
        await self._rescue()
        while not self._stopping:
            self._looked_at = clock.monotonic()
            await self._expire_leases()
            await self._wait(next_due_at=self._take())

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def stop(self) -> None:
        """Take nothing more. What runs goes on; see `drain`."""
        self._stopping = True
        self._wake.set()

    async def drain(self, grace_s: float) -> None:
        """Take nothing more, let attempts finish for `grace_s`, give the rest back, uncounted."""
        self.stop()
        if not self._running:
            return
        _, late = await asyncio.wait(self._running.values(), timeout=grace_s)
        for attempt in self._running:
            attempt.release()
        if late:
            logger.info("%d attempts given back after %g s", len(late), grace_s)
            await asyncio.wait(late, timeout=RELEASE_S)

    @property
    def left_behind(self) -> int:
        """Attempts that a drain could not stop."""
        return len(self._running)

    def trouble(self) -> str | None:
        """Why due work is not being claimed; None when all is well."""
        idle_s = clock.monotonic() - self._looked_at
        if idle_s > 5 * LOOK_EVERY_S:
            return f"the worker has not looked for work for {idle_s:.0f} s"
        return None

    def _take(self) -> Timestamp | None:
        """Start as many due jobs as there are slots; return when the next one is due.

        None when it does not matter: nothing waits for its time, or nothing can be taken now.
        """
        free = self._concurrency - len(self._running)
        if free <= 0 or self._stopping or self._admission.reason() is not None:
            return None
        for job in self._board.take(clock.now(), kinds=self._registry.kinds(), limit=free):
            processor = self._registry.get(job.kind)
            assert processor is not None
            attempt = RunningAttempt(self._jobs, processor, job, self._me)
            task = asyncio.create_task(self._run(job, attempt), name=f"attempt of {job.id}")
            self._running[attempt] = task
        return self._board.next_due_at()

    async def _run(self, job: Job, attempt: RunningAttempt) -> None:
        claimed = False
        try:
            claimed = await attempt.run()
        except Exception:
            logger.exception("attempt of job %s ended in a fault of ours", job.id)
        finally:
            if not claimed:  # not at once: what forbade it may last
                asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._board.put_back, job)
            del self._running[attempt]
            self._wake.set()

    async def _wait(self, *, next_due_at: Timestamp | None) -> None:
        """Until something may have changed, or the next job is due, or a second passed."""
        delay_s = LOOK_EVERY_S
        if next_due_at is not None:
            delay_s = min(delay_s, max(0.0, seconds_between(clock.now(), next_due_at)))
        timer = asyncio.get_running_loop().call_later(delay_s, self._wake.set)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()

    async def _rescue(self) -> None:
        """Attempts of this store's earlier processes: they cannot be running any more."""
        lost = []
        for job in self._board.running():
            if job.lease is not None and job.lease.epoch is not None:
                assert job.lease.epoch < self._me.epoch, f"{job.lease} at the start of {self._me}"
                lost.append(self._give_up(job, "worker_lost", "its process ended without a word"))
        await asyncio.gather(*lost)

    async def _expire_leases(self) -> None:
        """Attempts that are not ours to watch from inside, and have been silent for too long."""
        now = clock.monotonic()
        if now < self._inspected_at + LOOK_EVERY_S:
            return
        self._inspected_at = now
        ours = {attempt.job_id for attempt in self._running}
        seen: dict[str, tuple[int, float]] = {}
        silent = []
        for job in self._board.running():
            rev, since = self._signs_of_life.get(job.id, (0, 0.0))
            seen[job.id] = (job.rev, since if rev == job.rev else now)
            silent_s = now - seen[job.id][1]
            lease = job.lease
            if lease and job.id not in ours and silent_s >= lease.lease_s + LEASE_GRACE_S:
                silent.append(self._give_up(job, "lease_expired", f"silent for {silent_s:.0f} s"))
        self._signs_of_life = seen
        await asyncio.gather(*silent)

    async def _give_up(self, job: Job, reason: FailureReason, why: str) -> None:
        assert job.lease is not None
        error_class = "WorkerLost" if reason == "worker_lost" else "LeaseExpired"
        started_at = job.attempt_log[-1].started_at
        # The log knows of a sign of life that we do not, or cannot be written: we look again.
        with suppress(FencedError, PreconditionFailedError, StoreError):
            await self._jobs.fail(
                job,
                token=job.lease.token,
                if_rev=[job.rev],
                ending=Ending(reason, error_class, f"worker {job.lease.worker}: {why}"),
                duration_s=max(0.0, seconds_between(started_at, clock.now())),
                meta={"actor": "system"},
            )
            logger.warning("job %s: attempt %d %s", job.id, job.attempt, reason)
