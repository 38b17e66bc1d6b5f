"""The operating-system calls that the log makes, and nothing else: its only door to the disk.

Everything under `eventstore/file` reaches files through a `Disk`, so that a simulated one
(`tests/support/simdisk.py`) can stand in for it and lose what was not synced, tear a write, run out
of room, fail a sync and then lie about it. Each method is one call, without policy: what an errno
means is decided by its caller.

Facts that shaped the list, each measured on Linux 6 with ext4 and xfs:

- after `fdatasync` failed once, the next one answers OK and the data is gone: a failed sync is
  final;
- after that, and after a kill between write and sync, the page cache shows bytes that are not on
  the disk: `evict` before reading what must be durable;
- `lockf` locks vanish when any descriptor of the file is closed, and a pid file outlives its
  process: `flock`, on a close-on-exec descriptor that is held for life;
- a new or renamed file is not there after a power cut until its directory was synced: `syncdir`.

The index is SQLite and reaches the disk by itself; it is a cache and needs none of this. `database`
only opens it.
"""

import fcntl
import os
import sqlite3
import sys
from pathlib import Path
from typing import Protocol

from eventstore.errors import StoreLocked

NETWORK_FILESYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs"}
)


class Disk(Protocol):
    """Files by path; open files by handle. Every method raises OSError as the system does."""

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, sorted; FileNotFoundError when there is none."""
        ...

    def mkdir(self, path: str) -> None:
        """Make a directory and its parents; fine when it is there."""
        ...

    def create(self, path: str) -> int:
        """A new, empty file for appending; FileExistsError when it is there."""
        ...

    def open(self, path: str) -> int:
        """A file that is there, for reading and appending."""
        ...

    def close(self, handle: int) -> None:
        """Let go of a file. Does not sync it."""
        ...

    def size(self, handle: int) -> int:
        """Bytes in the file."""
        ...

    def read(self, handle: int, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`; fewer at the end, or for no reason."""
        ...

    def write(self, handle: int, data: bytes) -> int:
        """Append; the number of bytes taken may be short, and may be 0."""
        ...

    def truncate(self, handle: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        ...

    def datasync(self, handle: int) -> None:
        """Make what was written durable. After an error nothing about the file is known."""
        ...

    def evict(self, handle: int) -> None:
        """Drop clean cached pages, so that the next read shows what is on the disk."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Move a file over another, atomically; durable after `syncdir`."""
        ...

    def unlink(self, path: str) -> None:
        """Remove a file; durable after `syncdir`."""
        ...

    def syncdir(self, path: str) -> None:
        """Make the names in a directory durable."""
        ...

    def lock(self, path: str, owner: str) -> int:
        """Take the lock for the life of the handle and leave `owner` in it; StoreLocked if another
        has it.
        """
        ...

    def allocate(self, handle: int, size: int) -> None:
        """Give the file `size` bytes of real room."""
        ...

    def free(self, path: str) -> int:
        """Bytes an unprivileged writer can still use on the path's file system."""
        ...

    def filesystem(self, path: str) -> str:
        """The type of the path's file system ("ext4"); "" when the system does not tell."""
        ...

    def database(self, path: str) -> sqlite3.Connection:
        """An SQLite database for a cache, usable from one thread at a time; connections to one path
        see one database.
        """
        ...


class SystemDisk:
    """The real one. Linux and macOS."""

    def listdir(self, path: str) -> list[str]:
        """See Disk."""
        return sorted(os.listdir(path))

    def mkdir(self, path: str) -> None:
        """See Disk."""
        os.makedirs(path, exist_ok=True)

    def create(self, path: str) -> int:
        """See Disk."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return os.open(path, flags, 0o640)

    def open(self, path: str) -> int:
        """See Disk."""
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)

    def close(self, handle: int) -> None:
        """See Disk."""
        os.close(handle)

    def size(self, handle: int) -> int:
        """See Disk."""
        return os.fstat(handle).st_size

    def read(self, handle: int, offset: int, count: int) -> bytes:
        """See Disk."""
        return os.pread(handle, count, offset)

    def write(self, handle: int, data: bytes) -> int:
        """See Disk."""
        return os.write(handle, data)

    def truncate(self, handle: int, size: int) -> None:
        """See Disk."""
        os.ftruncate(handle, size)

    def datasync(self, handle: int) -> None:
        """See Disk."""
        if sys.platform == "darwin":  # fsync stops at the drive's cache there
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(handle)

    def evict(self, handle: int) -> None:
        """See Disk."""
        if sys.platform != "darwin":
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)

    def rename(self, old: str, new: str) -> None:
        """See Disk."""
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        """See Disk."""
        os.unlink(path)

    def syncdir(self, path: str) -> None:
        """See Disk."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def lock(self, path: str, owner: str) -> int:
        """See Disk."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.write(handle, owner.encode())
        except BlockingIOError as error:
            holder = os.pread(handle, 1024, 0).decode(errors="replace").strip()
            os.close(handle)
            raise StoreLocked(path, holder or "a process that left no name") from error
        except OSError:
            os.close(handle)
            raise
        return handle

    def allocate(self, handle: int, size: int) -> None:
        """See Disk."""
        if sys.platform == "darwin":  # no posix_fallocate: real bytes are real room
            os.write(handle, bytes(size))
        else:
            os.posix_fallocate(handle, 0, size)

    def free(self, path: str) -> int:
        """See Disk."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def filesystem(self, path: str) -> str:
        """See Disk."""
        try:
            mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        except OSError:
            return ""
        here = os.path.realpath(path)
        over = [(point, kind) for _, point, kind, *_ in mounts if _is_under(here, point)]
        return max(over, key=lambda mount: len(mount[0]), default=("", ""))[1]

    def database(self, path: str) -> sqlite3.Connection:
        """See Disk."""
        return sqlite3.connect(path, check_same_thread=False, isolation_level=None)


def _is_under(path: str, mount_point: str) -> bool:
    return path == mount_point or path.startswith(mount_point.rstrip("/") + "/")
