"""Due work, for who cannot watch the board: waits until there is some, and takes it.

The worker in this process has a loop of its own; remote workers ask over HTTP, and are held here
until a job of their kinds may start. What is taken must be claimed, or put back. While admission is
closed nothing is given out: what cannot be recorded should not be begun.

Fair enough: whoever asks first after the board moved gets the best jobs.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress

from eventstore import clock
from eventstore.timestamp import seconds_between
from projections.board import JobBoard
from projections.job import Job
from service.admission import Admission

LOOK_EVERY_S = 1.0  # a job's time, a rate or the admission may change without the board moving


class DueWork:
    """What may start now, or soon."""

    def __init__(self, board: JobBoard, admission: Admission) -> None:
        self._board = board
        self._admission = admission
        self._moved = asyncio.Event()  # set, and replaced, whenever the board moves
        self._stopping = False

    async def take(self, kinds: Collection[str], *, limit: int, wait_s: float) -> list[Job]:
        """At most `limit` jobs, as soon as there is one; none after `wait_s` seconds."""
        until = clock.monotonic() + wait_s
        while True:
            moved = self._moved
            closed = self._admission.reason() is not None
            taken = [] if closed or self._stopping else self._take_now(kinds, limit)
            left_s = until - clock.monotonic()
            if taken or left_s <= 0 or self._stopping:
                return taken
            look_again_s = LOOK_EVERY_S if closed else self._look_again_in_s(kinds)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, look_again_s)):
                    await moved.wait()

    def put_back(self, job: Job) -> None:
        """It was taken, but could not be claimed."""
        self._board.put_back(job)

    def put_back_later(self, job: Job) -> None:
        """The same, but not at once: what forbade the claim may last, and whoever asks again would
        be given the same job, again and again.
        """
        asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._board.put_back, job)

    def wake(self) -> None:
        """The board moved."""
        self._moved.set()
        self._moved = asyncio.Event()

    def stop(self) -> None:
        """We are stopping: whoever waits gets nothing, and so will whoever comes."""
        self._stopping = True
        self.wake()

    def _take_now(self, kinds: Collection[str], limit: int) -> list[Job]:
        return self._board.take(clock.now(), kinds=kinds, limit=limit)

    def _look_again_in_s(self, kinds: Collection[str]) -> float:
        next_due_at = self._board.next_due_at(kinds)
        if next_due_at is None:
            return LOOK_EVERY_S
        return min(LOOK_EVERY_S, max(0.0, seconds_between(clock.now(), next_due_at)))
