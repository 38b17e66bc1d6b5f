"""SimDisk: a disk that forgets what was not synced, tears writes, fills up, and lies about syncs.

The log claims to survive a power cut at any instant. Waiting for one proves little, so this disk
stands in for `eventstore.file.disk.SystemDisk`: it can be cut before or after any call that changes
something, or fail there. What is then on the platter is not one state but many (see `platter`), and
`images` yields each of them as a disk of its own.

| thing                     | seen by reads    | after a power cut |
|---------------------------|------------------|-------------------|
| bytes of a file           | what was written | what was synced, and any part of the rest |
| names                     | what was done    | what `syncdir` covered, and any part of the rest |
| directories, lock file    | at once          | there: no bug of the log could hide in them |
| SQLite databases (caches) | at once          | gone, as after `restart`; or kept, when asked to |

A `datasync` that fails *loses* what it should have made durable: reads still show it, no power cut
ever leaves it, and the next one says OK (measured on ext4 and xfs). `restart` is a killed process:
the cache stays, such ghosts included, until somebody calls `evict`.

Not a file system: no permissions, no links, and `allocate` takes room without showing zeros.
"""

import errno
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Concatenate, ParamSpec, TypeVar

from eventstore.errors import StoreLocked
from tests.support.faults import ERRORS, FAULTS, Fault, Hang, Plan, PowerCut, error
from tests.support.platter import (
    Change,
    Inode,
    Move,
    choices_for,
    contents_left,
    names_left,
    parent,
)

CAPACITY_BYTES = 1 << 40
CALLS_MAX = 10_000  # a program that makes more numbered calls since its start hangs in a loop

P = ParamSpec("P")
R = TypeVar("R")
_numbers = count(1)  # of databases: SQLite shares those in memory by name, process-wide


def numbered(
    method: Callable[Concatenate["SimDisk", P], R],
) -> Callable[Concatenate["SimDisk", P], R]:
    """A call that changes the disk: it has a number, where the power may go or the call fail."""
    name = method.__name__.lstrip("_")

    def call(self: "SimDisk", /, *args: P.args, **kwargs: P.kwargs) -> R:
        number = self._before(name)
        result = method(self, *args, **kwargs)
        if number == self._cut_after:
            self._off = True
            raise PowerCut
        return result

    return call


