"""One commit: number, stamp and encode its lines, one write, one sync. Blocking; runs off the event
loop.

A commit that reaches a segment's end is two: fill the old file and sync it, then create the next
one, write, sync, and sync the directory. Only after the last of these may anything of it be
acknowledged or shown.

What an error means, and why:

- lack of room (or of file descriptors): the commit is cut back, the cut is synced, and it is
  certainly not written. At the first lack of room the reserve file is given up and the commit tried
  once more, so that attempts already running can still be recorded;
- any error of a sync, any other error of a write, a file whose size is not what we left: nothing
  about the disk can be trusted any more (after a failed fdatasync the next one answers OK and the
  data is gone). The writer is *poisoned*: it refuses everything until the log is opened again,
  which reads what is really there. It never guesses.

No decisions here about heads or who may append: that is the store's.
"""

import errno
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from eventstore.errors import NotWritten, OutcomeUnknown, StoreFailed
from eventstore.event import Append, Event, line_head, place
from eventstore.file import reserve
from eventstore.file.disk import Disk
from eventstore.file.reader import Place, Reader
from eventstore.file.recovery import Recovered
from eventstore.file.reserve import NO_ROOM
from eventstore.file.segment import Line, framing, seed_of
from eventstore.timestamp import Timestamp

PASSING = NO_ROOM | {errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True, slots=True)
class Written:
    """An event as recorded, and where."""

    event: Event
    place: Place

    @classmethod
    def of(cls, line: Line) -> "Written":
        """An event that was read."""
        return cls(line.event, Place(line.event.pos, line.offset))


@dataclass(frozen=True, slots=True)
class _End:
    """Where the log ends: enough to go back to."""

    first: int
    size: int
    head: int


class Writer:
    """Appends to the newest segment. `head` and `time` are those of the last synced event."""

    def __init__(
        self,
        disk: Disk,
        root: str,
        log_id: str,
        reader: Reader,
        recovered: Recovered,
        *,
        segment_events: int,
    ) -> None:
        self._disk = disk
        self._root = root
        self._log_id = log_id
        self._reader = reader
        self._segment_events = segment_events
        self._first = recovered.first
        self._size = recovered.size
        self._handle = disk.open(reader.path(recovered.first))
        self.head = recovered.head
        self.failure: str | None = None

    def commit(self, appends: Sequence[Append], times: Sequence[Timestamp]) -> list[list[Written]]:
        """Write and sync these appends, stamped with these times; what each became, in order.

        Raises NotWritten when certainly nothing of it is there, OutcomeUnknown when this commit
        poisoned the writer, StoreFailed when it was poisoned before.
        """
        if self.failure is not None:
            raise StoreFailed(self.failure)
        start = _End(self._first, self._size, self.head)
        try:
            self._require_untouched()
            try:
                return self._write(appends, times)
            except OSError as error:
                if error.errno not in NO_ROOM or not reserve.give_up(self._disk, self._root):
                    raise
                self._go_back(start)
                return self._write(appends, times)
        except _SyncFailedError as error:
            raise self._poison(str(error)) from error
        except OSError as error:
            if error.errno not in PASSING:
                raise self._poison(f"writing the log failed: {error}") from error
            try:
                self._go_back(start)
            except (OSError, _SyncFailedError) as cut:
                raise self._poison(f"cutting back a failed write failed: {cut}") from cut
            raise NotWritten(errno.errorcode[error.errno or 0]) from error

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):
            self._disk.close(self._handle)

    def _write(self, appends: Sequence[Append], times: Sequence[Timestamp]) -> list[list[Written]]:
        """All lines, segment by segment; each segment's part is one write and one sync."""
        results: list[list[Written]] = [[] for _ in appends]
        todo = [(n, i) for n, append in enumerate(appends) for i in range(len(append.events))]
        pos = self.head + 1
        while todo:
            room = self._first + self._segment_events - pos
            if room == 0:
                self._next_segment(pos)
                room = self._segment_events
            part, todo = todo[:room], todo[room:]
            data: list[bytes] = []
            offset = self._size
            for number, (n, i) in enumerate(part):
                event = self._line(appends[n], i, pos + number, times[n], commit=pos)
                results[n].append(Written(event, Place(event.pos, offset)))
                data.append(event.line)
                offset += len(event.line) + 1
            self._write_synced(b"\n".join(data) + b"\n")
            pos += len(part)
        self.head = pos - 1
        return results

    def _line(self, append: Append, i: int, pos: int, time: Timestamp, *, commit: int) -> Event:
        new = append.events[i]
        rev = append.expected.rev + 1 + i
        closing = framing(
            line_head(pos, time, new, append.stream, rev) + append.bodies[i],
            more=i + 1 < len(append.events),
            commit=commit if commit != pos else None,
            seed=seed_of(self._log_id, self._first),
        )
        return place(append, i, pos=pos, time=time, framing=closing)

    def _write_synced(self, data: bytes) -> None:
        fresh = self._size == 0
        written = 0
        while written < len(data):
            count = self._disk.write(self._handle, data[written:] if written else data)
            if count == 0:
                raise OSError(errno.EIO, "write takes no bytes")
            written += count
        self._size += len(data)
        self._sync()
        if fresh:
            self._sync_names()

    def _sync(self) -> None:
        try:
            self._disk.datasync(self._handle)
        except OSError as error:
            raise _SyncFailedError(f"syncing the log failed: {error}") from error

    def _sync_names(self) -> None:
        try:
            self._disk.syncdir(f"{self._root}/log")
        except OSError as error:
            raise _SyncFailedError(f"syncing the log's directory failed: {error}") from error

    def _next_segment(self, first: int) -> None:
        handle = self._disk.create(self._reader.path(first))
        self._disk.close(self._handle)
        self._handle, self._first, self._size = handle, first, 0

    def _go_back(self, end: _End) -> None:
        """Undo what a failed commit left: the log ends, durably, where it did before."""
        if self._first != end.first:
            self._disk.close(self._handle)
            self._disk.unlink(self._reader.path(self._first))
            self._sync_names()
            self._handle = self._disk.open(self._reader.path(end.first))
        self._disk.truncate(self._handle, end.size)
        self._sync()
        self._first, self._size, self.head = end.first, end.size, end.head

    def _require_untouched(self) -> None:
        size = self._disk.size(self._handle)
        if size != self._size:
            found = f"{self._reader.path(self._first)} has {size} bytes, we left {self._size}"
            raise _SyncFailedError(f"somebody else wrote the log: {found}")

    def _poison(self, reason: str) -> OutcomeUnknown:
        self.failure = f"{reason}. Restart after looking at the disk; nothing acknowledged is lost"
        return OutcomeUnknown(self.failure)


class _SyncFailedError(Exception):
    """Nothing about the file is known any more."""
