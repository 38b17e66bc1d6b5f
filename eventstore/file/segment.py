r"""One file of lines: the on-disk format, in words and in code.

    DATA/log-id                    the log's id, 32 hex digits; synced before the first segment
    DATA/log/000000000001.jsonl    positions 1 … 65,536
    DATA/log/000000065537.jsonl    positions 65,537 …

A segment holds exactly SEGMENT_EVENTS events (the newest one fewer) and is named by its first
position, so the line of position p is line `p - first + 1` of a file whose name follows from p.
Each line is a canonical event (see `eventstore.event`) with framing after `meta`, ended by `\n`:

| key      | rule |
|----------|------|
| `more`   | `true` on every event of an append but its last: a tail that ends on one is cut back |
| `commit` | position of the first event of the commit (one write, one sync) the line went out in; |
|          | left out where it is `pos` |
| `crc`    | always last: CRC-32 of the bytes before `,"crc"`, 8 hex digits, seeded with that |
|          | of `<log id>:<first position of the segment>` |

The seed makes a misplaced segment, or a line swapped in from another log, as visible as a flipped
bit. It is computed by the reader from what it already trusts, never read from the file it is to
check.

**Torn or damaged?** A commit is written only after the one before it was synced. So when a line at
position p is bad and a good line after it has a `commit` above p, then p was durable before that
commit was written: it has been damaged since, and nobody may repair it silently. If no such line
exists, p belongs to the last commit, which was never acknowledged: it is torn, and may be cut.

    …,"rev":2,"data":{"attempt":1},"meta":{"n":"5d0c1f7a9b3e2246"},"commit":1040,"crc":"9f3a61c2"}\n

This module is pure: bytes in, verdict out. What to do about it is `recovery`'s and `reader`'s.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from eventstore.event import FRAMING_BYTES_MAX, LINE_BYTES_MAX, Event, decode

SEGMENT_EVENTS = 65_536  # 15-20 MB: quick to scan at a start, few files for a large log
CRC_TAIL_BYTES = len(b',"crc":"9f3a61c2"}')
NAME_DIGITS = 12
MORE = b',"more":true'
_LINE_BYTES_MAX = LINE_BYTES_MAX + FRAMING_BYTES_MAX

_NAME = re.compile(r"(\d{12})\.jsonl")
_MORE = re.compile(rb',"more":true(?:,"commit":\d+)?,"crc":"[0-9a-f]{8}"\}$')
# A position has few digits: of thousands, int() raises.
_COMMIT = re.compile(rb',"commit":(\d{1,19}),"crc":"[0-9a-f]{8}"\}$')
_POS = re.compile(rb'\{"pos":(\d{1,19}),')


class Line(msgspec.Struct, frozen=True, gc=False):
    """A good line: its event, and where it starts in the file. Its framing is read when somebody
    asks, which few do.
    """

    event: Event
    offset: int

    @property
    def more(self) -> bool:
        """Whether its append goes on in the next line."""
        line = self.event.line
        return _MORE.search(line, max(0, len(line) - FRAMING_BYTES_MAX)) is not None

    @property
    def commit(self) -> int:
        """The first position of its commit."""
        line = self.event.line
        found = _COMMIT.search(line, max(0, len(line) - FRAMING_BYTES_MAX))
        return int(found[1]) if found else self.event.pos


@dataclass(frozen=True, slots=True)
class Fault:
    """The first bad line of a segment. `durable`: it was synced once, so this is damage; otherwise
    it is torn.
    """

    pos: int
    line: int
    byte: int
    found: str
    durable: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """What a segment's bytes hold: good lines from the start, and the first fault, if any."""

    lines: list[Line]
    fault: Fault | None


def file_name(first: int) -> str:
    """The file of the segment that starts at position `first`."""
    return f"{first:0{NAME_DIGITS}}.jsonl"


