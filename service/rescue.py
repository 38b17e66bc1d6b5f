"""Rescue: what becomes of attempts that nobody ends, and of jobs whose time is over.

It runs in every process that follows the log, whether or not that runs jobs itself, and looks once
a second. A crash, a hang or a lost connection leaves nothing behind by itself, so whoever sees it
says so in the log:

| what it sees | what it records |
|--------------|-----------------|
| at the start: an attempt of an earlier process (the lock proves it is gone) | `worker_lost` |
| no sign of life for the lease and LEASE_GRACE_S | `lease_expired` |
| an attempt that goes on LIMIT_GRACE_S after its time limit | `timeout` |
| one whose cancellation was asked for, and `cancel_grace_s` passed | `cancelled`, and the job is |
| a pending job past its `expires_at` | `JobFailed`, `expired` |

Each recording is refused when the log knows better, and whoever went on regardless finds its
outcome refused: that is the fencing token's work. How long something has been so is measured on
this process's monotonic clock from when it saw it, so no two hosts' clocks are ever compared; only
an expiry, which a client set by the wall clock, is judged by it.

An attempt of this process that has ended is left alone, however long the log takes to hear of it:
what it came to would be refused, and the work done again.

Many may be late together: ten thousand jobs of one morning expire at one instant. They are worked
off SLICE at a time, and in between everybody else has his turn. What expires takes no longer than a
second at a time, because attempts that are lost wait for it; the rest comes with the next look.

A remote worker (it has no epoch) hears of a cancellation when it next renews: it is given a third
of its lease more.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from eventstore import clock
from eventstore.errors import StoreError
from eventstore.pace import Pace
from eventstore.timestamp import seconds_between
from projections.board import JobBoard
from projections.events import FailureReason
from projections.job import Job, Lease
from service.commands import Ending, FencedError, NotAllowedError
from service.jobs import Jobs
from service.refusals import PreconditionFailedError

LOOK_EVERY_S = 1.0
LEASE_GRACE_S = 5.0  # an owner stops at its lease's end; this is for its last words to arrive
LIMIT_GRACE_S = 5.0  # an attempt ends itself at its limit; this is for its last words to arrive
SLICE = 100  # recordings under way at a time: they share commits, and leave others their turns

_SYSTEM = {"actor": "system"}

logger = logging.getLogger("joblog.rescue")


_Missed: TypeAlias = tuple[FailureReason, str]  # and in words


class _Watch(NamedTuple):
    """An attempt as watched: its token and revision, and since when (monotonic) it was seen to be
    under way, at this revision, and asked to stop.
    """

    token: int
    rev: int
    started: float
    heard: float
    asked: float | None


class Rescue:
    """See the module. `ours` names the claims (by token) whose attempts run in this process,
    `recording` those of them that have ended, but the log does not know yet.
    """

    def __init__(
        self,
        jobs: Jobs,
        board: JobBoard,
        *,
        epoch: int,
        ours: Callable[[], set[int]],
        recording: Callable[[], set[int]] = set,
        cancel_grace_s: float,
    ) -> None:
        self._jobs = jobs
        self._board = board
        self._epoch = epoch
        self._ours = ours
        self._recording = recording
        self._cancel_grace_s = cancel_grace_s
        self._watched: dict[str, _Watch] = {}

    async def run(self) -> None:
        """Give up what an earlier process left, then look for ever."""
        await self._give_up_lost()
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Once. Of ten thousand attempts each is seen in a microsecond or two: in slices, too."""
        ours, pace = self._ours(), Pace()
        watched: dict[str, _Watch] = {}
        late: list[tuple[Job, Lease, _Missed]] = []
        for job in self._board.running():
            if (lease := job.lease) is not None:
                now = clock.monotonic()
                watch = watched[job.id] = self._seen(job, lease, now)
                missed = self._missed(job, lease, watch, now, is_ours=lease.token in ours)
                if missed is not None:
                    late.append((job, lease, missed))
            await pace.breathe()
        self._watched = watched
        await _in_slices(self._giving_up(late))
        await self._expire_some()

    async def _give_up_lost(self) -> None:
        """Attempts of this store's earlier processes: they cannot be running any more."""
        await _in_slices(
            self._give_up(job, "worker_lost", "its process ended without a word")
            for job in self._board.running()
            if job.lease and job.lease.epoch is not None and job.lease.epoch != self._epoch
        )

    def _giving_up(
        self, late: list[tuple[Job, Lease, _Missed]]
    ) -> Iterator[Coroutine[Any, Any, None]]:
        """To give up each of these. Which has ended is asked late: it may just have."""
        for job, lease, missed in late:
            if lease.token not in self._recording():
                yield self._give_up(job, *missed)

    async def _expire_some(self) -> None:
        """End pending jobs that are too late, as many as can be in the time until the next look.
        One that could not be ended waits for that, so that it holds up none of the others.
        """
        until = clock.monotonic() + LOOK_EVERY_S
        remaining: list[Job] = []
        while clock.monotonic() < until:
            try:
                found = self._board.expired(clock.now(), limit=SLICE)
            except sqlite3.Error as error:
                logger.warning("expired jobs could not be read (will be tried again): %s", error)
                break
            if not found:
                break
            ended = await asyncio.gather(*map(self._expire, found))
            remaining += [job for job, done in zip(found, ended, strict=True) if not done]
        for job in remaining:
            self._board.keep_in_mind(job)

    def _seen(self, job: Job, lease: Lease, now: float) -> _Watch:
        """An attempt as watched until now, and what is new about it."""
        asked = None if job.cancel_requested_at is None else now
        before = self._watched.get(job.id)
        if before is None or before.token != lease.token:
            return _Watch(lease.token, job.rev, now, now, asked)
        return before._replace(
            rev=job.rev,
            heard=before.heard if before.rev == job.rev else now,
            asked=asked if before.asked is None else before.asked,
        )

    def _missed(
        self, job: Job, lease: Lease, watch: _Watch, now: float, *, is_ours: bool
    ) -> _Missed | None:
        """What an attempt has missed; None when it may go on."""
        silent_s = now - watch.heard
        if not is_ours and silent_s >= lease.lease_s + LEASE_GRACE_S:
            return "lease_expired", f"silent for {silent_s:.0f} s"
        if now - watch.started >= job.timeout_s + LIMIT_GRACE_S:
            return "timeout", f"still running after {job.timeout_s:g} s"
        hears_after_s = lease.lease_s / 3 if lease.epoch is None else 0.0
        if watch.asked is not None and now - watch.asked >= self._cancel_grace_s + hears_after_s:
            return "cancelled", f"did not stop within {self._cancel_grace_s:g} s"
        return None

    async def _give_up(self, job: Job, reason: FailureReason, why: str) -> None:
        assert job.lease is not None
        error_class = "".join(word.capitalize() for word in reason.split("_"))
        started_at = job.attempt_log[-1].started_at
        # The log knows of a sign of life that we do not, or cannot be written: we look again.
        with suppress(FencedError, PreconditionFailedError, StoreError):
            await self._jobs.fail(
                job,
                token=job.lease.token,
                if_rev=[job.rev],
                ending=Ending(reason, error_class, f"worker {job.lease.worker}: {why}"),
                duration_s=max(0.0, seconds_between(started_at, clock.now())),
                meta=_SYSTEM,
            )
            logger.warning("job %s: attempt %d %s", job.id, job.attempt, reason)

    async def _expire(self, job: Job) -> bool:
        """Whether it was ended. If not, it has moved on, or we look again."""
        try:
            await self._jobs.expire(job.id, meta=_SYSTEM)
        except (NotAllowedError, StoreError):
            return False
        return True


async def _in_slices(recordings: Iterator[Coroutine[Any, Any, None]]) -> None:
    """Make all of these, SLICE at a time."""
    while some := list(islice(recordings, SLICE)):
        await asyncio.gather(*some)
