"""What is left of files and names after a power cut: the pure half of the simulated disk.

An `Inode` keeps apart what reads see (`cache`), what is safe (`durable`) and the unsynced changes
between the two (`dirty`); a `Move` is an unsynced directory operation. `names_left` and
`contents_left` enumerate what a cut may leave:

- names: every subset of up to five moves, else every prefix;
- bytes, of one dirty file at a time while the others arrived wholly or not at all: every prefix of
  what is unsynced, byte by byte; and every subset of its dirty 512-byte sectors and of its dirty
  4096-byte pages (48 drawn when there are more than six), where a missing one holds old bytes,
  zeros, or stale ones.

A sector is old or new, never half, and what is durable stays as it is: powersafe overwrite is
assumed, and damage at rest is another test's matter. No calls, no faults, no numbers here; those
are `simdisk`'s.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

SECTOR_BYTES = 512  # what a drive writes whole or not at all
PAGE_BYTES = 4096  # what the page cache hands to the drive, and what most drives write inside
ALL_SUBSETS_MAX = 6
SUBSETS_DRAWN = 48
MOVES_ALL_SUBSETS_MAX = 5


class Change(NamedTuple):
    """A change to a file: bytes written at `offset`; without `data`, a cut to that size."""

    offset: int
    data: bytes | None

    def applied(self, content: bytes) -> bytes:
        """The content once it was made. A gap before `offset`, where something was lost, reads as
        zeros.
        """
        before = content[: self.offset].ljust(self.offset, b"\0")
        if self.data is None:
            return before
        return before + self.data + content[self.offset + len(self.data) :]


class Inode:
    """A file without its name. Contents are values: disks with equal files share them."""

    __slots__ = ("allocated", "cache", "dirty", "durable")

    def __init__(self, content: bytes = b"") -> None:
        self.durable = self.cache = content
        self.dirty: list[Change] = []
        self.allocated = 0

    @property
    def room(self) -> int:
        """Bytes it takes."""
        return max(len(self.cache), self.allocated)

    def change(self, change: Change) -> None:
        """Visible at once, durable after a sync."""
        self.cache = change.applied(self.cache)
        self.dirty.append(change)

    def sync(self) -> None:
        """What is dirty becomes durable."""
        self.durable = self.arrived()
        self.dirty = []

    def lose(self) -> None:
        """A failed sync: what was dirty is still seen, counts as clean, and is nowhere."""
        self.dirty = []

    def evict(self) -> None:
        """Forget the clean pages, among them what was lost."""
        self.cache = self.arrived()

    def arrived(self) -> bytes:
        """The content once all that is dirty has reached the disk."""
        content = self.durable
        for change in self.dirty:
            content = change.applied(content)
        return content


class Move(NamedTuple):
    """A directory operation: without `old` a creation, without `new` a removal."""

    old: str | None
    new: str | None
    inode: Inode

    @property
    def directory(self) -> str:
        """Whose `syncdir` makes it durable."""
        return parent(self.new or self.old or "")

    def apply(self, names: dict[str, Inode]) -> None:
        """Make it."""
        if self.old is not None:
            names.pop(self.old, None)
        if self.new is not None:
            names[self.new] = self.inode


def parent(path: str) -> str:
    """The directory of a path."""
    return path.rpartition("/")[0]


def names_left(durable: dict[str, Inode], moves: Sequence[Move]) -> Iterator[dict[str, Inode]]:
    """The names that a power cut may leave."""
    for arrived in _moves_arrived(moves):
        names = dict(durable)
        for move in arrived:
            move.apply(names)
        yield names


def contents_left(choices: dict[Inode, list[bytes]]) -> Iterator[dict[Inode, bytes]]:
    """Each choice for each dirty file, while the others arrived wholly or not at all."""
    bare = {inode: inode.durable for inode in choices}
    full = {inode: inode.arrived() for inode in choices}
    yield bare
    yield full
    for inode, contents in choices.items():
        for others in (bare, full) if len(choices) > 1 else (bare,):
            for content in contents:
                yield {**others, inode: content}


def choices_for(inode: Inode, *, dice: Random, stale: bytes) -> list[bytes]:
    """What may be left of a dirty file."""
    torn = [*_torn(inode, SECTOR_BYTES, dice, stale), *_torn(inode, PAGE_BYTES, dice, stale)]
    return list(dict.fromkeys([*_prefixes(inode), *torn]))


def _moves_arrived(moves: Sequence[Move]) -> Iterator[Sequence[Move]]:
    if len(moves) > MOVES_ALL_SUBSETS_MAX:
        yield from (moves[:size] for size in range(len(moves) + 1))
        return
    for mask in range(1 << len(moves)):
        yield [move for bit, move in enumerate(moves) if mask >> bit & 1]


def _prefixes(inode: Inode) -> Iterator[bytes]:
    """The unsynced bytes up to each of them."""
    content = inode.durable
    for change in inode.dirty:
        for size in range(1, len(change.data or b"")):
            yield change._replace(data=(change.data or b"")[:size]).applied(content)
        content = change.applied(content)
        yield content


def _torn(inode: Inode, block: int, dice: Random, stale: bytes) -> Iterator[bytes]:
    """The new content without some of its dirty blocks of so many bytes."""
    full = inode.arrived()
    start = min(change.offset for change in inode.dirty)
    blocks = range(start // block, -(-len(full) // block))
    zeros = bytes(len(full))
    old = (inode.durable + zeros)[: len(full)]
    fillers = [old, zeros] + ([_repeated(stale, start, len(full))] if stale else [])
    for missing in _subsets(blocks, dice):
        for filler in fillers:
            content = bytearray(full)
            for number in missing:
                hole = slice(max(start, number * block), min(len(full), (number + 1) * block))
                content[hole] = filler[hole]
            yield bytes(content)


def _subsets(blocks: range, dice: Random) -> Iterator[list[int]]:
    size = len(blocks)
    if size <= ALL_SUBSETS_MAX:
        masks = list(range(1 << size))
    else:
        masks = [dice.getrandbits(size) for _ in range(SUBSETS_DRAWN)]
    for mask in masks:
        yield [number for bit, number in enumerate(blocks) if mask >> bit & 1]


def _repeated(stale: bytes, start: int, size: int) -> bytes:
    """Stale bytes over and over, so that a stale line begins where the first new one should."""
    times = 1 + max(0, size - start) // len(stale)
    return (bytes(start) + stale * times)[:size]
