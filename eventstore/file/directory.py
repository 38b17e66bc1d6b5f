"""A log's directory: who may write in it, and which log it holds.

The lock is taken before anything is read and held for the life of the writer. The id is written and
synced before the first segment, so a directory with a log but without its id, or with caches but
without a log, has lost something: that is `StoreCorrupt`, and never the beginning of a new log.
Reading and writing the log itself is for other modules.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from eventstore.errors import StoreCorrupt, Unsupported
from eventstore.event import LINE_BYTES_MAX, decode
from eventstore.file.disk import NETWORK_FILESYSTEMS, Disk
from eventstore.file.reader import read_whole
from eventstore.file.recovery import rewrite
from eventstore.file.segment import checksum_holds, file_name, first_of, seed_of

CACHES = ("index.sqlite", "jobs.sqlite")

_LOG_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that this process may write in, until `release`."""

    disk: Disk
    root: str
    log_id: str
    lock: int

    def release(self) -> None:
        """Let another writer in."""
        self.disk.close(self.lock)


def open_directory(disk: Disk, root: str, *, owner: str, dice: Random) -> Directory:
    """Lock the directory and learn its log's id; make both when there is nothing there yet.

    Raises StoreLocked, StoreCorrupt, Unsupported, or OSError when it cannot be used.
    """
    disk.mkdir(root)
    kind = disk.filesystem(root)
    if kind in NETWORK_FILESYSTEMS:
        raise Unsupported(f"{root} is on {kind}: a log needs a local file system")
    lock = disk.lock(f"{root}/lock", owner or f"process {os.getpid()}")
    try:
        return Directory(disk, root, _identity(disk, root, dice), lock)
    except BaseException:
        disk.close(lock)
        raise


def read_log_id(disk: Disk, root: str) -> str:
    """The id of the log in a directory. Raises FileNotFoundError, or StoreCorrupt if it is none or
    another log's: by that, no line of this one would hold, and all of it would look torn.
    """
    path = f"{root}/log-id"
    log_id = read_whole(disk, path, evict=True).decode(errors="replace").strip()
    if not _LOG_ID.fullmatch(log_id):
        raise StoreCorrupt("this is not a log's id", file=path, hint="Put back the right one")
    proved = proved_id(disk, root)
    if proved not in (None, log_id):
        found = f"it says {log_id}, the log itself {proved}"
        raise StoreCorrupt(found, file=path, hint="Put back the log-id that belongs to this log")
    return log_id


def proved_id(disk: Disk, root: str) -> str | None:
    """The id in the log's first line, if that line's checksum agrees."""
    try:
        handle = disk.open(f"{root}/log/{file_name(1)}")
    except FileNotFoundError:
        return None
    try:
        raw = disk.read(handle, 0, 2 * LINE_BYTES_MAX).partition(b"\n")[0]
        log_id = str(decode(raw).data.get("log_id"))
    except ValueError:
        return None
    finally:
        disk.close(handle)
    return log_id if checksum_holds(raw, seed_of(log_id, 1)) else None


def _identity(disk: Disk, root: str, dice: Random) -> str:
    """The id of the log here; a new one when there is nothing here at all."""
    names = set(disk.listdir(root))
    found = disk.listdir(f"{root}/log") if "log" in names else []
    segments = [name for name in found if first_of(name) is not None]
    caches = sorted(names & set(CACHES))
    if "log-id" in names:
        log_id = read_log_id(disk, root)
    elif segments:
        hint = "Put it back: the id also stands in the log's first line"
        raise StoreCorrupt("missing beside a log", file=f"{root}/log-id", hint=hint)
    else:
        log_id = f"{dice.getrandbits(128):032x}"
    if not segments:
        if caches:
            raise StoreCorrupt(
                f"the log is empty beside {' and '.join(caches)}",
                file=f"{root}/log",
                hint="Restore log/ and log-id from a backup, or use another directory",
            )
        _begin_log(disk, root, log_id, known="log-id" in names)
    return log_id


def _begin_log(disk: Disk, root: str, log_id: str, *, known: bool) -> None:
    """The id first, durably; then an empty first segment."""
    if not known:
        with suppress(FileNotFoundError):
            disk.unlink(f"{root}/log-id.new")
        rewrite(disk, f"{root}/log-id", f"{log_id}\n".encode(), directory=root)
    disk.mkdir(f"{root}/log")
    disk.syncdir(root)
    disk.close(disk.create(f"{root}/log/{file_name(1)}"))
    disk.syncdir(f"{root}/log")  # before there is any cache: beside one, an empty log is a lost one
