"""What the log stands on in a simulation, and the book of what was sent there and acknowledged.

Two grounds: a directory on a simulated disk, with the real file store, and a memory store that
outlives the processes, as a server on another machine would. Both are behind a `Tapped` store,
which writes the book; over the memory it also loses commits, before they landed or after.

A disk can be cut in the middle of a commit. Then the node it belongs to dies at that instant, and
the next life finds one of the states that the platter may be in.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol, TypeVar

from eventstore.errors import NotWritten, OutcomeUnknown
from eventstore.event import Append
from eventstore.file.store import FileStore
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from eventstore.offload import Inline
from eventstore.store import EventStore, Result
from tests.simulation.faults import Faults
from tests.simulation.loop import SeededLoop
from tests.support.faults import PowerCut
from tests.support.platter import SECTOR_BYTES, Inode, names_left
from tests.support.simdisk import SimDisk
from tests.support.through import Through

ROOT = "data"
SEGMENT_EVENTS = 64  # so small that every life goes through some
T = TypeVar("T")


class Decision(NamedTuple):
    """When an append was made, and what of the log was known before that instant, for certain."""

    time: float
    known: int


class Book:
    """What was sent to the log, when it was decided, and what was acknowledged."""

    def __init__(self) -> None:
        self.sent: dict[str, Append] = {}
        self.decided: dict[str, Decision] = {}
        self.acknowledged: dict[int, bytes] = {}  # position -> line

    def acknowledge(self, result: Result) -> None:
        """What a store answered."""
        if isinstance(result, list):
            for event in result:
                before = self.acknowledged.setdefault(event.pos, event.line)
                assert before == event.line, f"position {event.pos} was acknowledged as another"


class WatchedLog(EventLog):
    """A log that notes when its appends are decided, and what was known then."""

    def __init__(
        self, store: EventStore, *, dice: Random, book: Book, loop: SeededLoop, head: int
    ) -> None:
        super().__init__(store, dice=dice)
        self._book = book
        self._loop = loop
        self._known = self._before = head
        self._moved_at = -1.0

    def knows(self, position: int) -> None:
        """The projector has gone on."""
        if self._moved_at < self._loop.time():
            self._moved_at, self._before = self._loop.time(), self._known
        self._known = position

    def _prepared(self, stream, expected, events, *, fresh):
        append = super()._prepared(stream, expected, events, fresh=fresh)
        now = self._loop.time()
        known = self._before if self._moved_at == now else self._known
        self._book.decided[append.nonce] = Decision(now, known)
        return append


class Tapped(Through):
    """A store whose traffic is noted in the book; `fails` if it loses commits, too."""

    def __init__(self, store: EventStore, book: Book, faults: Faults, *, fails: bool) -> None:
        super().__init__(store)
        self._book = book
        self._faults = faults
        self._fails = fails

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        """See EventStore."""
        self._book.sent.update((append.nonce, append) for append in batch)
        results = await (self._lossy(batch) if self._fails else self._store.commit(batch))
        for result in results:
            self._book.acknowledge(result)
        return results

    async def _lossy(self, batch: Sequence[Append]) -> list[Result]:
        faults = self._faults
        if delay_s := faults.delay_s():
            await asyncio.sleep(delay_s)
        if faults.hit("a commit fails in a strange way"):
            raise ConnectionResetError("nobody knows this one")
        lost = [self._lost(append) for append in batch]
        kept = [append for append, error in zip(batch, lost, strict=True) if error is None]
        written = iter(await self._store.commit(kept))
        if delay_s := faults.delay_s():
            await asyncio.sleep(delay_s)
        results = [next(written) if error is None else error for error in lost]
        return [
            OutcomeUnknown("lost") if faults.hit("a commit is lost after it landed") else result
            for result in results
        ]

    def _lost(self, _: Append) -> Any:
        if self._faults.hit("a commit is lost before it landed"):
            return OutcomeUnknown("lost")
        return NotWritten("no room") if self._faults.hit("a commit is refused") else None

    async def wait(self, after: int, timeout: float) -> None:
        """See EventStore: a hint, and it may get lost."""
        if self._faults.hit("a wake-up is missed"):
            await asyncio.sleep(timeout)
        await self._store.wait(after, timeout)

    async def aclose(self) -> None:
        """See EventStore."""
        if not self._fails:
            await self._store.aclose()


class Ground(Protocol):
    """What a log stands on, life after life."""

    async def open(self, dice: Random) -> Tapped:
        """The store, for one life."""
        ...

    def crash(self, *, power_cut: bool) -> None:
        """The life is over. What is there for the next?"""
        ...

    def head(self) -> int:
        """Up to where the log is durable, whatever anybody says."""
        ...

    def lines(self) -> list[bytes]:
        """All of the log's lines that are durable."""
        ...


class MemoryGround:
    """A store that outlives its writers, on a machine that never fails."""

    def __init__(self, book: Book, faults: Faults, dice: Random) -> None:
        self._store = MemoryStore(log_id=f"{dice.getrandbits(128):032x}")
        self._tapped = Tapped(self._store, book, faults, fails=True)

    async def open(self, dice: Random) -> Tapped:
        """See Ground."""
        return self._tapped

    def crash(self, *, power_cut: bool) -> None:
        """See Ground."""

    def head(self) -> int:
        """See Ground."""
        return len(self._store._events)

    def lines(self) -> list[bytes]:
        """See Ground."""
        return [event.line for event in self._store._events]

    def content(self) -> bytes:
        """See Ground."""
        return b"\n".join(self.lines())


