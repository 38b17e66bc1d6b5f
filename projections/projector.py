"""Feeds the board and the table from a log: catch up, follow, and tell who waits that a position
was reached.

Each event is folded once: the job before it comes from the board (open jobs) or the table (finished
ones), `evolve` makes the next, and both take that in. The board has the whole of few jobs; it reads
the others back from the table, which has all of them. Rows are flushed at most a second after they
changed, on another thread, and at leisure unless somebody waits for them.

Lists and counts come from the table, and are refused while it cannot be written; a single job is
always told as it is.

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
from contextlib import nullcontext, suppress
from itertools import count
from typing import Final

from eventstore.errors import LOST_END_HINT, StoreCorrupt
from eventstore.event import Event
from eventstore.leisure import Leisure
from eventstore.log import EventLog
from eventstore.offload import Offload
from eventstore.pace import Pace
from eventstore.timestamp import Timestamp
from projections.board import JobBoard
from projections.events import JOB_EVENTS
from projections.job import IllegalTransitionError, Job, evolve
from projections.kind import KIND_STREAM, Kind, evolve_kind
from projections.stats import JobStats
from projections.table import Filter, JobTable

APPLIED_EVENTS: Final = 100  # between two looks at the clock: about a millisecond
FLUSH_EVERY_S = 1.0
FLUSH_ROWS_MAX = 10_000  # a flush of this many takes about a tenth of a second, on its thread
BACKLOG_ROWS = 2 * FLUSH_ROWS_MAX  # so many, because flushes at leisure cannot keep up

logger = logging.getLogger("joblog.projector")


class NotFlushedError(Exception):
    """The table could not be written, so a list or a count would lack what is in memory only."""

    def __init__(self, wanted: int, checkpoint: int) -> None:
        super().__init__(
            f"the table of jobs could be written up to position {checkpoint} only, not yet to"
            f" {wanted}"
        )


class Projector:
    """Keeps a board and a table up to date with a log."""

    def __init__(
        self, log: EventLog, board: JobBoard, table: JobTable, *, offload: Offload
    ) -> None:
        self._log = log
        self._board = board
        self._table = table
        self._offload = offload
        board.recall_by(table.recall)
        self.position = table.checkpoint
        self.stats = JobStats()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # heap: position, turn
        self._gone = 0  # at least so many of them wait no more
        self._turn = count()
        self._watching: dict[str, list[asyncio.Future[None]]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._foreseen: dict[int, Job] = {}  # position -> the job after that event
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flushing = asyncio.Lock()
        self._leisure = Leisure()
        self._begun = False

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
        if self._begun or self.position != self._table.checkpoint:
            await self._fold_up_to(head, self.apply)
        else:
            self._begin()
            await self._fold_up_to(head, self._apply_to_table)
            self._begin_board()

    async def _fold_up_to(self, head: int, apply: Callable[[Sequence[Event]], None]) -> None:
        """Everything up to `head`; what was folded is written while the next is."""
        flushing: asyncio.Task[None] | None = None
        try:
            while self.position < head:
                apply(await self._log.read(self.position))
                if self._table.unflushed >= FLUSH_ROWS_MAX:
                    if flushing is not None:
                        await flushing
                    flushing = asyncio.create_task(self.flush(), name="flush jobs")
        finally:
            if flushing is not None:
                await flushing

    async def follow(self) -> None:
        """Take in events as they come, for ever. Raises what the log raises when it fails."""
        self._flush_soon()  # what catching up left
        async for events in self._log.subscribe(self.position):
            pace = Pace()
            for start in range(0, len(events), APPLIED_EVENTS):
                self.apply(events[start : start + APPLIED_EVENTS])
                await pace.breathe()
            self._flush_soon()

    def apply(self, events: Sequence[Event]) -> None:
        """Take in the next events of the log, in order; then wake whoever waits for them."""
        for event in events:
            assert event.pos > self.position, f"{event.pos} after {self.position}"
            self._apply(event)
        self._arrive(events[-1].pos)

    def foresee(self, event: Event, job: Job) -> None:
        """What somebody who folded an event already made of it: then it is not folded again."""
        if event.pos > self.position:
            self._foreseen[event.pos] = job

    async def reached(self, position: int) -> None:
        """Return once everything up to `position` was taken in."""
        if position > self.position:
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (position, next(self._turn), future))
            try:
                await future
            finally:
                if future.cancelled():
                    self._forget_gone()

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
            with self._leisure.hurried():
                await asyncio.shield(asyncio.ensure_future(self._flush()))

    def get(self, job_id: str) -> Job | None:
        """The job as of `position`; None when there is none."""
        return self._board.get(job_id) or self._table.get(job_id)

    def at_hand(self, job_id: str) -> Job | None:
        """The same, if it changed so lately that nothing has to be read."""
        return self._table.unwritten(job_id)

    def kind(self, name: str) -> Kind:
        """What holds for a kind as of `position`."""
        return self._board.kind(name)

    async def page(self, wanted: Filter, *, before: int | None, limit: int) -> list[Job]:
        """Jobs as of `position`, newest first; see JobTable.page. Raises NotFlushedError."""
        await self._require_flushed()
        return await self._offload.run(lambda: self._table.page(wanted, before=before, limit=limit))

    async def count(self, wanted: Filter) -> int:
        """How many jobs, as of `position`, are wanted. Raises NotFlushedError."""
        await self._require_flushed()
        return await self._offload.run(lambda: self._table.count(wanted))

    async def due(self, now: Timestamp) -> tuple[int, Timestamp | None]:
        """How many jobs are due, and since when the one is that is so longest. Raises
        NotFlushedError.
        """
        await self._require_flushed()
        number = self._board.due(now)
        since = await self._offload.run(lambda: self._table.due_since(now)) if number else None
        return number, since

    async def _require_flushed(self) -> None:
        """Bring the table to where we are; a list without a word of what it lacks would be a lie.

        Raises NotFlushedError.
        """
        wanted = self.position
        await self.flush()
        if self._table.checkpoint < wanted:
            raise NotFlushedError(wanted, self._table.checkpoint)

    async def _flush(self) -> None:
        async with self._flushing:
            self._stop_flush_timer()
            position = self.position
            if position == self._table.checkpoint:
                return
            in_haste = self._table.unflushed >= BACKLOG_ROWS
            self._table.begin_flush()
            try:
                with self._leisure.hurried() if in_haste else nullcontext():
                    await self._offload.run(
                        lambda: self._table.flush(position, self._leisure.begin())
                    )
            except (sqlite3.Error, OSError) as error:
                self._table.abandon_flush()
                logger.warning("jobs.sqlite could not be written (will be tried again): %s", error)
            except Exception:  # not a cancellation: then the thread goes on writing them
                self._table.abandon_flush()
                raise
            else:
                self._table.end_flush(position)

    def _begin(self) -> None:
        """From what was flushed: of the kinds, and of how many jobs there are."""
        for kind in self._table.kinds():
            self._board.apply_kind(kind)
        self.stats.begin(self._table.counts())

    def _begin_board(self) -> None:
        """The board needs the open jobs: those that were flushed, and what is newer."""
        self._board.begin(self._table.waiting(), passed=self._table.newest_at())
        for job in self._table.running():
            self._board.apply(job)
        for job in self._table.unwritten_jobs():
            self._board.apply(job)
        self._begun = True

    def _arrive(self, position: int) -> None:
        """Everything up to there was taken in."""
        self.position = position
        while self._waiting and self._waiting[0][0] <= self.position:
            _wake(heapq.heappop(self._waiting)[2])
        for listener in self._listeners:
            listener()

    def _apply(self, event: Event) -> None:
        job = self._folded(event, self.get)
        if job is not None:
            self._board.apply(job)
            self._table.put(job)
            for future in self._watching.get(event.stream, ()):
                _wake(future)

    def _apply_to_table(self, events: Sequence[Event]) -> None:
        """The next events of the log, while the board has no jobs yet: most of those that are open
        now will have ended before it is asked for any.
        """
        known = {event.stream for event in events} - {e.stream for e in events if e.rev == 1}
        jobs = self._table.newest(known)
        for event in events:
            job = self._folded(event, jobs.get)
            if job is not None:
                jobs[event.stream] = job
        self._table.put_all(jobs)
        self._arrive(events[-1].pos)

    def _folded(self, event: Event, get: Callable[[str], Job | None]) -> Job | None:
        """The job after an event; None when that is about something else. `get` has the job before
        it.
        """
        if event.stream.startswith(KIND_STREAM):
            name = event.stream.removeprefix(KIND_STREAM)
            self._keep_kind(evolve_kind(self._board.kind(name), event))
            return None
        before = None if event.rev == 1 else get(event.stream)
        if before is None and event.type != "JobCreated":
            if event.type in JOB_EVENTS:
                raise IllegalTransitionError(None, event)
            return None  # a stream of something else: the log's own
        job = self._foreseen.pop(event.pos, None) or evolve(before, event)
        assert job is not None
        self.stats.apply(before, job)
        if event.type == "AttemptStarted" and (kind := self._board.started(job.kind, event.time)):
            self._table.put_kind(kind)
        return job

    def _keep_kind(self, kind: Kind) -> None:
        self._board.apply_kind(kind)
        self._table.put_kind(kind)

    def _forget_gone(self) -> None:
        """Somebody waits no more. Who waited for what may never come must not be kept for ever; to
        sweep once half of them are gone costs each of them next to nothing.
        """
        self._gone += 1
        if 2 * self._gone > len(self._waiting):
            self._waiting = [each for each in self._waiting if not each[2].done()]
            heapq.heapify(self._waiting)
            self._gone = 0

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
