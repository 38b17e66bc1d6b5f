"""The log of a directory, read as it stands: no lock, no writing, and a server may run.

`LogFiles` is an EventStore that refuses to be written, so whatever reads a store (a projector, say)
reads files with it. It ends where the log ended when it was opened: at the last append that is
whole. What a torn tail holds was never acknowledged and is not shown. On a running server the very
last commit may be seen an instant before it is synced; that is the price of asking nobody.

Everything is read from the lines themselves and none of the caches, for truth over speed.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from random import Random

from eventstore.errors import LOST_END_HINT, StoreCorrupt, Unsupported
from eventstore.event import EVENTS_PER_APPEND_MAX, Append, Event
from eventstore.file.directory import read_log_id
from eventstore.file.disk import SystemDisk
from eventstore.file.reader import Reader, read_whole
from eventstore.file.segment import whole_appends
from eventstore.log import EventLog
from eventstore.offload import Inline
from eventstore.store import PAGE_MAX, Result
from projections.board import JobBoard
from projections.job import IllegalTransitionError
from projections.projector import Projector
from projections.table import MEMORY, JobTable
from projections.verify import LifeCycles
from service.cli.failure import Damage, Failure
from service.cli.progress import Advance, progress
from service.cli.witness import witnessed


class ReadOnlyDisk(SystemDisk):
    """The system's disk for who only reads: files of others, directories that nobody may write."""

    def open(self, path: str) -> int:
        """See Disk; for reading."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class LogFiles:
    """The events up to `end`."""

    def __init__(self, root: str) -> None:
        """Raises Failure when there is no log, and StoreCorrupt."""
        disk = ReadOnlyDisk()
        try:
            self.log_id = read_log_id(disk, root)
            disk.listdir(f"{root}/log")
        except FileNotFoundError as error:
            raise no_log(root) from error
        self._reader = Reader(disk, root, self.log_id)
        self._disk = disk
        acknowledged = max(witnessed(root).values())
        self._seen = self._newest()
        self.end = self._whole_end(max(0, self._seen[0] - 1 - EVENTS_PER_APPEND_MAX))
        self._require(acknowledged)

    def extend(self) -> bool:
        """Take in what was appended since; whether there was anything."""
        seen, end = self._newest(), self.end
        if seen != self._seen:
            self._seen = seen
            self.end = self._whole_end(end)
        return self.end > end

    def pages(self, after: int = 0) -> Iterator[list[Event]]:
        """The events above a position, in order, up to `end`."""
        while after < self.end:
            page = self._reader.page(after, min(PAGE_MAX, self.end - after))
            if not page:
                raise Failure("the log became shorter while it was read: a failed write was undone")
            yield page
            after = page[-1].pos

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        """See EventStore."""
        raise Unsupported(f"these files are only read, not given {len(batch)} appends")

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        """See EventStore."""
        return next(self.pages(after), [])[:limit]

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        """See EventStore."""
        return [event for event in self.of_stream(stream) if event.rev > after_rev]

    def of_stream(self, stream: str) -> list[Event]:
        """All events of a stream, oldest first; reads the whole log for them."""
        found: list[Event] = []
        with progress(self.end, "reading the log") as advance:
            for page in self.pages():
                found += [event for event in page if event.stream == stream]
                advance(len(page))
        return found

    async def head(self) -> int:
        """See EventStore."""
        return self.end

    async def wait(self, after: int, timeout: float) -> None:
        """See EventStore. Nobody wakes us, so this returns at once."""

    async def aclose(self) -> None:
        """See EventStore."""

    def _whole_end(self, start: int) -> int:
        """The position of the last append that is whole; `start` if none is after it."""
        end = after = start
        first = self._seen[0]
        newest = read_whole(self._disk, self._reader.path(first)) if self._seen[1] else b""
        last = first - 1 + newest.count(b"\n")
        while after < last and (lines := self._reader.lines(after, min(PAGE_MAX, last - after))):
            after = lines[-1].event.pos
            whole = whole_appends(lines)
            end = whole[-1].event.pos if whole else end
        return end

    def _require(self, acknowledged: int) -> None:
        """Raise StoreCorrupt when the log ends before a position that was acknowledged."""
        if acknowledged > self.end:
            first = self._seen[0]
            _, fault = self._reader.scan_segment(first, sealed=True)
            if fault is not None:
                raise self._reader.corrupt(first, fault)
            found = f"the log ends at {self.end}, its caches have seen {acknowledged}"
            raise StoreCorrupt(f"{found}: acknowledged events are gone", hint=LOST_END_HINT)

    def _newest(self) -> tuple[int, int]:
        """The newest segment and its size: what changes when the log grows."""
        first = max(self._reader.segments(), default=1)
        try:
            handle = self._disk.open(self._reader.path(first))
        except FileNotFoundError:
            return first, 0
        try:
            return first, self._disk.size(handle)
        finally:
            self._disk.close(handle)


@contextmanager
def replayed(log: LogFiles) -> Iterator[JobTable]:
    """All jobs, computed anew from a log up to its end: what a server would know.

    Raises Damage for what cannot have happened, and for what makes no sense to whoever reads it.
    """
    with closing(JobTable(MEMORY, log_id=log.log_id)) as table:
        never = Random(0)  # noqa: S311  nothing is appended, so nothing is drawn
        projector = Projector(EventLog(log, dice=never), JobBoard(), table, offload=Inline())
        try:
            with progress(log.end, "replaying the log") as advance:
                asyncio.run(_caught_up(projector, advance))
            yield table
        except IllegalTransitionError as error:
            raise Damage(str(error)) from error
        except (KeyError, TypeError, ValueError):
            _require_sense(log)
            raise


def _require_sense(log: LogFiles) -> None:
    """Raise Damage for the first event that is not what its type says, or cannot follow: a fold
    that fails is looked into only then, because a check of every event would cost every replay.
    """
    stories = LifeCycles()
    for page in log.pages():
        for event in page:
            for found, is_note in stories.check(event):
                if not is_note:
                    told = f"position {event.pos}: {found}"
                    raise Damage(f"{told}. Nothing was changed; `joblog verify` lists all damage")


async def _caught_up(projector: Projector, advance: Advance) -> None:
    seen = 0

    def moved() -> None:
        nonlocal seen
        advance(projector.position - seen)
        seen = projector.position

    projector.listen(moved)
    await projector.catch_up()
    await projector.flush()


def no_log(root: str) -> Failure:
    """What to say when a directory holds no log, or has lost its id."""
    if os.path.isdir(f"{root}/log"):  # noqa: PTH112  beside the disk's own calls
        return Damage(f"{root}/log-id is missing beside a log: `joblog verify` tells what it was")
    return Failure(f"there is no log in {root}: give --data DIR, or start one there")
