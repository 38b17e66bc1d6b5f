"""Reading a log directory: pages of the whole log, and single lines by their place.

Every line that is returned was checked: its checksum, and that it stands where its position says.
Damage is raised as `StoreCorrupt` with file, line and byte, never skipped. Two ways to end: a store
that writes the log passes `until`, the last position it synced, and a reader never looks beyond it
(the bytes of a commit under way are already in the file, but nobody may see them before they are
durable). Without `until`, for a log at rest, a torn tail is the end.

It takes no lock and writes nothing, so commands may read a log that a server is writing.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from eventstore.errors import StoreCorrupt
from eventstore.event import Event
from eventstore.file.disk import Disk
from eventstore.file.segment import (
    SEGMENT_EVENTS,
    Fault,
    Line,
    early_end,
    file_name,
    first_of,
    good_line,
    scan,
    seed_of,
    segment_of,
)

CHUNK_BYTES = 256 * 1024  # a thousand lines or so: one page is one or two reads
LINE_CHUNK_BYTES = 4 * 1024  # most lines are a tenth of it
RESUME_POINTS_MAX = 64  # how many followers need no search for their place
VERIFY_HINT = (
    "Nothing was changed. `joblog verify` lists all damage; restore the file from a backup"
)
BAD_INDEX_HINT = "The index is wrong: stop the server, delete index.sqlite and start it again"

PLACE = struct.Struct("<QI")  # position, offset in its segment


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line is: its position names the file, `offset` is its first byte there."""

    pos: int
    offset: int


