"""What is acknowledged survives: every crash point of a small log, and proof that the search bites.

The search itself is in `tests/support/crashpoints.py`; over the store as it is it goes in the level
`crash points` (`crash_rounds.py`). Here it goes over stores with a planted bug, each of which must
be caught: a checker that misses one proves nothing. Besides, what the search leaves out: an index
that survives, and disks that are full. Real disks, slow and few, are not here, nor is damage at
rest.
"""

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

import pytest

from eventstore.errors import NotWritten
from eventstore.event import NEW, Append, Event, NewEvent, prepare
from eventstore.file import recovery, segment, writer
from eventstore.file.disk import Disk
from eventstore.file.index import Index
from eventstore.file.segment import Line
from eventstore.file.store import FileStore
from eventstore.file.writer import Writer
from eventstore.store import Result
from tests.support.crashpoints import Checker
from tests.support.history import AT, Broken
from tests.support.simdisk import CAPACITY_BYTES, SimDisk
from tests.support.smalllog import ROOT, log_files, open_store, run_still


@pytest.fixture(autouse=True)
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tens of thousands of warnings about torn tails would be kept otherwise."""
    monkeypatch.setattr(logging.getLogger("joblog.log"), "disabled", True)


class KeepingDisk(SimDisk):
    """Its databases survive; of what a power cut may leave, it shows one state in fifty."""

    def __init__(self, *, capacity: int = CAPACITY_BYTES, keep_databases: bool = True) -> None:
        super().__init__(capacity=capacity, keep_databases=keep_databases)

    def images(self, *, dice: Random, stale: bytes = b"") -> Iterator[SimDisk]:
        return islice(super().images(dice=dice, stale=stale), 0, None, 50)


class NoMemory(Checker):
    """Opens every disk: two with the same files may differ in their index."""

    async def _recovered(self, image: SimDisk) -> tuple[str, ...]:
        return await self._recover(image)


@pytest.fixture
def _flushed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = FileStore.commit

    async def commit_and_flush(self: FileStore, batch: Sequence[Append]) -> list[Result]:
        results = await commit(self, batch)
        await self.flush_index()
        return results

    monkeypatch.setattr(FileStore, "commit", commit_and_flush)


@pytest.mark.usefixtures("_flushed_at_once")
def test_an_index_that_survives_is_never_ahead_of_the_log() -> None:
    checker = NoMemory(disk=KeepingDisk, whole_every=1)
    run_still(checker.cuts())
    assert checker.images > 200


@pytest.mark.usefixtures("_flushed_at_once")
def test_an_index_ahead_of_the_log_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    flush = Index.flush
    monkeypatch.setattr(Index, "flush", lambda self, upto, rest: flush(self, upto + 1, rest))
    with pytest.raises(Broken, match="acknowledged events are gone"):
        run_still(NoMemory(disk=KeepingDisk, whole_every=1).cuts())


def test_a_disk_that_is_full_at_any_byte_refuses_and_goes_on_when_there_is_room() -> None:
    async def fill(capacity: int) -> int:
        disk = SimDisk(capacity=capacity)
        store = await open_store(disk)
        head, refused = NEW, 0
        for number in range(8):
            append = prepare("a", head, [NewEvent("Noted", AT, {})] * 3, nonce=f"{number}")
            [result] = await store.commit([append])
            if isinstance(result, NotWritten):
                refused += 1
                assert await store.head() == 1 + head.rev
                disk.capacity += 1_000
                [result] = await store.commit([append])
            assert isinstance(result, list)
            head = result[-1].head
        left = disk.power_cut()
        left.capacity = CAPACITY_BYTES
        assert len(await (await open_store(left)).read()) == 1 + 3 * 8
        return refused

    refusals = [run_still(fill(capacity)) for capacity in range(1_000, 6_000, 31)]
    assert {0, 1, 2} <= set(refusals)


def test_a_refused_commit_leaves_none_of_the_segments_that_it_began() -> None:
    """The disk takes what fills the first segment and the whole second one, then nothing more."""

    async def scenario() -> None:
        disk = SimDisk(capacity=3_000)
        store = await open_store(disk, segment_events=2)
        begun = log_files(disk)
        events = [NewEvent("Noted", AT, {"padding": "x" * size}) for size in (1, 1, 1, 3_000)]
        batch = [prepare(f"s{i}", NEW, [event], nonce=f"{i}") for i, event in enumerate(events)]
        results = await store.commit(batch)
        assert {type(result) for result in results} == {NotWritten}
        assert "create" in disk.journal[-12:]
        assert log_files(disk) == log_files(disk.power_cut()) == begun

    run_still(scenario())


def test_the_reserve_makes_room_for_what_would_not_fit() -> None:
    async def scenario() -> None:
        disk = SimDisk()
        store = await open_store(disk)
        disk.capacity -= disk.free(ROOT) - 100
        append = prepare("a", NEW, [NewEvent("Noted", AT, {})] * 9, nonce="1")
        [result] = await store.commit([append])
        assert isinstance(result, list)
        assert "reserve" not in disk.listdir(ROOT)
        assert len(await (await open_store(disk.power_cut())).read()) == 1 + 9

    run_still(scenario())


class BuggyWriter(SimDisk):
    """A disk that shows a bug of the writer: only once the log is open, when it has its reserve."""

    @property
    def is_open(self) -> bool:
        return "allocate" in self.journal


class NoSync(BuggyWriter):
    """Acknowledges what is only written."""

    def datasync(self, handle: int) -> None:
        if not self.is_open:
            super().datasync(handle)


class LateSync(BuggyWriter):
    """Syncs a commit when the next one is written."""

    late: int | None = None

    def write(self, handle: int, data: bytes) -> int:
        if self.late is not None:
            super().datasync(self.late)
        self.late = None
        return super().write(handle, data)

    def datasync(self, handle: int) -> None:
        if self.is_open:
            self.late = handle
        else:
            super().datasync(handle)

    def close(self, handle: int) -> None:
        super().close(handle)
        self.late = None


class NoSyncOfNames(BuggyWriter):
    """Never syncs a directory: the new segment is full of synced lines, and has no name."""

    def syncdir(self, path: str) -> None:
        if not self.is_open:
            super().syncdir(path)


class RetriedSync(SimDisk):
    """Tries a failed sync again, which says OK."""

    def datasync(self, handle: int) -> None:
        try:
            super().datasync(handle)
        except OSError:
            super().datasync(handle)


class ShortWriteIgnored(BuggyWriter):
    """Takes a short write for a whole one."""

    def write(self, handle: int, data: bytes) -> int:
        taken = super().write(handle, data)
        return len(data) if self.is_open else taken


class UnsyncedCutBack(BuggyWriter):
    """Says that a commit was refused before cutting it back is durable."""

    cut_back: int | None = None

    def truncate(self, handle: int, size: int) -> None:
        super().truncate(handle, size)
        self.cut_back = handle

    def datasync(self, handle: int) -> None:
        if handle != self.cut_back:
            super().datasync(handle)
        self.cut_back = None


class NoEvict(SimDisk):
    """Reads past the cache read the cache."""

    def evict(self, handle: int) -> None:
        self.size(handle)


def unsynced_lines_are_shown(monkeypatch: pytest.MonkeyPatch) -> type[SimDisk]:
    """Reads go to the end of the file, not to the end of what is synced."""

    async def read(store: FileStore, after: int = 0, limit: int = 0) -> list[Event]:
        return store._reader.page(after, limit)

    monkeypatch.setattr(FileStore, "read", read)
    return SimDisk


def failed_sync_is_taken_for_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> type[SimDisk]:
    """A sync that says ENOSPC is cut back like a write that does."""
    write_synced = Writer._write_synced

    def lenient(self: Writer, data: bytes) -> None:
        try:
            write_synced(self, data)
        except writer._SyncFailedError as error:
            raise OSError(errno.ENOSPC, "no room") from error

    monkeypatch.setattr(Writer, "_write_synced", lenient)
    return SimDisk


def full_disk_is_not_cut_back(monkeypatch: pytest.MonkeyPatch) -> type[SimDisk]:
    """The next commit is glued to what a failed one left."""
    go_back = Writer._go_back

    def forgetful(self: Writer, end: writer._End) -> None:
        if self._first != end.first:
            go_back(self, end)
        self._size, self.head = self._disk.size(self._handle), end.head

    monkeypatch.setattr(Writer, "_go_back", forgetful)
    return SimDisk


def torn_tail_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> type[SimDisk]:
    """A recovery reads the valid lines and leaves the file as it is."""
    rewrite = recovery.rewrite

    def only_new(disk: Disk, path: str, data: bytes, *, directory: str) -> None:
        if not path.endswith(".jsonl"):
            rewrite(disk, path, data, directory=directory)

    monkeypatch.setattr(recovery, "rewrite", only_new)
    monkeypatch.setattr(Writer, "_require_untouched", lambda _: None)
    return SimDisk


def ghosts_are_trusted(monkeypatch: pytest.MonkeyPatch) -> type[SimDisk]:
    """A recovery believes the page cache, and truncates in place instead of copying."""
    rewrite = recovery.rewrite

    def in_place(disk: Disk, path: str, data: bytes, *, directory: str) -> None:
        if not path.endswith(".jsonl"):
            rewrite(disk, path, data, directory=directory)
            return
        handle = disk.open(path)
        disk.truncate(handle, len(data))
        disk.datasync(handle)
        disk.close(handle)
        disk.syncdir(directory)

    monkeypatch.setattr(recovery, "rewrite", in_place)
    return NoEvict


def half_an_append_is_kept(monkeypatch: pytest.MonkeyPatch) -> type[SimDisk]:
    """A tail that ends on `more` is not cut back."""

    def all_lines(lines: list[Line]) -> list[Line]:
        return lines

    monkeypatch.setattr(recovery, "whole_appends", all_lines)
    return SimDisk


def the_segment_before_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> type[SimDisk]:
    """An append that lost its end in the newest segment keeps its beginning in the one before."""

    def find_end(disk: Disk, log_id: str, reader: Any, _: int) -> Any:
        return recovery._valid_end(disk, log_id, reader, reader.segments()[-1], sealed=False)

    monkeypatch.setattr(recovery, "_find_end", find_end)
    return SimDisk


def a_torn_tail_is_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> type[SimDisk]:
    """Any good line that follows a bad one makes it damage, also one of the same commit."""

    def any_follows(data: bytes, pos: int, seed: int) -> bool:
        return any(line.event.pos > pos for line in segment.good_lines(data, seed=seed))

    monkeypatch.setattr(segment, "_later_commit_follows", any_follows)
    return SimDisk


PLANTED: dict[str, Callable[[pytest.MonkeyPatch], type[SimDisk]]] = {
    "nothing is synced": lambda _: NoSync,
    "the sync comes after the answer": lambda _: LateSync,
    "a new segment's name is not synced": lambda _: NoSyncOfNames,
    "a failed sync is tried again": lambda _: RetriedSync,
    "a failed sync is taken for a full disk": failed_sync_is_taken_for_a_full_disk,
    "a short write is taken for a whole one": lambda _: ShortWriteIgnored,
    "the cut back of a refused commit is not synced": lambda _: UnsyncedCutBack,
    "a refused commit is not cut back": full_disk_is_not_cut_back,
    "a torn tail is not cut": torn_tail_is_not_cut,
    "a torn tail is taken for damage": a_torn_tail_is_taken_for_damage,
    "ghosts are trusted": ghosts_are_trusted,
    "half an append is kept": half_an_append_is_kept,
    "half an append is kept in the segment before": the_segment_before_is_forgotten,
    "unsynced lines are shown": unsynced_lines_are_shown,
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checker = Checker(disk=PLANTED[bug](monkeypatch))
    with pytest.raises(Broken) as caught:
        run_still(checker.everything())
    print(  # noqa: T201  how soon each is caught is worth reading (pytest -s)
        f"{bug}: caught in run {checker.runs}, image {checker.images}: {caught.value}"
    )
