"""Every line of a log checked, and all damage found, not only the first as by a start or a reader.

What it checks of the files: the log's id, the segments' names and sizes, each line's checksum,
position, form and framing; of the events: that times never go back, that the revisions of a stream
have no gaps, that appends are whole. Good lines are handed on as they are met, so that whoever
knows what events mean can check that in the same pass.

After a bad line it goes on with the next one, and takes its bearings from the first good line,
which can be trusted because its checksum is seeded with the log's id and the segment. So a lost or
an inserted line end costs its own lines and not the rest of the file.

**Torn is not damaged.** Bad bytes at the end of the newest segment with no later commit after them
(see `segment`), and an append there that lacks its end, were never acknowledged: that is a note.
On a running server they may be a commit that is just being written.

Memory: one segment's bytes, and one small number a stream, because a gap in its revisions can only
be seen by who remembers where it was. Reads only, takes no lock, repairs nothing. It cannot see
that the log's last commits are gone altogether: of that the caches are
witnesses, and who asks them says so by `acknowledged`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from eventstore.errors import StoreCorrupt
from eventstore.event import LINE_BYTES_MAX, Event
from eventstore.file.directory import CACHES, proved_id, read_log_id
from eventstore.file.disk import Disk
from eventstore.file.reader import read_whole
from eventstore.file.segment import (
    CRC_TAIL_BYTES,
    SEGMENT_EVENTS,
    Line,
    checksum_holds,
    file_name,
    first_of,
    good_line,
    good_lines,
    scan,
    seed_of,
    segment_of,
)
from eventstore.store import LOG_STREAM
from eventstore.timestamp import EPOCH

_HEAD = re.compile(
    rb'\{"pos":[1-9]\d*,"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",'
    rb'"type":"[A-Z][A-Za-z0-9]{0,63}","v":[1-9]\d*,'
    rb'"stream":"[A-Za-z0-9_-]{1,64}","rev":[1-9]\d*,"data":\{'
)
_NONCE = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something amiss, and where; line 0 means the file as a whole. A note is no damage.

    `gap_in` names a stream whose next line was found, but not all before it.
    """

    file: str
    found: str
    line: int = 0
    byte: int = 0
    is_note: bool = False
    gap_in: str | None = None


Found: TypeAlias = Line | Problem


@dataclass(frozen=True, slots=True)
class _Read:
    """A line where it stands. A bad one has no `line`; `pos` is the position it should have."""

    file: str
    number: int
    offset: int
    raw: bytes
    ended: bool
    pos: int
    line: Line | None

    def problem(self, found: str) -> Problem:
        return Problem(self.file, found, self.number, self.offset)


def verify(
    disk: Disk, root: str, *, acknowledged: int = 0, segment_events: int = SEGMENT_EVENTS
) -> Iterator[Found]:
    """The problems of the log in a directory, and its good lines, each where it is met.

    `acknowledged` is a position up to which a witness has seen the log: an end that is torn before
    it is damage. A line is held back until its append is known to be whole. Raises
    FileNotFoundError when there is no log.
    """
    log_id, problem = _identity(disk, root)
    if problem is not None:
        yield problem
    if log_id is not None:
        yield from _Verification(disk, root, log_id, acknowledged, segment_events).run()