def first_of(name: str) -> int | None:
    """The first position of a segment by its file name; None when it is not one."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def segment_of(pos: int, segment_events: int = SEGMENT_EVENTS) -> int:
    """The first position of the segment that holds `pos`."""
    return pos - (pos - 1) % segment_events


def seed_of(log_id: str, first: int) -> int:
    """What the checksums of a segment start from."""
    return zlib.crc32(f"{log_id}:{first}".encode())


def commit_mark(commit: int) -> bytes:
    """What the lines of a commit say of it, all but its first."""
    return b',"commit":%d' % commit


def closed(open_line: bytes, seed: int) -> bytes:
    """A line: `open_line` is all of it but for the checksum and the brace."""
    return b'%b,"crc":"%08x"}' % (open_line, zlib.crc32(open_line, seed))


def scan(data: bytes, *, first: int, seed: int, sealed: bool) -> Scan:
    """Read a segment from its start to its end or its first bad line.

    `sealed`: a later segment holds a line, so every line of this one was durable.
    """
    lines: list[Line] = []
    offset = 0
    while offset < len(data):
        pos = first + len(lines)
        end = data.find(b"\n", offset)
        raw = data[offset:] if end < 0 else data[offset:end]
        line = None if end < 0 else good_line(raw, offset=offset, seed=seed)
        if line is None or line.event.pos != pos:
            found = _describe(raw, line, pos, ended=end >= 0)
            durable = sealed or _later_commit_follows(data[offset:], pos, seed)
            return Scan(lines, Fault(pos, len(lines) + 1, offset, found, durable))
        lines.append(line)
        offset = end + 1
    return Scan(lines, None)


def good_line(raw: bytes, *, offset: int, seed: int) -> Line | None:
    """The line, when its checksum holds and it is an event; else None. `raw` has no newline."""
    if not checksum_holds(raw, seed):
        return None
    try:
        event = decode(raw)
    except ValueError:
        return None
    return Line(event, offset)


def checksum_holds(raw: bytes, seed: int) -> bool:
    """Whether the line ends in the CRC-32 of what is before it."""
    body, tail = raw[:-CRC_TAIL_BYTES], raw[-CRC_TAIL_BYTES:]
    return tail == b',"crc":"%08x"}' % zlib.crc32(body, seed)


def early_end(first: int, lines: list[Line]) -> Fault:
    """The fault of a segment that was full once and has only these lines."""
    at = lines[-1].offset + len(lines[-1].event.line) + 1 if lines else 0
    return Fault(first + len(lines), len(lines) + 1, at, "the segment ends early", True)


def whole_appends(lines: list[Line]) -> list[Line]:
    """The lines up to the end of the last append that is whole."""
    end = len(lines)
    while end and lines[end - 1].more:
        end -= 1
    return lines[:end]


def _later_commit_follows(data: bytes, pos: int, seed: int) -> bool:
    """Whether a good line after the bad one at `pos` belongs to a commit that began after it."""
    return any(line.commit > pos for line in good_lines(data, seed=seed))


def good_lines(data: bytes, *, seed: int) -> Iterator[Line]:
    """Every good line in these bytes, also one that follows a line whose newline was damaged.

    Only so far as a line may be long is looked for its end: whatever the bytes are, this is done
    soon.
    """
    for found in _POS.finditer(data):
        start, most = found.start(), found.start() + _LINE_BYTES_MAX
        end = data.find(b"\n", start, most + 1)
        if end < 0 and len(data) > most:
            continue
        line = good_line(data[start : end if end >= 0 else None], offset=start, seed=seed)
        if line is not None:
            yield line


def _describe(raw: bytes, line: Line | None, pos: int, *, ended: bool) -> str:
    if line is not None:
        return f"expected position {pos}, found {line.event.pos}"
    if not raw.strip(b"\0"):
        return f"position {pos} is zeros"
    if not ended:
        return f"position {pos} has no end of line"
    claimed = _POS.match(raw)
    other = claimed is not None and int(claimed[1]) != pos
    names = f" (it calls itself {claimed[1].decode()})" if claimed and other else ""
    return f"the checksum of position {pos} does not hold{names}"
