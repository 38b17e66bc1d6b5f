"""`append_all`: many appends at once, each with a result of its own, in as few commits as possible.

One commit is one sync, so it is syncs of the file store that are counted; what a slice of work
leaves for others is counted in turns, not in time. Single appends are `test_log`'s matter.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random

import pytest

from eventstore import clock
from eventstore.errors import Conflict, NotWritten, OutcomeUnknown, StoreClosed, TooLarge
from eventstore.event import NEW, Append, Head
from eventstore.file.disk import SystemDisk
from eventstore.file.store import FileStore
from eventstore.log import EventLog
from eventstore.offload import Inline
from eventstore.store import COMMIT_EVENTS_MAX
from tests.eventstore.driver import event, turns, whole_log
from tests.support.scripted import (
    ScriptedStore,
    failed,
    log_over,
    lost_after,
    refused,
    soon,
    streams_of,
    well,
)

MANY = 10_000


async def ready(log: EventLog, number: int, name: str = "s") -> list[Append]:
    """So many appends to streams of their own, prepared."""
    prepared = await log.prepare_all((f"{name}-{n}", NEW, [event(n=n)]) for n in range(number))
    return [append for append in prepared if isinstance(append, Append)]


class CountingDisk(SystemDisk):
    """Counts the syncs of what was written."""

    def __init__(self) -> None:
        self.syncs = 0

    def datasync(self, handle: int) -> None:
        """See Disk."""
        self.syncs += 1
        super().datasync(handle)


@asynccontextmanager
async def file_log(path: Path, **options: int) -> AsyncIterator[tuple[EventLog, CountingDisk]]:
    disk = CountingDisk()
    dice = Random(1)
    store = await FileStore.open(str(path), dice=dice, offload=Inline(), disk=disk, **options)
    log = EventLog(store, dice=dice)
    disk.syncs = 0
    yield log, disk
    await log.aclose()


async def test_ten_thousand_appends_are_durable_by_one_sync(tmp_path: Path) -> None:
    async with file_log(tmp_path / "data") as (log, disk):
        results = await log.append_all(await ready(log, MANY))
        assert disk.syncs == 1
        assert [found[0].pos for found in results] == list(range(2, MANY + 2))
    async with file_log(tmp_path / "data") as (log, _):
        assert await log.head() == MANY + 1


async def test_where_a_segment_ends_they_are_two(tmp_path: Path) -> None:
    async with file_log(tmp_path / "data", segment_events=64) as (log, disk):
        await log.append_all(await ready(log, 63))
        assert disk.syncs == 1
        disk.syncs = 0
        await log.append_all(await ready(log, 65, "t"))
        assert disk.syncs == 2


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_a_commit_takes_as_many_as_its_limit(more: int) -> None:
    store = ScriptedStore()
    log = log_over(store)
    await log.append_all(await ready(log, COMMIT_EVENTS_MAX + more))
    sizes = [len(batch) for batch in store.commits]
    assert sizes == ([COMMIT_EVENTS_MAX, 1] if more == 1 else [COMMIT_EVENTS_MAX + more])


async def test_they_share_their_commit_with_whoever_else_waits() -> None:
    store = ScriptedStore()
    log = log_over(store)
    many = await ready(log, 3)
    single = soon(log, "single")
    results = await log.append_all(many)
    await single
    assert streams_of(store.commits) == [["s-0", "s-1", "s-2", "single"]]
    assert [found[0].stream for found in results] == ["s-0", "s-1", "s-2"]


async def test_each_has_a_result_of_its_own() -> None:
    store = ScriptedStore()
    log = log_over(store)
    await log.append("s-1", NEW, event())
    first, second, third = await log.append_all(await ready(log, 3))
    assert isinstance(second, Conflict)
    assert [found[0].stream for found in (first, third)] == ["s-0", "s-2"]


async def test_a_second_append_to_a_stream_goes_into_the_next_commit() -> None:
    store = ScriptedStore()
    log = log_over(store)
    wanted = [("a", NEW, [event()]), ("b", NEW, [event()]), ("a", Head(1, 2), [event()])]
    results = await log.append_all(await log.prepare_all(wanted))
    assert streams_of(store.commits) == [["a", "b"], ["a"]]
    assert [found[-1].head for found in results] == [Head(1, 2), Head(1, 3), Head(2, 4)]


async def test_what_was_refused_is_told_beside_what_was_recorded() -> None:
    store = ScriptedStore(well, refused)
    log = log_over(store)
    results = await log.append_all(await ready(log, COMMIT_EVENTS_MAX + 2))
    assert [type(each) for each in results[COMMIT_EVENTS_MAX:]] == [NotWritten] * 2
    assert all(isinstance(each, list) for each in results[:COMMIT_EVENTS_MAX])


async def test_a_lost_answer_is_settled_for_all_of_them() -> None:
    store = ScriptedStore(lost_after)
    log = log_over(store)
    results = await log.append_all(await ready(log, 5))
    assert [found[0].pos for found in results] == [2, 3, 4, 5, 6]
    assert await store.head() == 6


async def test_a_store_that_fails_answers_each_of_them() -> None:
    log = log_over(ScriptedStore(failed))
    results = await log.append_all(await ready(log, 3))
    assert len(results) == 3
    assert not any(isinstance(each, list | OutcomeUnknown) for each in results)


async def test_an_event_too_large_is_found_before_anything_is_recorded() -> None:
    store = ScriptedStore()
    log = log_over(store)
    large = event(text="x" * 70_000)
    prepared = await log.prepare_all(
        [("a", NEW, [event()]), ("b", NEW, [large]), ("c", NEW, [event()])]
    )
    assert [isinstance(each, TooLarge) for each in prepared] == [False, True, False]
    assert store.commits == []


async def test_none_at_all_is_no_commit() -> None:
    store = ScriptedStore()
    log = log_over(store)
    assert await log.append_all([]) == []
    assert store.commits == []


async def test_cancelled_before_their_commit_none_is_sent() -> None:
    store = ScriptedStore()
    log = log_over(store)
    many = await ready(log, 3)
    store.hold()
    first = soon(log, "first")
    await turns(2)
    appending = asyncio.create_task(log.append_all(many))
    await turns(2)
    appending.cancel()
    await turns(2)
    store.let_go()
    await first
    await log.append("last", NEW, event())
    assert streams_of(store.commits) == [["first"], ["last"]]


async def test_cancelled_in_flight_they_are_recorded() -> None:
    store = ScriptedStore()
    log = log_over(store)
    many = await ready(log, 3)
    store.hold()
    appending = asyncio.create_task(log.append_all(many))
    await turns(3)
    appending.cancel()
    store.let_go()
    await log.append("last", NEW, event())
    assert [found.stream for found in (await whole_log(store))[1:]] == ["s-0", "s-1", "s-2", "last"]


async def test_a_closed_log_takes_none() -> None:
    log = log_over(ScriptedStore())
    many = await ready(log, 3)
    await log.aclose()
    with pytest.raises(StoreClosed):
        await log.append_all(many)


async def test_to_make_them_ready_and_to_enqueue_them_leaves_others_their_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a clock on which every look takes a tenth of a millisecond."""
    looks = count()
    monkeypatch.setattr(clock, "monotonic", lambda: next(looks) / 10_000)
    log = log_over(ScriptedStore())
    had = 0

    async def other() -> None:
        nonlocal had
        while True:
            had += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(other())
    many = await ready(log, 1_000)
    assert had >= 90
    had = 0
    await log.append_all(many)
    assert had >= 180, "while they are enqueued, and while they are answered"
    others.cancel()


async def test_what_is_asked_for_lazily_is_made_between_turns() -> None:
    log = log_over(ScriptedStore())
    asked: list[int] = []

    def wanted() -> Iterator[tuple[str, Head, list[object]]]:
        for n in range(3):
            asked.append(n)
            yield f"s-{n}", NEW, [event()]

    assert len(await log.prepare_all(wanted())) == 3
    assert asked == [0, 1, 2]
