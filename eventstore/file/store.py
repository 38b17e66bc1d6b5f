"""FileStore: one writer, JSON lines, group commits, and nothing shown before it is durable.

    DATA/lock            held with flock for the life of the writer
    DATA/log-id          which log this is
    DATA/log/*.jsonl     the log (see `segment`); everything else can be made again from it
    DATA/index.sqlite    stream -> lines (see `index`)
    DATA/torn/           what recoveries cut
    DATA/reserve         room kept for a full disk

A commit: check the expected heads, write and sync (one thread, off the event loop), then publish:
index, tail cache, waiters. Reads end at the last synced position, so a reader never sees what a
crash could take back. The newest events are kept as objects (the tail cache), so that whoever
follows the log needs neither disk nor decoding.

Not a cache of streams, and not a place for policy: what to do about a conflict or a full disk is
the caller's.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import accumulate
from random import Random

from eventstore import clock
from eventstore.errors import (
    Conflict,
    NotWritten,
    OutcomeUnknown,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreFailed,
)
from eventstore.event import NEW, Append, Event, latest, prepare
from eventstore.file import reserve
from eventstore.file.directory import Directory, open_directory
from eventstore.file.disk import Disk, SystemDisk
from eventstore.file.index import Index
from eventstore.file.reader import BAD_INDEX_HINT, Reader
from eventstore.file.recovery import recover
from eventstore.file.segment import SEGMENT_EVENTS
from eventstore.file.writer import Writer, Written
from eventstore.leisure import Leisure
from eventstore.offload import Offload
from eventstore.pace import Pace
from eventstore.store import LOG_STREAM, PAGE_MAX, Result, first_result, log_opened
from eventstore.timestamp import EPOCH, Timestamp

TAIL_EVENTS_MAX = 5_000  # about 5 MB: what followers may lag behind without reading the disk
PUBLISHED_EVENTS = 1_000  # between two looks at the clock: about a millisecond
TRIMMED_EVENTS = 500  # of the tail at once, or more: as many as a part of a commit brought
FLUSH_EVERY_S = 1.0  # how much of the newest log no second witness has seen yet
FLUSH_STREAMS_MAX = 20_000

logger = logging.getLogger("joblog.log")


class FileStore:
    """A log in a directory. Make one with `open`."""

    def __init__(
        self, directory: Directory, *, segment_events: int, offload: Offload, flush_offload: Offload
    ) -> None:
        """Blocking: recovers the log and catches the index up. Use `open`."""
        disk, root, log_id = directory.disk, directory.root, directory.log_id
        self._directory = directory
        self._offload = offload
        self._flush_offload = flush_offload
        self._reader = Reader(disk, root, log_id, segment_events=segment_events)
        self._index = Index(disk, f"{root}/index.sqlite", log_id)
        with ExitStack() as undo:
            undo.callback(self._index.close)
            recovered = recover(
                disk,
                root,
                log_id,
                self._reader,
                segment_events=segment_events,
                require_head=self._index.require_not_beyond,
            )
            self._tail = [line.event for line in recovered.lines[-TAIL_EVENTS_MAX:]]
            self._head = recovered.head
            self._time: Timestamp = self._last_time()
            self._catch_up_index()
            self._writer = Writer(
                disk, root, log_id, self._reader, recovered, segment_events=segment_events
            )
            undo.pop_all()
        reserve.ensure(disk, root)
        self._one_at_a_time = asyncio.Lock()
        self._moved = asyncio.Event()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flush: asyncio.Task[None] | None = None
        self._leisure = Leisure()
        self._closed = False
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        root: str,
        *,
        dice: Random,
        offload: Offload,
        owner: str = "",
        flush_offload: Offload | None = None,
        disk: Disk | None = None,
        segment_events: int = SEGMENT_EVENTS,
    ) -> "FileStore":
        """Open the log in directory `root`, or begin one there. `owner` tells others who holds it.

        `flush_offload`, if given, is a second thread for writing the index, so that commits need
        not wait for it. The store closes both when it is closed. Raises StoreLocked, StoreCorrupt,
        Unsupported, or OSError when the directory cannot be used.
        """

        def opened() -> FileStore:
            directory = open_directory(disk or SystemDisk(), root, owner=owner, dice=dice)
            try:
                return cls(
                    directory,
                    segment_events=segment_events,
                    offload=offload,
                    flush_offload=flush_offload or offload,
                )
            except BaseException:
                directory.release()
                raise

        store = await offload.run(opened)
        try:
            await store.begin()
        except BaseException:
            await store.aclose()
            raise
        return store

    async def begin(self) -> None:
        """Write the first event of a new log."""
        if self._head == 0:
            opened = log_opened(self.log_id, clock.now())
            first = prepare(LOG_STREAM, NEW, [opened], nonce=self.log_id[:16])
            [result] = await self.commit([first])
            if isinstance(result, StoreError):
                raise result

    @property
    def log_id(self) -> str:
        """Which log this is."""
        return self._directory.log_id

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        """See EventStore. A caller that is cancelled does not stop the commit."""
        committing = asyncio.ensure_future(self._commit(batch))
        committing.add_done_callback(_retrieve)
        return await asyncio.shield(committing)

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        """See EventStore."""
        self._refuse_if_closed()
        until = self._head
        start = after + 1 - self._tail[0].pos if self._tail else 0
        if start >= 0:
            return self._tail[start : start + limit]
        return await self._offload.run(lambda: self._reader.page(after, limit, until=until))

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        """See EventStore."""
        self._refuse_if_closed()
        return await self._offload.run(lambda: self._read_stream(stream, after_rev))

    async def head(self) -> int:
        """See EventStore."""
        self._refuse_if_closed()
        return self._head

    async def wait(self, after: int, timeout: float) -> None:
        """See EventStore. Raises StoreFailed once the store is poisoned, so that whoever follows it
        stops.
        """
        self._refuse_if_closed()
        self._refuse_if_failed()
        if after < self._head:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):  # `wait_for` can lose a cancellation in 3.11
                await self._moved.wait()
        self._refuse_if_closed()
        self._refuse_if_failed()

    async def aclose(self) -> None:
        """See EventStore."""
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.ensure_future(self._finish())
        await asyncio.shield(self._closing)

    async def _finish(self) -> None:
        async with self._one_at_a_time:
            if self._flush_timer is not None:
                self._flush_timer.cancel()
            await self.flush_index()
            self._announce()
            await self._offload.run(self._close)
        for offload in (self._offload, self._flush_offload):
            offload.close()

    async def flush_index(self) -> None:
        """Write what the index has in memory. After a failure it stays there."""
        with self._leisure.hurried():
            if self._flush is not None:
                await self._flush
            if self._index.unflushed:
                await self._flush_once()

    async def _commit(self, batch: Sequence[Append]) -> list[Result]:
        async with self._one_at_a_time:
            self._refuse_if_closed()
            self._refuse_if_failed()
            results, written = await self._offload.run(lambda: self._decide_and_write(batch))
            await self._publish(written)
            return results

    def _decide_and_write(self, batch: Sequence[Append]) -> tuple[list[Result], list[Written]]:
        """The blocking part: which appends stand where they expect to, and writing those."""
        results = [self._refusal(append) for append in batch]
        chosen = [append for append, result in zip(batch, results, strict=True) if result is None]
        times = accumulate((append.time for append in chosen), latest, initial=self._time)
        try:
            written = self._writer.commit(chosen, list(times)[1:]) if chosen else []
        except (NotWritten, OutcomeUnknown, StoreFailed) as error:
            return [error if result is None else result for result in results], []
        done = iter(written)
        final = [
            [next(done).event for _ in append.events] if result is None else result
            for append, result in zip(batch, results, strict=True)
        ]
        return final, written

    def _refusal(self, append: Append) -> Result | None:
        """The answer to an append that is not to be written: it conflicts, or was recorded before
        (C3).
        """
        actual = self._index.head(append.stream, fresh=append.fresh)
        if actual == append.expected:
            return None
        since = self._read_stream(append.stream, append.expected.rev)
        return first_result(append, since) or Conflict(append.stream, append.expected, actual)

    async def _publish(self, written: list[Written]) -> None:
        """What is durable may be seen, of a large commit one part after another. Runs on the event
        loop, between commits.
        """
        pace = Pace()
        for start in range(0, len(written), PUBLISHED_EVENTS):
            part = written[start : start + PUBLISHED_EVENTS]
            self._tail += [item.event for item in part]
            self._index.add(part)
            self._head = part[-1].event.pos
            self._time = part[-1].event.time
            self._trim_tail()
            await pace.breathe()
        if written:
            self._flush_soon()
        if written or self._writer.failure is not None:
            self._announce()

    def _trim_tail(self) -> None:
        """Forget the eldest, a few at a time: to free thousands of events takes milliseconds."""
        if len(self._tail) >= TAIL_EVENTS_MAX + TRIMMED_EVENTS:
            self._tail = self._tail[-TAIL_EVENTS_MAX:]

    def _read_stream(self, stream: str, after_rev: int) -> list[Event]:
        places = self._index.places(stream)[after_rev:]
        tail = self._tail  # taken after the places, so it reaches as far; trimming replaces it
        start = tail[0].pos if tail else self._head + 1
        old = [place for place in places if place.pos < start]
        events = self._reader.at(old) + [tail[place.pos - start] for place in places[len(old) :]]
        for rev, event in enumerate(events, after_rev + 1):
            if event.stream != stream or event.rev != rev:
                raise StoreCorrupt(
                    f"position {event.pos} is revision {event.rev} of {event.stream},"
                    f" not {rev} of {stream}",
                    hint=BAD_INDEX_HINT,
                )
        return events

    def _catch_up_index(self) -> None:
        """Read what the index has not seen: after a crash a second's worth, after its deletion
        everything.
        """
        after = self._index.checkpoint
        while after < self._head:
            lines = self._reader.lines(after, 20 * PAGE_MAX, until=self._head)
            self._index.add(Written.of(line) for line in lines)
            after = lines[-1].event.pos
            self._index.flush_now()

    def _flush_soon(self) -> None:
        if self._index.unflushed >= FLUSH_STREAMS_MAX:
            self._start_flush()
        elif self._flush_timer is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(FLUSH_EVERY_S, self._start_flush)

    def _start_flush(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if self._flush is None and not self._closed and self._index.unflushed:
            self._flush = asyncio.get_running_loop().create_task(self._flush_once())
            self._flush.add_done_callback(self._flushed)

    def _flushed(self, _: asyncio.Task[None]) -> None:
        self._flush = None
        if self._index.unflushed and not self._closed:
            self._flush_soon()

    async def _flush_once(self) -> None:
        checkpoint = self._index.begin_flush()
        try:
            await self._flush_offload.run(lambda: self._flush_blocking(checkpoint))
        except (sqlite3.Error, OSError) as error:
            self._index.abandon_flush()
            logger.warning("the index could not be written (it will be tried again): %s", error)
            return
        self._index.end_flush(checkpoint)

    def _flush_blocking(self, checkpoint: int) -> None:
        self._index.flush(checkpoint, self._leisure.begin())
        reserve.ensure(self._directory.disk, self._directory.root)

    def _last_time(self) -> Timestamp:
        """The time of the last event, which may be in the segment before an empty newest one."""
        if not self._tail and self._head:
            self._tail = self._reader.page(self._head - 1, 1, until=self._head)
        return self._tail[-1].time if self._tail else EPOCH

    def _announce(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _close(self) -> None:
        self._index.close()
        self._writer.close()
        self._directory.release()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreClosed

    def _refuse_if_failed(self) -> None:
        if self._writer.failure is not None:
            raise StoreFailed(self._writer.failure)


def _retrieve(task: asyncio.Task[list[Result]]) -> None:
    """Whoever waited may have gone: then nobody else asks how it ended."""
    if not task.cancelled():
        task.exception()
