"""What a server wrote to its log meanwhile: events, commits, bytes, and the lines themselves.

The log's segments are looked at as one file, and a place in it is its size at some moment. A line
without a `commit` member began a commit (see `eventstore.file.segment`), so commits are counted in
what is on disk, and nobody has to be asked.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from eventstore.event import Json

_JOINED = re.compile(rb',"commit":\d+,"crc":"[0-9a-f]{8}"\}$')


class Written(NamedTuple):
    """Lines of a log with their newlines, in order."""

    lines: Sequence[bytes]

    @property
    def commits(self) -> int:
        """How many commits these lines went out in."""
        return sum(_JOINED.search(line, 0, len(line) - 1) is None for line in self.lines)

    @property
    def bytes(self) -> int:
        """All of them."""
        return sum(map(len, self.lines))

    def events(self) -> Iterator[Json]:
        """The lines, parsed."""
        return map(orjson.loads, self.lines)


def segments(root: Path) -> list[Path]:
    """The files of a log, oldest first."""
    return sorted((root / "log").glob("*.jsonl"))


def size(root: Path) -> int:
    """Bytes in the log now."""
    return sum(path.stat().st_size for path in segments(root))


def written(root: Path, since: int = 0) -> Written:
    """The whole lines of a log from a place on."""
    lines: list[bytes] = []
    for path in segments(root):
        length = path.stat().st_size
        if since < length:
            with path.open("rb") as file:
                file.seek(since)
                lines += file
        since = max(0, since - length)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    return Written(lines)
