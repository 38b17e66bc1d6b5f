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
from typing import NamedTuple

from eventstore.errors import NotWritten, OutcomeUnknown, StoreFailed
from eventstore.event import Append, Event, line_head, placed
from eventstore.file import reserve
from eventstore.file.disk import Disk
from eventstore.file.reader import Reader
from eventstore.file.recovery import Recovered
from eventstore.file.reserve import NO_ROOM
from eventstore.file.segment import MORE, Line, closed, commit_mark, seed_of
from eventstore.timestamp import Timestamp

PASSING = NO_ROOM | {errno.EMFILE, errno.ENFILE}


class Written(NamedTuple):
    """An event as recorded, and where its line begins in its segment."""

    event: Event
    offset: int

    @classmethod
    def of(cls, line: Line) -> "Written":
        """An event that was read."""
        return cls(line.event, line.offset)


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
        self._begin(recovered.first)
        self._size = recovered.size
        self._handle = disk.open(reader.path(recovered.first))
        self.head = recovered.head
        self.failure: str | None = None

    def commit(self, appends: Sequence[Append], times: Sequence[Timestamp]) -> list[Written]:
        """Write and sync these appends, stamped with these times; their events in order.

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

    def _write(self, appends: Sequence[Append], times: Sequence[Timestamp]) -> list[Written]:
        """All lines, segment by segment; each segment's part is one write and one sync."""
        todo = [
            (append, i, time)
            for append, time in zip(appends, times, strict=True)
            for i in range(len(append.events))
        ]
        written: list[Written] = []
        while todo:
            pos = self.head + 1 + len(written)
            room = self._first + self._segment_events - pos
            if room == 0:
                self._next_segment(pos)
                room = self._segment_events
            part, todo = todo[:room], todo[room:]
            written += self._write_part(part, commit=pos)
        self.head += len(written)
        return written

    def _write_part(
        self, part: list[tuple[Append, int, Timestamp]], *, commit: int
    ) -> list[Written]:
        """The lines of one commit, whose first position is `commit`."""
        offset, mark, seed = self._size, commit_mark(commit), self._seed
        written: list[Written] = []
        lines: list[bytes] = []
        for pos, (append, i, time) in enumerate(part, commit):
            new, rev = append.events[i], append.expected.rev + 1 + i
            open_line = line_head(pos, time, new, append.stream, rev) + append.bodies[i]
            if i + 1 < len(append.events):
                open_line += MORE
            line = closed(open_line if pos == commit else open_line + mark, seed)
            event = placed(append, new, rev, pos=pos, time=time, line=line)
            written.append(Written(event, offset))
            lines.append(line)
            offset += len(line) + 1
        lines.append(b"")
        self._write_synced(b"\n".join(lines))
        return written

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
        self._handle, self._size = handle, 0
        self._begin(first)

    def _begin(self, first: int) -> None:
        """From here on it is the segment of this first position."""
        self._first = first
        self._seed = seed_of(self._log_id, first)

    def _go_back(self, end: _End) -> None:
        """Undo what a failed commit left: the log ends, durably, where it did before."""
        if self._first != end.first:
            self._disk.close(self._handle)
            # The newest first and each for good, so that a crash in between leaves no gap.
            for first in range(self._first, end.first, -self._segment_events):
                self._disk.unlink(self._reader.path(first))
                self._sync_names()
            self._handle = self._disk.open(self._reader.path(end.first))
        self._disk.truncate(self._handle, end.size)
        self._sync()
        self._begin(end.first)
        self._size, self.head = end.size, end.head

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
