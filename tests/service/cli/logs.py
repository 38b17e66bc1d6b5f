"""Logs in files for commands to read: written by the real store, then hurt on purpose.

`write_log` records streams one append at a time. `alter` changes a line and makes its checksum
right again, which no accident does: it is how a test plants what only a fault of ours could write.
`hurt` changes bytes and nothing else, as a disk does.
"""

import asyncio
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from freezegun import freeze_time

from eventstore.event import Head, NewEvent, prepare
from eventstore.file.segment import CRC_TAIL_BYTES, SEGMENT_EVENTS, file_name, seed_of, segment_of
from eventstore.file.store import FileStore
from eventstore.offload import Inline
from tests.support.build import (
    NOON,
    at,
    attempt_failed,
    attempt_started,
    job_cancelled,
    job_completed,
    job_created,
    job_failed,
)

DONE, GONE, WAITING, OFF = (f"01a20ac5-c1eb-7c41-9d2e-00000000000{n}" for n in range(4))
EMAIL = {"to": "ada@example.com", "subject": "Hello", "body": ""}

# Ten events: one job of each end, and one that waits.
STORY: list[tuple[str, list[NewEvent]]] = [
    (DONE, [job_created(0, payload=EMAIL, meta={"actor": "local:ada"})]),
    (GONE, [job_created(1, payload={"month": 11}, kind="report")]),
    (DONE, [attempt_started(2)]),
    (GONE, [attempt_started(3)]),
    (DONE, [job_completed(4, result={"reply": "250"})]),
    (GONE, [attempt_failed(5, error="no\x1b[2J luck"), job_failed(5)]),
    (WAITING, [job_created(6, payload=EMAIL, run_at=at(3600))]),
    (OFF, [job_created(7, payload=EMAIL)]),
    (OFF, [job_cancelled(8, reason="not wanted")]),
]


def write_log(
    root: Path,
    story: list[tuple[str, list[NewEvent]]] | None = None,
    *,
    segment_events: int = SEGMENT_EVENTS,
) -> str:
    """A log with this story, or the usual one; each append is a commit. Its id."""
    if story is not None:
        return _written(root, story, segment_events)
    for name, content in _usual(segment_events).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return (root / "log-id").read_text().strip()


@cache
def _usual(segment_events: int) -> dict[str, bytes]:
    """The files of the usual story, written once."""
    with TemporaryDirectory() as made:
        _written(Path(made), STORY, segment_events)
        files = [path for path in Path(made).rglob("*") if path.is_file()]
        names = [path for path in files if path.name != "reserve"]
        return {str(path.relative_to(made)): path.read_bytes() for path in names}


def _written(root: Path, story: list[tuple[str, list[NewEvent]]], segment_events: int) -> str:
    with freeze_time(NOON, real_asyncio=True):
        return asyncio.run(_write(root, story, segment_events))


async def _write(root: Path, story: list[tuple[str, list[NewEvent]]], segment_events: int) -> str:
    store = await FileStore.open(
        str(root), dice=Random(7), offload=Inline(), segment_events=segment_events
    )
    heads: dict[str, Head] = {}
    for number, (stream, events) in enumerate(story, 1):
        expected = heads.get(stream, (await _head(store, stream)))
        [result] = await store.commit([prepare(stream, expected, events, nonce=f"{number:016x}")])
        assert isinstance(result, list), result
        heads[stream] = result[-1].head
    await store.aclose()
    return store.log_id


async def _head(store: FileStore, stream: str) -> Head:
    events = await store.read_stream(stream)
    return events[-1].head if events else Head(0, 0)


def segment(root: Path, pos: int = 1, segment_events: int = SEGMENT_EVENTS) -> Path:
    """The file that holds a position."""
    return root / "log" / file_name(segment_of(pos, segment_events))


def lines_of(root: Path) -> list[bytes]:
    """All lines of a log's first segment, without their ends."""
    return segment(root).read_bytes().split(b"\n")[:-1]


def alter(
    root: Path, pos: int, old: bytes, new: bytes, *, segment_events: int = SEGMENT_EVENTS
) -> None:
    """Change a line, checksum and all."""
    path = segment(root, pos, segment_events)
    first = segment_of(pos, segment_events)
    lines = path.read_bytes().split(b"\n")
    body = lines[pos - first][:-CRC_TAIL_BYTES]
    assert old in body, (old, body)
    body = body.replace(old, new, 1)
    seed = seed_of((root / "log-id").read_text().strip(), first)
    lines[pos - first] = body + b',"crc":"%08x"}' % zlib.crc32(body, seed)
    path.write_bytes(b"\n".join(lines))


def hurt(path: Path, change: Callable[[list[bytes]], object]) -> None:
    """Change a file's lines in place; each has its newline."""
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))


def flip(path: Path, line: int, byte: int = 40) -> int:
    """Flip a bit of a line, numbered from 1; the line's first byte in the file."""
    lines = path.read_bytes().splitlines(keepends=True)
    start = sum(map(len, lines[: line - 1]))
    data = bytearray(path.read_bytes())
    data[start + byte] ^= 1
    path.write_bytes(data)
    return start


def forget(root: Path) -> None:
    """Delete the caches, which know how far the log once reached."""
    for path in root.glob("*.sqlite*"):
        path.unlink()
