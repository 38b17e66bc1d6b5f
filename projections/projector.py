"""Feeds the board and the table from a log: catch up, follow, and tell who waits that a position
was reached.

Each event is folded once: the job before it comes from the board (open jobs) or the table (finished
ones), `evolve` makes the next, and both take that in. Rows are flushed at most a second after they
changed, on another thread.

`reached(position)` is how anyone reads his own writes: a projection is behind the log by a moment,
and this waits for that moment to pass. `moved(job)` waits for a job to change, `listen` is for who
draws from the board.

At start it is also a witness: when the table has seen a position beyond the log's end, the log has
lost acknowledged events, and that is `StoreCorrupt`. It decides nothing and writes nothing to the
log.
"""

import asyncio
import heapq
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

from eventstore.errors import LOST_END_HINT, StoreCorrupt
from eventstore.event import Event
from eventstore.log import EventLog
from eventstore.offload import Offload
from projections.board import JobBoard
from projections.events import JOB_EVENTS
from projections.job import IllegalTransitionError, Job, evolve
from projections.table import Filter, JobTable

FLUSH_EVERY_S = 1.0
FLUSH_ROWS_MAX = 10_000  # a flush of this many takes about a tenth of a second, on its thread

logger = logging.getLogger("joblog.projector")


class Projector:
    """Keeps a board and a table up to date with a log."""

    def __init__(
        self, log: EventLog, board: JobBoard, table: JobTable, *, offload: Offload
    ) -> None:
        self._log = log
        self._board = board
        self._table = table
        self._offload = offload
        self.position = table.checkpoint
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # heap: position, turn
        self._turn = count()
        self._watching: dict[str, list[asyncio.Future[None]]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flushing = asyncio.Lock()

    async def catch_up(self) -> None:
        """Bring both to the log's end. Raises StoreCorrupt when the table has seen more than the
        log holds.
        """
        head = await self._log.head()
        if self.position > head:
            raise StoreCorrupt(
                f"the log ends at position {head}, but the table of jobs has seen {self.position}:"
                " acknowledged events are gone",
                file="jobs.sqlite",
                hint=LOST_END_HINT,
            )
        for job in self._table.open_jobs():
            self._board.apply(job)
        while self.position < head:
            self.apply(await self._log.read(self.position))
            if self._table.unflushed >= FLUSH_ROWS_MAX:
                await self.flush()

    async def follow(self) -> None:
        """Take in events as they come, for ever. Raises what the log raises when it fails."""
        self._flush_soon()  # what catching up left
        async for events in self._log.subscribe(self.position):
            self.apply(events)
            self._flush_soon()

    def apply(self, events: Sequence[Event]) -> None:
        """Take in the next events of the log, in order; then wake whoever waits for them."""
        for event in events:
            assert event.pos > self.position, f"{event.pos} after {self.position}"
            self._apply(event)
        self.position = events[-1].pos
        while self._waiting and self._waiting[0][0] <= self.position:
            _wake(heapq.heappop(self._waiting)[2])
        for listener in self._listeners:
            listener()

    async def reached(self, position: int) -> None:
        """Return once everything up to `position` was taken in."""
        if position > self.position:
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (position, next(self._turn), future))
            await future

    async def moved(self, job_id: str) -> None:
        """Return when the job next changes."""
        future = asyncio.get_running_loop().create_future()
        watching = self._watching.setdefault(job_id, [])
        watching.append(future)
        try:
            await future
        finally:
            watching.remove(future)
            if not watching and self._watching.get(job_id) is watching:
                del self._watching[job_id]

    def wake_watchers(self) -> None:
        """End every `moved`, whether or not the job did."""
        for watching in self._watching.values():
            for future in watching:
                _wake(future)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every batch of events."""
        self._listeners.append(listener)

    async def flush(self) -> None:
        """Write to disk what changed. A failure is not fatal: the rows stay in memory until the
        next time. A caller that is cancelled does not stop it.
        """
        if self.position != self._table.checkpoint:
            await asyncio.shield(asyncio.ensure_future(self._flush()))

    def get(self, job_id: str) -> Job | None:
        """The job as of `position`; None when there is none."""
        return self._board.get(job_id) or self._table.get(job_id)

    async def page(self, wanted: Filter, *, before: int | None, limit: int) -> list[Job]:
        """Jobs as of `position`, newest first; see JobTable.page."""
        await self.flush()
        return await self._offload.run(lambda: self._table.page(wanted, before=before, limit=limit))

    async def _flush(self) -> None:
        async with self._flushing:
            self._stop_flush_timer()
            position = self.position
            if position == self._table.checkpoint:
                return
            self._table.begin_flush()
            try:
                await self._offload.run(lambda: self._table.flush(position))
            except (sqlite3.Error, OSError) as error:
                self._table.abandon_flush()
                logger.warning("jobs.sqlite could not be written (will be tried again): %s", error)
            else:
                self._table.end_flush(position)

    def _apply(self, event: Event) -> None:
        before = None if event.rev == 1 else self.get(event.stream)
        if before is None and event.type != "JobCreated":
            if event.type in JOB_EVENTS:
                raise IllegalTransitionError(None, event)
            return  # a stream of something else: the log's own, a kind's
        job = evolve(before, event)
        assert job is not None
        self._board.apply(job)
        self._table.put(job)
        for future in self._watching.get(event.stream, ()):
            _wake(future)

    def _flush_soon(self) -> None:
        if self._flush_timer is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(FLUSH_EVERY_S, self._start_flush)
        if self._table.unflushed >= FLUSH_ROWS_MAX and not self._flushing.locked():
            self._start_flush()

    def _start_flush(self) -> None:
        self._stop_flush_timer()
        self._flush_task = asyncio.get_running_loop().create_task(self._flush(), name="flush jobs")

    def _stop_flush_timer(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None


def _wake(future: asyncio.Future[None]) -> None:
    with suppress(asyncio.InvalidStateError):  # who waited has gone
        future.set_result(None)
