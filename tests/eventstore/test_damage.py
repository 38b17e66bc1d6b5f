"""Damage at rest: whatever rots in a small log is found, or it is at its end and nobody saw more.

Torn and damaged are told apart by one rule (see `eventstore/file/segment.py`), and this file is its
measure: every byte of a log is flipped, its last commit is cut at every byte, its lines and
segments are lost, doubled and swapped. A silent *change* is never allowed. A silent *loss* is
allowed in one place, the last commit, which then looks torn; and not even there once the index has
seen it. What power cuts and failing disks do is `test_crash_points.py`.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import pytest

from eventstore.errors import StoreCorrupt
from eventstore.event import Event
from eventstore.file.segment import first_of, scan, seed_of
from eventstore.file.verify import Problem, verify
from tests.support.history import WORKLOAD, Planned, workload
from tests.support.simdisk import SimDisk
from tests.support.smalllog import (
    EVENTS_MAX,
    ROOT,
    SEGMENT_EVENTS,
    log_files,
    open_store,
    run_still,
    write_all,
)

Damage = dict[str, bytes | None]  # other contents for some files; None: the file is gone


@dataclass(frozen=True)
class Log:
    """A log at rest. Its last commit begins at position `commit`, at byte `start` of `newest`."""

    disk: SimDisk
    files: dict[str, bytes]
    events: list[Event]
    newest: str
    start: int
    commit: int

    def damaged(self, damage: Damage) -> SimDisk:
        files = {**self.disk.files(), **damage}
        return self.disk.holding({path: data for path, data in files.items() if data is not None})


@pytest.fixture(autouse=True)
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of warnings about torn tails would be kept otherwise."""
    monkeypatch.setattr(logging.getLogger("joblog.log"), "disabled", True)


@pytest.fixture(scope="module")
def log() -> Log:
    return a_log(WORKLOAD)


@pytest.fixture(scope="module")
def seen_log() -> Log:
    """The same with its index, which has seen all of it."""
    return a_log(WORKLOAD, keep_index=True)


@pytest.mark.parametrize(
    "last_commit",
    [[("b", [1]), ("c", [1, 1]), ("d", [1])], [("c", [1, 1, 1, 1, 1, 1])]],
    ids=["three appends", "one append, begun in the segment before"],
)
def test_a_last_commit_cut_at_any_byte_keeps_the_appends_that_are_whole(
    last_commit: Sequence[tuple[str, Sequence[int]]],
) -> None:
    log = a_log(workload([("a", [1])], last_commit))
    content = log.files[log.newest]
    cuts: list[Damage] = [
        {log.newest: content[:size]} for size in range(log.start, len(content) + 1)
    ]
    for found, cut in zip(opened(log, cuts), cuts, strict=True):
        assert found == whole_appends(log, lines_in(log, cut))


def test_a_flipped_bit_before_the_last_commit_is_found_where_it_is(log: Log) -> None:
    places = durable_places(log)
    flips: list[Damage] = [{path: flipped(log.files[path], at, at % 8)} for path, at in places]
    for (path, at), found, flip in zip(places, opened(log, flips), flips, strict=True):
        content = log.files[path]
        line, byte = content.count(b"\n", 0, at) + 1, content.rfind(b"\n", 0, at) + 1
        assert isinstance(found, StoreCorrupt), (path, at)
        assert (found.file, found.line, found.byte) == (path, line, byte)
        assert "joblog verify" in found.hint
        assert (path, line, byte) in problems(log, flip)
    assert len(flips) > 2_500


def test_it_is_found_by_whoever_reads_it_when_the_start_had_no_need_to(seen_log: Log) -> None:
    first = min(seen_log.files)
    flips: list[Damage] = [
        {first: flipped(seen_log.files[first], at, at % 8)}
        for at in range(len(seen_log.files[first]))
    ]
    for found in opened(seen_log, flips):
        assert isinstance(found, StoreCorrupt)
        assert found.file == first


def test_each_bit_before_the_last_commit_is_told_apart_from_a_torn_one(log: Log) -> None:
    flips = 0
    for path, at in durable_places(log):
        first = first_position(path)
        seed = seed_of(log.events[0].data["log_id"], first)
        for bit in range(8):
            data = flipped(log.files[path], at, bit)
            fault = scan(data, first=first, seed=seed, sealed=path != log.newest).fault
            assert fault is not None, (path, at, bit)
            assert fault.durable, (path, at, bit)
            flips += 1
    assert flips > 20_000


def test_damage_in_the_last_commit_loses_it_and_changes_nothing_else(log: Log) -> None:
    content = log.files[log.newest]
    flips: list[Damage] = [
        {log.newest: flipped(content, at, at % 8)} for at in range(log.start, len(content))
    ]
    for found in opened(log, flips):
        assert found == log.events[: log.commit - 1]


def test_not_even_the_last_commit_is_lost_once_the_index_has_seen_it(seen_log: Log) -> None:
    content = seen_log.files[seen_log.newest]
    damages: list[Damage] = [
        {seen_log.newest: flipped(content, at, at % 8)}
        for at in range(seen_log.start, len(content))
    ]
    damages += [{seen_log.newest: content[:size]} for size in range(len(content))]
    damages += [{seen_log.newest: None}]
    for found in opened(seen_log, damages):
        assert isinstance(found, StoreCorrupt)
        assert "acknowledged events are gone" in found.found