class SimDisk:
    """A Disk in memory.

    `journal` names the numbered calls since the start: a call's number is its place there. All
    files together fit `capacity` bytes, which may be changed at any time. `failed_syncs` counts.
    """

    def __init__(self, *, capacity: int = CAPACITY_BYTES, keep_databases: bool = False) -> None:
        self.capacity = capacity
        self.failed_syncs = 0
        self._cached: dict[str, Inode] = {}
        self._durable: dict[str, Inode] = {}
        self._moves: list[Move] = []
        self._directories = {""}
        self._keep_databases = keep_databases
        self._databases: dict[str, str] = {}  # path -> URI
        self._kept: dict[str, sqlite3.Connection] = {}  # holds a database while nobody else does
        self.restart()

    def restart(self) -> None:
        """Kill the process, start another: no handles, locks and plans, but the same cache."""
        self.journal: list[str] = []
        self._handles: dict[int, Inode] = {}
        self._locks: dict[int, str] = {}
        self._next_handle = count(3)
        self._databases = {path: self._databases[path] for path in self._kept}
        self._off = False
        self._cut_before = self._cut_after = -1
        self._plans: list[Plan] = []
        self._fault: Fault | None = None

    def cut(self, *, before: int = -1, after: int = -1) -> None:
        """Cut the power before or after the numbered call."""
        self._cut_before, self._cut_after = before, after

    def fail(self, call: str, fault: Fault, *, at: int = 0, for_ever: bool = False) -> None:
        """Plan one more fault: at the first such call from number `at` on; `for_ever`, at each."""
        assert fault in FAULTS[call], (call, fault)
        self._plans.append(Plan(call, fault, at, for_ever))

    def power_cut(self) -> "SimDisk":
        """The disk after a power cut that nothing unsynced survived; if all is synced, a copy."""
        return self.holding({path: inode.durable for path, inode in self._durable.items()})

    def images(self, *, dice: Random, stale: bytes = b"") -> Iterator["SimDisk"]:
        """Every state that a power cut may leave, once each. Changes nothing here."""
        choices: dict[Inode, list[bytes]] = {}
        seen: set[frozenset[tuple[str, bytes]]] = set()
        for names in names_left(self._durable, self._moves):
            for inode in names.values():
                if inode.dirty and inode not in choices:
                    choices[inode] = choices_for(inode, dice=dice, stale=stale)
            here = {inode: choices[inode] for inode in names.values() if inode.dirty}
            for contents in contents_left(here):
                files = {
                    path: contents[inode] if inode.dirty else inode.durable
                    for path, inode in names.items()
                }
                key = frozenset(files.items())
                if key not in seen:
                    seen.add(key)
                    yield self.holding(files)

    def files(self) -> dict[str, bytes]:
        """What reads would see: every file's content by path."""
        return {path: inode.cache for path, inode in self._cached.items()}

    def holding(self, files: dict[str, bytes]) -> "SimDisk":
        """Another disk like this one, with these files, all durable."""
        image = type(self)(capacity=self.capacity, keep_databases=self._keep_databases)
        image._durable = {path: Inode(content) for path, content in files.items()}
        image._cached = dict(image._durable)
        image._directories = set(self._directories)
        for path, kept in self._kept.items():
            image.database(path).close()
            kept.backup(image._kept[path])
        return image

    def listdir(self, path: str) -> list[str]:
        """See Disk."""
        self._require_power()
        if path not in self._directories:
            raise _no_such_file(path)
        below = f"{path}/" if path else ""
        start = len(below)
        paths = (*self._cached, *self._directories, *self._databases)
        return sorted(
            [
                found[start:]
                for found in paths
                if found.startswith(below) and found.find("/", start) < 0 and found != path
            ]
        )

    def mkdir(self, path: str) -> None:
        """See Disk."""
        if path not in self._directories:
            self._mkdir(path)

    @numbered
    def _mkdir(self, path: str) -> None:
        while path not in self._directories:
            self._directories.add(path)
            path = parent(path)

    @numbered
    def create(self, path: str) -> int:
        """See Disk."""
        if path in self._cached:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        if parent(path) not in self._directories:
            raise _no_such_file(path)
        inode = Inode()
        self._move(Move(None, path, inode))
        return self._handle_of(inode)

    def open(self, path: str) -> int:
        """See Disk."""
        return self._handle_of(self._find(path))

    def close(self, handle: int) -> None:
        """See Disk."""
        self._inode(handle)
        del self._handles[handle]
        self._locks.pop(handle, None)

    def size(self, handle: int) -> int:
        """See Disk."""
        return len(self._inode(handle).cache)

    def read(self, handle: int, offset: int, count: int) -> bytes:
        """See Disk."""
        return self._inode(handle).cache[offset : offset + count]

    @numbered
    def write(self, handle: int, data: bytes) -> int:
        """See Disk."""
        inode, room = self._inode(handle), self.free("")
        if data and room == 0:
            raise error(Fault.ENOSPC)
        if self._fault is Fault.ZERO:
            return 0
        taken = len(data) if self._fault is None else max(1, len(data) // 2)
        taken = min(taken, room)
        inode.change(Change(len(inode.cache), bytes(data[:taken])))
        return taken

    @numbered
    def truncate(self, handle: int, size: int) -> None:
        """See Disk."""
        self._inode(handle).change(Change(size, None))

    @numbered
    def datasync(self, handle: int) -> None:
        """See Disk."""
        inode = self._inode(handle)
        if self._fault is not None:
            inode.lose()
            raise self._failed_sync(self._fault)
        inode.sync()

    def evict(self, handle: int) -> None:
        """See Disk."""
        self._inode(handle).evict()

    @numbered
    def rename(self, old: str, new: str) -> None:
        """See Disk."""
        self._move(Move(old, new, self._find(old)))

    @numbered
    def unlink(self, path: str) -> None:
        """See Disk."""
        self._kept.pop(path, None)
        if self._databases.pop(path, None) is None:
            self._move(Move(path, None, self._find(path)))

    @numbered
    def syncdir(self, path: str) -> None:
        """See Disk."""
        if self._fault is not None:
            raise self._failed_sync(self._fault)
        for move in self._moves:
            if move.directory == path:
                move.apply(self._durable)
        self._moves = [move for move in self._moves if move.directory != path]

    def lock(self, path: str, owner: str) -> int:
        """See Disk."""
        self._require_power()
        if path in self._locks.values():
            raise StoreLocked(path, self._cached[path].cache.decode().strip())
        self._cached[path] = self._durable[path] = inode = Inode(owner.encode())
        handle = self._handle_of(inode)
        self._locks[handle] = path
        return handle

    @numbered
    def allocate(self, handle: int, size: int) -> None:
        """See Disk."""
        inode = self._inode(handle)
        if size - inode.room > self.free(""):
            raise error(Fault.ENOSPC)
        inode.allocated = size

    def free(self, path: str) -> int:
        """See Disk."""
        self._require_power()
        return max(0, self.capacity - sum([inode.room for inode in self._cached.values()]))

    def filesystem(self, path: str) -> str:
        """See Disk."""
        return "ext4"

    def database(self, path: str) -> sqlite3.Connection:
        """See Disk."""
        self._require_power()
        if path not in self._databases:
            self._databases[path] = f"file:sim{next(_numbers)}?mode=memory&cache=shared"
            if self._keep_databases:
                self._kept[path] = _connect(self._databases[path])
        return _connect(self._databases[path])

    def _before(self, call: str) -> int:
        number = len(self.journal)
        if self._off or number == self._cut_before:
            self._off = True
            raise PowerCut
        if number >= CALLS_MAX:
            raise Hang(self.journal[-5:])
        self.journal.append(call)
        self._fault = self._due(call, number) if self._plans else None
        if self._fault in ERRORS and call not in ("datasync", "syncdir"):
            raise error(self._fault)
        return number

    def _due(self, call: str, number: int) -> Fault | None:
        plan = next((each for each in self._plans if each.due(call, number)), None)
        if plan is None:
            return None
        self._plans = [*plan.after(), *(each for each in self._plans if each is not plan)]
        return plan.fault

    def _failed_sync(self, fault: Fault) -> OSError:
        self.failed_syncs += 1
        return error(fault)

    def _require_power(self) -> None:
        if self._off:
            raise PowerCut

    def _handle_of(self, inode: Inode) -> int:
        handle = next(self._next_handle)
        self._handles[handle] = inode
        return handle

    def _inode(self, handle: int) -> Inode:
        if self._off:
            raise PowerCut
        try:
            return self._handles[handle]
        except KeyError:
            raise OSError(errno.EBADF, "Bad file descriptor") from None

    def _find(self, path: str) -> Inode:
        self._require_power()
        try:
            return self._cached[path]
        except KeyError:
            raise _no_such_file(path) from None

    def _move(self, move: Move) -> None:
        move.apply(self._cached)
        self._moves.append(move)


def _no_such_file(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "No such file or directory", path)


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, check_same_thread=False, isolation_level=None, factory=_Connection
    )


class _Connection(sqlite3.Connection):
    """A connection that a killed process leaves behind closes itself, and without a warning."""

    def __del__(self) -> None:
        self.close()