class FileGround:
    """A directory on a disk. `on_cut` is called at the instant at which the power goes."""

    def __init__(
        self, book: Book, faults: Faults, dice: Random, on_cut: Callable[[], None]
    ) -> None:
        self._book = book
        self._faults = faults
        self._dice = dice
        self._on_cut = on_cut
        self._counted: dict[Inode, tuple[int, int]] = {}  # durable bytes looked at, lines in them
        self._take(_CutDisk(keep_databases=dice.random() < 0.3))

    async def open(self, dice: Random) -> Tapped:
        """See Ground."""
        store = await FileStore.open(
            ROOT,
            dice=dice,
            offload=_Slow(self._faults),
            disk=self.disk,
            segment_events=SEGMENT_EVENTS,
        )
        return Tapped(store, self._book, self._faults, fails=False)

    def crash(self, *, power_cut: bool) -> None:
        """See Ground."""
        if power_cut or self.disk._off:
            self._take(_left_by_a_cut(self.disk, self._dice))
        else:
            self.disk.restart()

    async def require_stable(self) -> None:
        """Recover a copy of the disk twice: the second time must change nothing, and neither may
        change what was acknowledged.
        """
        copy = self.disk.power_cut()
        copy.on_cut = lambda: None
        contents = []
        for _ in range(2):
            store = await FileStore.open(
                ROOT, dice=Random(1), offload=Inline(), disk=copy, segment_events=SEGMENT_EVENTS
            )
            await store.aclose()
            contents.append(_content(copy))
            copy = copy.power_cut()
            copy.on_cut = lambda: None
        assert contents[0] == contents[1], "a second recovery changed the log"
        lines = contents[0].splitlines()
        for pos, line in self._book.acknowledged.items():
            assert pos <= len(lines), f"position {pos} was acknowledged and is lost"
            assert lines[pos - 1] == line, f"position {pos} is not what was acknowledged"

    def head(self) -> int:
        """See Ground."""
        head = 0
        for path, inode in self.disk._durable.items():
            if path.startswith(f"{ROOT}/log/") and path.endswith(".jsonl"):
                first = int(path.rpartition("/")[2].removesuffix(".jsonl"))
                head = max(head, first - 1 + self._count(inode))
        return head

    def lines(self) -> list[bytes]:
        """See Ground."""
        return self.content().splitlines()

    def content(self) -> bytes:
        """The log as it is durable."""
        return _content(self.disk.power_cut())

    def _count(self, inode: Inode) -> int:
        looked_at, lines = self._counted.get(inode, (0, 0))
        if looked_at < len(inode.durable):
            lines += inode.durable.count(b"\n", looked_at)
            self._counted[inode] = len(inode.durable), lines
        return lines

    def _take(self, disk: "_CutDisk") -> None:
        self.disk = disk
        disk.on_cut = self._on_cut


class _CutDisk(SimDisk):
    """Says when the power goes."""

    on_cut: Callable[[], None] = staticmethod(lambda: None)

    def _require_power(self) -> None:
        if self._off:
            self.on_cut()
            raise PowerCut


class _Slow:
    """Blocking calls that take their time, before they do something and after."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def run(self, call: Callable[[], T]) -> T:
        """See Offload."""
        if delay_s := self._faults.delay_s():
            await asyncio.sleep(delay_s)
        result = call()
        if delay_s := self._faults.delay_s():
            await asyncio.sleep(delay_s)
        return result

    def close(self) -> None:
        """Nothing was put off."""


def _left_by_a_cut(disk: _CutDisk, dice: Random) -> _CutDisk:
    """One of the states that a power cut may leave, drawn."""
    names = dice.choice(list(names_left(disk._durable, disk._moves)))
    left = disk.holding({path: _left_of(inode, dice) for path, inode in names.items()})
    assert isinstance(left, _CutDisk)
    return left


def _left_of(inode: Inode, dice: Random) -> bytes:
    """What is left of a file: of its unsynced bytes none, all, a beginning, or some sectors."""
    bare, full = bytes(inode.durable), bytes(inode.arrived())
    if not inode.dirty or bare == full:
        return bare
    how = dice.randrange(4)
    if how < 2 or len(full) <= len(bare):
        return (bare, full)[how % 2]
    if how == 2:
        end = dice.randint(len(bare), len(full))
        whole = full.rfind(b"\n", 0, end) + 1
        return full[: max(len(bare), whole) if dice.random() < 0.5 else end]
    torn = bytearray(full)
    for start in range(len(bare) // SECTOR_BYTES * SECTOR_BYTES, len(full), SECTOR_BYTES):
        if dice.random() < 0.5:
            hole = slice(max(start, len(bare)), min(start + SECTOR_BYTES, len(full)))
            torn[hole] = bytes(hole.stop - hole.start)
    return bytes(torn)


def _content(disk: SimDisk) -> bytes:
    files = disk.files()
    return b"".join(
        files[path]
        for path in sorted(files)
        if path.startswith(f"{ROOT}/log/") and path.endswith(".jsonl")
    )
