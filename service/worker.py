"""The worker: takes due jobs from the board, as many as it has slots, and runs each attempt in a
task of its own.

It looks when the log moved, when a slot is free again, when the next job is due, and at least once
a second: an appointment on the wall clock is never slept towards in one go, so that a stepped or
frozen clock does no harm. What it takes at one look it claims together; outcomes that arrive
together share a commit too, by the log's doing. A cancellation that somebody asks for reaches the
board like everything else, and is passed on to the attempt.

The worker knows nothing of HTTP (`service.remote` has a worker that does), how an attempt goes is
`service.attempt`'s, and what becomes of attempts that nobody ends is `service.rescue`'s.
"""

import asyncio
import logging
import sqlite3

from eventstore import clock
from eventstore.timestamp import Timestamp, seconds_between
from projections.board import JobBoard
from projections.job import Job
from service.admission import Admission
from service.attempt import RunningAttempt
from service.claims import Claim, Claims
from service.processors import Registry
from service.slots import Slots

LOOK_EVERY_S = 1.0

logger = logging.getLogger("joblog.worker")


class Worker:
    """Runs jobs until it is drained."""

    def __init__(
        self,
        claims: Claims,
        board: JobBoard,
        registry: Registry,
        admission: Admission,
        *,
        concurrency: int,
        threads: bool,
    ) -> None:
        self._claims = claims
        self._board = board
        self._registry = registry
        self._admission = admission
        self._slots = Slots(concurrency, threads=threads, changed=self.wake)
        self._wake = asyncio.Event()
        self._stopping = False
        self._looked_at = clock.monotonic()

    async def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping:
            self._looked_at = clock.monotonic()
            self._pass_cancellations_on()
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
        await self._slots.drain(grace_s)

    @property
    def running(self) -> int:
        """Attempts that run here; after a drain, those that could not be stopped."""
        return self._slots.running

    def tokens(self) -> set[int]:
        """The claims of the attempts that run here."""
        return self._slots.tokens()

    def recording(self) -> set[int]:
        """Those of them that have ended, but the log does not know yet."""
        return self._slots.recording()

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
        free = self._slots.free
        if free <= 0 or self._stopping or self._admission.reason() is not None:
            return None
        kinds = self._registry.runnable()
        try:
            jobs = self._board.take(clock.now(), kinds=kinds, limit=free)
        except sqlite3.Error as error:
            logger.warning("due jobs could not be read (will be tried again): %s", error)
            return None
        if jobs:
            self._slots.claim(len(jobs), self._claim(jobs))
        return self._board.next_due_at(kinds)

    async def _claim(self, jobs: list[Job]) -> None:
        """Claim jobs for which slots are kept, and run those that were to be had."""
        claims: list[Claim | None] = [None] * len(jobs)
        try:
            claims = await self._claims.claim_all(jobs)
        except Exception:
            logger.exception("jobs could not be claimed for a fault of ours")
        for job, claim in zip(jobs, claims, strict=True):
            if claim is None:
                self._put_back_later(job)
            else:
                self._start(claim)
        self._pass_cancellations_on()  # of what was claimed while nobody knew whether it was

    def _start(self, claim: Claim) -> None:
        processor = self._registry.get(claim.kind)
        assert processor is not None
        threads = self._slots.threads
        self._slots.start(RunningAttempt(self._claims, processor, claim, threads=threads))

    def _put_back_later(self, job: Job) -> None:
        """Not at once: what forbade the claim may last."""
        asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._board.put_back, job)

    def _pass_cancellations_on(self) -> None:
        self._slots.cancel({job.id for job in self._board.cancelling()})

    async def _wait(self, *, next_due_at: Timestamp | None) -> None:
        """Until something may have changed, or the next job is due, or a second passed."""
        delay_s = LOOK_EVERY_S
        if next_due_at is not None:
            delay_s = min(delay_s, max(0.0, seconds_between(clock.now(), next_due_at)))
        timer = asyncio.get_running_loop().call_later(delay_s, self._wake.set)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()
