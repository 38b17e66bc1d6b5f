"""What an open does before it trusts a byte: evict, scan, copy what is valid, and say what was cut.

After a failed sync, and after a kill between a write and its sync, the page cache shows lines that
are not on the disk; a recovery that only truncates in place would answer from such ghosts and lose
them at the next power cut. So the newest segment is read past the cache and its valid prefix is
*copied* to a new file, synced, renamed over the old one, and its directory synced, whether or not
anything was torn. What it costs is one copy of at most one segment per start.

A torn tail (never acknowledged: see `segment`) is cut, kept in `DATA/torn/` and warned of once. An
append of which only the beginning arrived is cut whole, and when it began in the segment before,
that one is cut back as well. Damage to what was durable stops the start: this module repairs
nothing that was ever acknowledged.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass

from eventstore.errors import StoreCorrupt
from eventstore.file.disk import Disk
from eventstore.file.reader import VERIFY_HINT, Reader, read_whole
from eventstore.file.segment import Line, early_end, scan, seed_of, whole_appends

logger = logging.getLogger("joblog.log")


@dataclass(frozen=True, slots=True)
class Recovered:
    """The newest segment after recovery: where it starts, its bytes, its lines."""

    first: int
    size: int
    lines: list[Line]

    @property
    def head(self) -> int:
        """The last position of the log."""
        return self.first - 1 + len(self.lines)


def recover(
    disk: Disk, root: str, log_id: str, reader: Reader, *, segment_events: int
) -> Recovered:
    """Make the end of the log sure. Raises StoreCorrupt when it is damaged rather than torn."""
    _remove_leftovers(disk, root)
    firsts = reader.segments()
    _require_all(firsts, reader, segment_events)
    newest = firsts[-1]
    found = _recover_segment(disk, root, log_id, reader, newest, sealed=False)
    if found.lines or len(firsts) == 1:
        return found
    before = firsts[-2]
    lines, fault = reader.scan_segment(before, sealed=True)
    if fault is not None:
        raise reader.corrupt(before, fault)
    if len(lines) < segment_events:  # the newer one was begun only when this one was full
        raise reader.corrupt(before, early_end(before, lines))
    if not lines[-1].more:
        return found
    # The append that straddles the two never arrived whole. The newer file goes first: while it
    # exists, it says that the older one is full.
    disk.unlink(reader.path(newest))
    disk.syncdir(f"{root}/log")
    return _recover_segment(disk, root, log_id, reader, before, sealed=True)


def _recover_segment(
    disk: Disk, root: str, log_id: str, reader: Reader, first: int, *, sealed: bool
) -> Recovered:
    data = read_whole(disk, reader.path(first), evict=True)
    found = scan(data, first=first, seed=seed_of(log_id, first), sealed=sealed)
    if found.fault is not None and found.fault.durable:
        raise reader.corrupt(first, found.fault)
    lines = whole_appends(found.lines)
    size = lines[-1].offset + len(lines[-1].event.line) + 1 if lines else 0
    if size < len(data):
        _keep_torn(disk, root, first, size, data[size:])
    rewrite(disk, reader.path(first), data[:size], directory=f"{root}/log")
    return Recovered(first, size, lines)


def rewrite(disk: Disk, path: str, data: bytes, *, directory: str) -> None:
    """Put a file with this content at `path`, durably: it is the old one or the new one, never a
    mixture.
    """
    handle = disk.create(path + ".new")
    try:
        written = 0
        while written < len(data):
            count = disk.write(handle, data[written:])
            if count == 0:
                raise OSError(f"{path}.new takes no bytes")
            written += count
        disk.datasync(handle)
    finally:
        disk.close(handle)
    disk.rename(path + ".new", path)
    disk.syncdir(directory)


def _keep_torn(disk: Disk, root: str, first: int, offset: int, data: bytes) -> None:
    """Keep the bytes that are about to be cut, for people; losing this copy loses nothing
    acknowledged.
    """
    disk.mkdir(f"{root}/torn")
    path = f"{root}/torn/{first:012d}-{offset}.bin"
    with suppress(OSError):
        rewrite(disk, path, data, directory=f"{root}/torn")
    logger.warning(
        "the log ended in %d bytes of a commit that was never acknowledged; cut, and kept in %s",
        len(data), path,
    )  # fmt: skip


def _remove_leftovers(disk: Disk, root: str) -> None:
    """A copy that an earlier recovery did not finish."""
    for directory in (f"{root}/log", f"{root}/torn", root):
        with suppress(FileNotFoundError):
            for name in disk.listdir(directory):
                if name.endswith(".new"):
                    disk.unlink(f"{directory}/{name}")


def _require_all(firsts: list[int], reader: Reader, segment_events: int) -> None:
    for expected, first in zip(range(1, firsts[-1] + 1, segment_events), firsts, strict=False):
        if first != expected:
            raise StoreCorrupt(
                "the segment is missing", file=reader.path(expected), hint=VERIFY_HINT
            )