class Reader:
    """Reads the segments below `root`/log."""

    def __init__(
        self, disk: Disk, root: str, log_id: str, *, segment_events: int = SEGMENT_EVENTS
    ) -> None:
        self._disk = disk
        self._root = root
        self.log_id = log_id
        self._segment_events = segment_events
        self._resume: dict[int, int] = {}  # position -> its offset, for the ends of recent pages

    def page(self, after: int, limit: int, *, until: int | None = None) -> list[Event]:
        """Events in order from the first above `after`; see the module about `until`."""
        return [line.event for line in self.lines(after, limit, until=until)]

    def lines(self, after: int, limit: int, *, until: int | None = None) -> list[Line]:
        """The same with their framing and offsets."""
        found: list[Line] = []
        while len(found) < limit and (until is None or after < until):
            first = segment_of(after + 1, self._segment_events)
            last = first + self._segment_events - 1
            stop = min(last, after + limit - len(found), last if until is None else until)
            lines = self._lines_of(first, after, stop, at_rest=until is None)
            found += lines
            after += len(lines)
            if after < stop or not lines:
                break
        return found

    def at(self, places: Iterable[Place]) -> list[Event]:
        """The events at these places, in this order."""
        return [self._line_at(place).event for place in places]

    def segments(self) -> list[int]:
        """First positions of the segments there are, in order."""
        names = self._disk.listdir(f"{self._root}/log")
        return [first for name in names if (first := first_of(name)) is not None]

    def path(self, first: int) -> str:
        """The file of the segment that starts at `first`."""
        return f"{self._root}/log/{file_name(first)}"

    def scan_segment(self, first: int, *, sealed: bool) -> tuple[list[Line], Fault | None]:
        """All of a segment; see `segment.scan`."""
        found = scan(
            read_whole(self._disk, self.path(first)),
            first=first,
            seed=seed_of(self.log_id, first),
            sealed=sealed,
        )
        return found.lines, found.fault

    def corrupt(self, first: int, fault: Fault) -> StoreCorrupt:
        """The error for a fault in a segment."""
        return StoreCorrupt(
            fault.found, file=self.path(first), line=fault.line, byte=fault.byte, hint=VERIFY_HINT
        )

    def _lines_of(self, first: int, after: int, stop: int, *, at_rest: bool) -> list[Line]:
        """Lines of one segment with `after` < position <= `stop`; fewer only at rest, at the log's
        end.
        """
        try:
            handle = self._disk.open(self.path(first))
        except FileNotFoundError:
            if at_rest and first not in self.segments() and not self._is_followed(first):
                return []
            raise StoreCorrupt(
                "the segment is missing", file=self.path(first), hint=VERIFY_HINT
            ) from None
        try:
            lines, bad = self._good_lines(handle, first, after, stop)
        finally:
            self._disk.close(handle)
        if after + len(lines) < stop and (bad or not at_rest or self._is_followed(first)):
            self._judge(first, needed=None if at_rest else stop)
        return lines

    def _good_lines(
        self, handle: int, first: int, after: int, stop: int
    ) -> tuple[list[Line], bool]:
        """The lines wanted, and whether a bad one ended them."""
        seed = seed_of(self.log_id, first)
        lines: list[Line] = []
        start, start_offset = self._start(first, after)
        for here, (offset, raw) in enumerate(self._raw_lines(handle, start_offset), start):
            if here <= after:
                continue
            line = good_line(raw, offset=offset, seed=seed)
            if line is None or line.event.pos != here:
                return lines, True
            lines.append(line)
            if here == stop:
                break
        if lines:
            self._remember(after + len(lines) + 1, lines[-1].offset + len(lines[-1].event.line) + 1)
        return lines, False

    def _start(self, first: int, after: int) -> tuple[int, int]:
        """A position at or before `after` + 1 whose offset is known, and that offset."""
        offset = self._resume.get(after + 1)
        return (after + 1, offset) if offset is not None and after + 1 != first else (first, 0)

    def _remember(self, pos: int, offset: int) -> None:
        self._resume[pos] = offset
        while len(self._resume) > RESUME_POINTS_MAX:
            del self._resume[next(iter(self._resume))]

    def _raw_lines(
        self, handle: int, offset: int, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of each line that has its end; what follows the last newline is a bad
        line.
        """
        rest = b""
        start = offset
        while chunk := self._disk.read(handle, start + len(rest), chunk_bytes):
            *whole, rest = (rest + chunk).split(b"\n")
            for raw in whole:
                yield start, raw
                start += len(raw) + 1
        if rest:
            yield start, b""

    def _line_at(self, place: Place) -> Line:
        first = segment_of(place.pos, self._segment_events)
        handle = self._disk.open(self.path(first))
        try:
            offset, raw = next(
                self._raw_lines(handle, place.offset, LINE_CHUNK_BYTES), (place.offset, b"")
            )
            line = good_line(raw, offset=offset, seed=seed_of(self.log_id, first))
            if line is not None and line.event.pos == place.pos:
                return line
        finally:
            self._disk.close(handle)
        self._judge(first, needed=place.pos)
        raise StoreCorrupt(
            f"position {place.pos} is not at byte {place.offset}",
            file=self.path(first),
            hint=BAD_INDEX_HINT,
        )

    def _judge(self, first: int, *, needed: int | None) -> None:
        """Raise if a segment is damaged, or ends before `needed`, the last position synced.
        For a log at rest that is not known: then a torn tail of the newest segment is its end.
        """
        if needed is None and self._is_followed(first):
            needed = first + self._segment_events - 1
        lines, found = self.scan_segment(first, sealed=needed is not None)
        if found is not None and found.durable:
            raise self.corrupt(first, found)
        if needed is not None and first + len(lines) <= needed:
            raise self.corrupt(first, early_end(first, lines))

    def _is_followed(self, first: int) -> bool:
        return any(other > first for other in self.segments())


def read_whole(disk: Disk, path: str, *, evict: bool = False) -> bytes:
    """All bytes of a file; with `evict`, as they are on the disk rather than in the page cache."""
    handle = disk.open(path)
    try:
        if evict:
            disk.evict(handle)
        parts: list[bytes] = []
        offset = 0
        while part := disk.read(handle, offset, 1024 * 1024):
            parts.append(part)
            offset += len(part)
        return b"".join(parts)
    finally:
        disk.close(handle)