@pytest.mark.parametrize(("fixture", "lost_at_most"), [("log", 2), ("seen_log", 0)])
def test_lines_and_segments_lost_doubled_or_swapped_are_found(
    fixture: str, lost_at_most: int, request: pytest.FixtureRequest
) -> None:
    log: Log = request.getfixturevalue(fixture)
    damages = list(misplaced(log))
    lost = 0
    for damage, found in zip(damages, opened(log, damages), strict=True):
        at_the_end = only_the_last_commit_is_touched(log, damage)
        assert problems(log, damage) or at_the_end
        if not isinstance(found, StoreCorrupt) and found != log.events:
            assert at_the_end
            assert found == log.events[: log.commit - 1]
            lost += 1
    assert len(damages) > 70
    assert lost <= lost_at_most


def test_a_full_segment_that_lost_its_end_is_found_though_the_next_one_is_empty(log: Log) -> None:
    _, second, _ = log.files
    content = log.files[second]
    ends: list[Damage] = [{second: content[:size], log.newest: b""} for size in range(len(content))]
    for found in opened(log, ends):
        assert isinstance(found, StoreCorrupt)
        assert found.file == second


def test_a_damaged_log_id_is_found_and_does_not_make_the_whole_log_look_torn() -> None:
    """In a log of one segment nothing else could tell: no line of it holds by another id."""
    log = a_log(workload([("a", [1])], [("b", [1])]))
    path = f"{ROOT}/log-id"
    content = log.disk.files()[path]
    flips: list[Damage] = [
        {path: flipped(content, at, bit)} for at in range(len(content) - 1) for bit in range(8)
    ]
    for found, flip in zip(opened(log, flips), flips, strict=True):
        assert isinstance(found, StoreCorrupt)
        assert found.file == path
        assert path in [file for file, _, _ in problems(log, flip)]


def test_a_lost_end_is_a_shorter_log_when_no_index_has_seen_more(log: Log) -> None:
    content = log.files[log.newest]
    ends: list[Damage] = [{log.newest: content[:size]} for size in range(len(content) + 1)]
    for found, end in zip(opened(log, ends), ends, strict=True):
        assert found == whole_appends(log, lines_in(log, end))


def a_log(batches: list[list[Planned]], *, keep_index: bool = False) -> Log:
    disk = SimDisk(keep_databases=keep_index)
    events = run_still(write_all(disk, batches))
    files = log_files(disk)
    newest = max(files)
    last_batch = sum(len(planned.events) for planned in batches[-1])
    commit = max(first_position(newest), events[-last_batch].pos)
    last_lines = files[newest].splitlines(keepends=True)[commit - first_position(newest) :]
    return Log(disk, files, events, newest, len(files[newest]) - sum(map(len, last_lines)), commit)


def opened(log: Log, damages: Iterable[Damage]) -> list[list[Event] | StoreCorrupt]:
    """For each damage the events that are read after it, or the error of the start or the read."""

    async def each() -> list[list[Event] | StoreCorrupt]:
        return [await _opened(log.damaged(damage)) for damage in damages]

    return run_still(each())


async def _opened(disk: SimDisk) -> list[Event] | StoreCorrupt:
    try:
        return await (await open_store(disk)).read(limit=EVENTS_MAX)
    except StoreCorrupt as error:
        return error
    finally:
        disk.restart()


def problems(log: Log, damage: Damage) -> list[tuple[str, int, int]]:
    """Where `verify` sees damage."""
    found = verify(log.damaged(damage), ROOT, segment_events=SEGMENT_EVENTS)
    return [
        (each.file, each.line, each.byte)
        for each in found
        if isinstance(each, Problem) and not each.is_note
    ]


def misplaced(log: Log) -> Iterator[Damage]:
    """Each line lost, doubled, swapped with each other of its segment; the same with segments."""
    for path, content in log.files.items():
        lines = content.splitlines(keepends=True)
        for i, line in enumerate(lines):
            yield {path: b"".join(lines[:i] + lines[i + 1 :])}
            yield {path: b"".join([*lines[:i], line, *lines[i:]])}
        for i, j in combinations(range(len(lines)), 2):
            middle = lines[i + 1 : j]
            yield {path: b"".join([*lines[:i], lines[j], *middle, lines[i], *lines[j + 1 :]])}
        if path != log.newest:
            yield {path: None}
    for one, other in combinations(log.files, 2):
        yield {one: log.files[other], other: log.files[one]}


def only_the_last_commit_is_touched(log: Log, damage: Damage) -> bool:
    content = damage.get(log.newest) or b""
    return set(damage) == {log.newest} and content.startswith(log.files[log.newest][: log.start])


def whole_appends(log: Log, lines: int) -> list[Event]:
    """The events of the first so many lines, without those of an append that goes on after them."""
    events = log.events
    while 0 < lines < len(events) and events[lines].nonce == events[lines - 1].nonce:
        lines -= 1
    return events[:lines]


def lines_in(log: Log, damage: Damage) -> int:
    return sum((damage.get(path, data) or b"").count(b"\n") for path, data in log.files.items())


def durable_places(log: Log) -> list[tuple[str, int]]:
    """Every byte that a later commit came after."""
    return [
        (path, at)
        for path, content in log.files.items()
        for at in range(log.start if path == log.newest else len(content))
    ]


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def first_position(path: str) -> int:
    first = first_of(path.rpartition("/")[2])
    assert first is not None
    return first
