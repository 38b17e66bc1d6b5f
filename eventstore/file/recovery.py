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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from eventstore.errors import StoreCorrupt
from eventstore.file import reserve
from eventstore.file.disk import Disk
from eventstore.file.reader import VERIFY_HINT, Reader, read_whole
from eventstore.file.reserve import NO_ROOM
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


@dataclass(frozen=True, slots=True)
class _End:
    """Where a log ends as far as it is valid, and what stands behind that, by reading only."""

    recovered: Recovered
    data: bytes
    torn: list[tuple[int, int, bytes]]  # segment, offset, bytes
    surplus: int | None = None  # a newer segment that is to go


def recover(
    disk: Disk,
    root: str,
    log_id: str,
    reader: Reader,
    *,
    segment_events: int,
    require_head: Callable[[int], None],
) -> Recovered:
    """Make the end of the log sure.

    Raises StoreCorrupt when it is damaged rather than torn, or when a witness says that it ended
    later once: `require_head` is asked before anything is changed.
    """
    _remove_leftovers(disk, root)
    end = _find_end(disk, log_id, reader, segment_events)
    _require_head(end, reader, require_head)
    for first, offset, data in end.torn:
        _keep_torn(disk, root, first, offset, data)
    if end.surplus is not None:
        disk.unlink(reader.path(end.surplus))
        disk.syncdir(f"{root}/log")
    _copy(disk, root, reader.path(end.recovered.first), end.data)
    return end.recovered


def _require_head(end: _End, reader: Reader, require_head: Callable[[int], None]) -> None:
    """Ask the witnesses; when they object and something torn ends the log, name its place."""
    try:
        require_head(end.recovered.head)
    except StoreCorrupt as error:
        for first, offset, _ in end.torn:
            if first == end.recovered.first:
                number = len(end.recovered.lines) + 1
                found = f"the line is damaged, for {error.found}"
                path = reader.path(first)
                raise StoreCorrupt(
                    found, file=path, line=number, byte=offset, hint=error.hint
                ) from error
        raise


def _find_end(disk: Disk, log_id: str, reader: Reader, segment_events: int) -> _End:
    """Only reads. An append that straddles two segments and never arrived whole ends the older."""
    firsts = reader.segments()
    _require_all(firsts, reader, segment_events)
    newest = firsts[-1]
    end = _valid_end(disk, log_id, reader, newest, sealed=False)
    if end.recovered.lines or len(firsts) == 1:
        return end
    before = firsts[-2]
    lines, fault = reader.scan_segment(before, sealed=True)
    if fault is not None:
        raise reader.corrupt(before, fault)
    if len(lines) < segment_events:  # the newer one was begun only when this one was full
        raise reader.corrupt(before, early_end(before, lines))
    if not lines[-1].more:
        return end
    # The newer file goes first: while it exists, it says that the older one is full.
    older = _valid_end(disk, log_id, reader, before, sealed=True)
    return _End(older.recovered, older.data, end.torn + older.torn, surplus=newest)


def _valid_end(disk: Disk, log_id: str, reader: Reader, first: int, *, sealed: bool) -> _End:
    data = read_whole(disk, reader.path(first), evict=True)
    found = scan(data, first=first, seed=seed_of(log_id, first), sealed=sealed)
    if found.fault is not None and found.fault.durable:
        raise reader.corrupt(first, found.fault)
    lines = whole_appends(found.lines)
    size = lines[-1].offset + len(lines[-1].event.line) + 1 if lines else 0
    torn = [(first, size, data[size:])] if size < len(data) else []
    return _End(Recovered(first, size, lines), data[:size], torn)


def _copy(disk: Disk, root: str, path: str, data: bytes) -> None:
    """Rewrite a segment; on a full disk in the room that was kept for that."""
    try:
        rewrite(disk, path, data, directory=f"{root}/log")
    except OSError as error:
        if error.errno not in NO_ROOM or not reserve.give_up(disk, root):
            raise
        disk.unlink(path + ".new")
        rewrite(disk, path, data, directory=f"{root}/log")


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