class _Verification:
    """One pass over a log, and what it has to remember on the way."""

    def __init__(
        self, disk: Disk, root: str, log_id: str, acknowledged: int, segment_events: int
    ) -> None:
        self._disk = disk
        self._root = root
        self._log_id = log_id
        self._acknowledged = acknowledged
        self._segment_events = segment_events
        self._last: Event | None = None  # the last good line's
        self._pos = 0
        self._commit = 0
        self._lost = 0  # positions without a good line since then
        self._revs: dict[str, int] = {}
        self._held: list[Line] = []  # of an append whose end has not come
        self._held_from: Problem | None = None  # where that append begins
        self._torn: Problem | None = None
        self._torn_bytes = 0

    def run(self) -> Iterator[Found]:
        """All segments in order, then what the log ends in."""
        names = self._names()
        yield from self._about_names(names)
        firsts = self._firsts(names)
        for first in firsts:
            yield from self._segment(first, newest=first == firsts[-1])
        yield from self._end()

    def _names(self) -> list[str]:
        try:
            return self._disk.listdir(f"{self._root}/log")
        except FileNotFoundError:
            return []

    def _firsts(self, names: list[str]) -> list[int]:
        """First positions of the segments there are."""
        numbers = [first for name in names if (first := first_of(name)) is not None]
        return [first for first in numbers if self._segment_of(first) == first]

    def _about_names(self, names: list[str]) -> Iterator[Problem]:
        firsts = self._firsts(names)
        for name in names:
            path, first = f"{self._root}/log/{name}", first_of(name)
            if first is None:
                yield Problem(path, "this is no segment and was not read", is_note=True)
            elif first not in firsts:
                yield Problem(path, f"no segment begins at position {first}; this was not read")
        for first in range(1, firsts[-1] if firsts else 0, self._segment_events):
            if first not in firsts:
                yield Problem(self._path(first), "the segment is missing")
        caches = [name for name in self._disk.listdir(self._root) if name in CACHES]
        if caches and not firsts:
            yield Problem(f"{self._root}/log", f"the log is empty beside {' and '.join(caches)}")

    def _segment(self, first: int, *, newest: bool) -> Iterator[Found]:
        data = read_whole(self._disk, self._path(first))
        seed = seed_of(self._log_id, first)
        torn = _first_torn(self._reads(first, data), seed) if newest else None
        self._lost = max(self._lost, first - 1 - self._pos)
        for read in self._reads(first, data):
            if torn is not None and read.offset == torn.offset:
                self._torn = read.problem("")
                self._torn_bytes = len(data) - read.offset
                return
            yield from self._line(first, read)
        found = self._pos + self._lost - first + 1
        if not newest and found < self._segment_events:
            ends = f"the segment ends early, after {found} of {self._segment_events} lines"
            yield Problem(self._path(first), ends, data.count(b"\n") + 1, len(data))

    def _reads(self, first: int, data: bytes) -> Iterator[_Read]:
        """The lines of a segment, good and bad. What follows the last newline is a bad one."""
        seed, path = seed_of(self._log_id, first), self._path(first)
        good, bad, offset = first - 1, 0, 0
        *whole, rest = data.split(b"\n")
        for number, raw in enumerate([*whole, rest] if rest else whole, 1):
            ended = number <= len(whole)
            line = good_line(raw, offset=offset, seed=seed) if ended else None
            bad = 0 if line else bad + 1
            good = max(good, line.event.pos) if line else good
            pos = line.event.pos if line else good + bad
            yield _Read(path, number, offset, raw, ended, pos, line)
            offset += len(raw) + 1

    def _line(self, first: int, read: _Read) -> Iterator[Found]:
        """One line that was durable: what is wrong with it, then the lines that it releases."""
        if read.line is None:
            self._lost += 1
            yield read.problem(_describe(read, seed_of(self._log_id, first)))
            return
        if read.pos <= self._pos:
            yield read.problem(f"position {read.pos} stands after position {self._pos}")
            return
        missing = range(self._pos + self._lost + 1, read.pos)
        if missing:
            yield read.problem(f"{_positions(missing)} before position {read.pos}")
            self._lost += len(missing)
        if self._segment_of(read.pos) != first:
            yield read.problem(f"position {read.pos} belongs in another segment")
        for found in self._rules(first, read.line):
            yield read.problem(found)
        yield from self._revision(read, read.line.event)
        yield from self._released(read, read.line)
        self._last, self._pos, self._commit = read.line.event, read.pos, read.line.commit
        self._lost = 0

    def _rules(self, first: int, line: Line) -> Iterator[str]:
        """What one good line has to be, beside the one before it."""
        event = line.event
        size = len(without_framing(line))
        if not _HEAD.match(event.line):
            yield f"position {event.pos} is not written in the form of a line"
        if size > LINE_BYTES_MAX:
            yield f"position {event.pos} takes {size} bytes of {LINE_BYTES_MAX}"
        if not _NONCE.fullmatch(event.nonce):
            yield f"position {event.pos} does not say which append it came in"
        before = self._last.time if self._last else EPOCH
        if event.time < before:
            yield f"time goes back from {before} to {event.time}"
        if not self._fits_commit(first, line):
            yield f"position {event.pos} cannot be of a commit that began at {line.commit}"
        if event.pos == 1 and not self._opens(event):
            yield f"position 1 is not the opening of log {self._log_id}"

    def _revision(self, read: _Read, event: Event) -> Iterator[Problem]:
        rev = self._revs.get(event.stream, 0)
        if event.rev != rev + 1:
            found = f"revision {event.rev} of stream {event.stream} comes after revision {rev}"
            yield replace(read.problem(found), gap_in=event.stream)
        self._revs[event.stream] = event.rev

    def _fits_commit(self, first: int, line: Line) -> bool:
        """It begins a commit, or goes on with the last line's, or with one whose start was lost."""
        pos = line.event.pos
        lost_start = self._lost > 0 and max(first, self._pos + 1) <= line.commit < pos
        return line.commit == pos or lost_start or (first <= line.commit == self._commit)

    def _opens(self, event: Event) -> bool:
        named = (event.type, event.stream, event.data.get("log_id"))
        return named == ("LogOpened", LOG_STREAM, self._log_id)

    def _released(self, read: _Read, line: Line) -> Iterator[Found]:
        """The lines that are whole appends now that this one is here."""
        if self._held and not _goes_on(self._held[-1].event, line.event):
            if not self._lost:
                start = self._held[0].event.pos
                yield read.problem(f"the append that began at position {start} lacks its end")
            yield from self._release()
        if line.more:
            self._held_from = self._held_from or read.problem("")
            self._held.append(line)
        else:
            yield from self._release()
            yield line

    def _release(self) -> Iterator[Line]:
        yield from self._held
        self._held, self._held_from = [], None

    def _end(self) -> Iterator[Problem]:
        """The torn tail: bytes that are no lines, and lines of an append that lacks its end."""
        start = self._held_from or self._torn
        pos = self._held[0].event.pos if self._held else self._pos + 1
        if start is not None and pos <= self._acknowledged:
            found = f"position {pos} was acknowledged, and is damaged"
            yield Problem(start.file, found, start.line, start.byte)
        elif start is not None:
            size = self._torn_bytes + sum(len(line.event.line) + 1 for line in self._held)
            found = (
                f"the last {size} bytes were never acknowledged: the next start cuts them off,"
                " unless a server is just writing them"
            )
            yield Problem(start.file, found, start.line, start.byte, is_note=True)

    def _path(self, first: int) -> str:
        return f"{self._root}/log/{file_name(first)}"

    def _segment_of(self, pos: int) -> int:
        return segment_of(pos, self._segment_events)


