"""The floor of whatever ends in the log: a loop that encodes the same events, writes them, and
syncs.

    for each commit: orjson.dumps and the checksum of each event, join, one write, one fdatasync

It checks nothing, keeps nothing in memory, answers nobody and knows no job. An event's members are
encoded in the order in which they were read, so the bytes are exactly those of the log.
"""

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from eventstore import clock
from eventstore.event import Json
from eventstore.file.disk import SystemDisk
from eventstore.file.segment import seed_of, segment_of


def grouped(events: Iterable[Json], each: int) -> list[list[Json]]:
    """Events in commits of so many; the last may have fewer."""
    every = list(events)
    return [every[start : start + each] for start in range(0, len(every), each)]


def as_committed(events: Iterable[Json]) -> list[list[Json]]:
    """Events in the commits in which they went out."""
    commits: list[list[Json]] = []
    for event in events:
        if "commit" not in event or not commits:
            commits.append([])
        commits[-1].append(event)
    return commits


def write_bare(root: Path, commits: Sequence[Sequence[Json]]) -> float:
    """Write these commits of the log in `root` to a new file; return the seconds it took."""
    disk, path = SystemDisk(), root / "bare.jsonl"
    log_id = (root / "log-id").read_text().strip()
    ready = [[_without_checksum(event, log_id) for event in events] for events in commits]
    handle = disk.create(str(path))
    try:
        since = clock.monotonic()
        for events in ready:
            data = b"".join([_line(event, seed) for event, seed in events])
            while data:
                data = data[disk.write(handle, data) :]
            disk.datasync(handle)
        return clock.monotonic() - since
    finally:
        disk.close(handle)
        path.unlink()


def _without_checksum(event: Json, log_id: str) -> tuple[Json, int]:
    """The event before its line has one, and what that starts from."""
    seed = seed_of(log_id, segment_of(event["pos"]))
    return {name: value for name, value in event.items() if name != "crc"}, seed


def _line(event: Json, seed: int) -> bytes:
    open_line = orjson.dumps(event)[:-1]
    return b'%b,"crc":"%08x"}\n' % (open_line, zlib.crc32(open_line, seed))