def without_framing(line: Line) -> bytes:
    """The canonical line, cut by what is known of the framing: many times faster than a search."""
    more = len(b',"more":true') if line.more else 0
    commit = len(b',"commit":%d' % line.commit) if line.commit != line.event.pos else 0
    return line.event.line[: -(CRC_TAIL_BYTES + more + commit)] + b"}"


def _identity(disk: Disk, root: str) -> tuple[str | None, Problem | None]:
    """The log's id: as `log-id` has it, unless the log's own first line proves another."""
    path, problem, known = f"{root}/log-id", None, None
    proved = proved_id(disk, root)
    try:
        known = read_log_id(disk, root)
    except StoreCorrupt as error:
        problem = Problem(path, error.found)
    except FileNotFoundError:
        if "log" not in disk.listdir(root):
            raise
        problem = Problem(path, f"missing beside a log; it was {proved or 'nothing known'}")
    return proved or known, problem


def _first_torn(reads: Iterator[_Read], seed: int) -> _Read | None:
    """The first bad line that no good line of a later commit follows; see `segment`."""
    bad: list[_Read] = []
    for read in reads:
        if read.line is None:
            bad.append(read)
        for line in good_lines(read.raw, seed=seed) if bad else ():
            bad = [each for each in bad if each.pos >= line.commit]
    return bad[0] if bad else None


def _describe(read: _Read, seed: int) -> str:
    if checksum_holds(read.raw, seed):
        return f"position {read.pos} is not an event, though its checksum holds"
    raw = read.raw + b"\n" if read.ended else read.raw
    fault = scan(raw, first=read.pos, seed=seed, sealed=True).fault
    assert fault is not None
    return fault.found


def _positions(missing: range) -> str:
    if len(missing) == 1:
        return f"position {missing[0]} is missing"
    return f"positions {missing[0]} to {missing[-1]} are missing"


def _goes_on(event: Event, following: Event) -> bool:
    """Whether two events came in one append."""
    same = (event.stream, event.nonce) == (following.stream, following.nonce)
    return same and following.rev == event.rev + 1
