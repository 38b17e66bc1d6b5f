"""C5 to C9: what readers see, in which order, and when they are told.

The half of the contract that projections and subscribers rest on: nothing is missing, nothing comes
later than what follows it, pages join, and a waiter is woken. `conformance` says how these cases
are put to an engine.
"""

import asyncio

from eventstore.event import NEW, Event
from eventstore.store import LOG_STREAM, PAGE_MAX, EventStore
from eventstore.timestamp import later
from tests.eventstore.driver import (
    LONG_S,
    NOON,
    SOON_S,
    OpenStore,
    append,
    clause,
    clause_of_openings,
    event,
    events,
    turns,
    whole_log,
    write,
)

# C5 read your writes: what commit returned is in the next read of this store object


@clause(5)
async def what_was_recorded_is_in_the_next_read(store: EventStore) -> None:
    for n in range(10):
        found = await write(store, append(f"s-{n}", NEW, *events(2)), append(f"t-{n}", NEW))
        assert await store.read(found[0].pos - 1) == found


@clause(5)
async def what_was_recorded_is_in_the_next_read_of_its_stream(store: EventStore) -> None:
    head, recorded = NEW, []
    for n in range(10):
        recorded += await write(store, append("a", head, *events(1 + n % 3)))
        head = recorded[-1].head
        assert await store.read_stream("a") == recorded


@clause(5)
async def the_head_is_the_last_position(store: EventStore) -> None:
    for n in range(5):
        found = await write(store, append(f"s-{n}", NEW, *events(3)))
        assert await store.head() == found[-1].pos


# C6 nothing appears behind a reader


async def _write_many(store: EventStore, name: str) -> None:
    for n in range(125):
        await write(store, append(f"{name}-{n}", NEW, *events(1 + n % 2)))


async def _follow(store: EventStore, until: str) -> list[Event]:
    seen: list[Event] = []
    async with asyncio.timeout(LONG_S):
        while not seen or seen[-1].stream != until:
            after = seen[-1].pos if seen else 0
            await store.wait(after, SOON_S)
            seen += await store.read(after, 7)
            await turns(1)
    return seen


async def _tail_while_four_write(reader: EventStore, writers: list[EventStore]) -> None:
    following = asyncio.create_task(_follow(reader, until="end"))
    await asyncio.gather(*(_write_many(store, f"w{n}") for n, store in enumerate(writers)))
    await write(writers[0], append("end", NEW))
    assert await following == await whole_log(reader)


@clause(6)
async def a_reader_that_follows_four_writers_misses_nothing(store: EventStore) -> None:
    await _tail_while_four_write(store, [store] * 4)


@clause_of_openings(6, needs="second_writer")
async def a_reader_that_follows_writers_elsewhere_misses_nothing(open_store: OpenStore) -> None:
    async with open_store() as reader, open_store() as left, open_store() as right:
        await _tail_while_four_write(reader, [left, right, left, right])


# C7 order: revisions without gap, positions growing, both orders agree, times never going back


async def _write_a_mixture(store: EventStore) -> None:
    heads = dict.fromkeys(("a", "b", "c"), NEW)
    for n in range(20):
        batch = [append(s, heads[s], *events(1 + n % 3)) for s in ("abc", "ca", "b")[n % 3]]
        for found in await write(store, *batch):
            heads[found.stream] = found.head


@clause(7)
async def revisions_have_no_gap_and_positions_grow(store: EventStore) -> None:
    await _write_a_mixture(store)
    for stream in "abc":
        found = await store.read_stream(stream)
        assert [e.rev for e in found] == list(range(1, len(found) + 1))
    positions = [e.pos for e in await whole_log(store)]
    assert positions == sorted(set(positions))


@clause(7)
async def a_stream_is_the_log_without_the_others(store: EventStore) -> None:
    await _write_a_mixture(store)
    log = await whole_log(store)
    for stream in ("a", "b", "c", LOG_STREAM):
        assert await store.read_stream(stream) == [e for e in log if e.stream == stream]


@clause(7)
async def every_log_begins_with_its_opening(store: EventStore) -> None:
    [opened] = await store.read(0, 1)
    assert (opened.pos, opened.rev, opened.stream) == (1, 1, LOG_STREAM)
    assert opened.type == "LogOpened"
    assert set(opened.data["log_id"]) <= set("0123456789abcdef")


@clause(7)
async def the_time_is_the_deciders(store: EventStore) -> None:
    start = await _last_time(store)
    ahead = later(start, 5)
    [first] = await write(store, append("a", NEW, event(time=ahead)))
    [same] = await write(store, append("b", NEW, event(time=ahead)))
    [next_] = await write(store, append("c", NEW, event(time=later(ahead, 0.000001))))
    assert [first.time, same.time, next_.time] == [ahead, ahead, later(ahead, 0.000001)]


@clause(7)
async def time_does_not_go_back_though_a_deciders_clock_does(store: EventStore) -> None:
    ahead = later(await _last_time(store), 3600)
    await write(store, append("a", NEW, event(time=ahead)))
    back = await write(store, append("b", NEW, event(time=later(ahead, -60)), event(time=NOON)))
    batch = [append("c", NEW, event(time=later(ahead, 9))), append("d", NEW, event(time=NOON))]
    await write(store, *batch)
    times = [e.time for e in await whole_log(store)]
    assert times == sorted(times)
    assert [e.time for e in back] == [ahead, ahead]


async def _last_time(store: EventStore) -> str:
    return (await whole_log(store))[-1].time


# C8 pages: at most `limit`; empty is the end for now; an unknown stream is empty, not an error


@clause(8)
async def a_page_holds_at_most_its_limit(store: EventStore) -> None:
    await write(store, *(append(f"s-{n}", NEW, *events(3)) for n in range(5)))
    log = await store.read()
    for limit in (1, 2, 7, 15):
        assert await store.read(0, limit) == log[:limit]


@clause(8)
async def a_page_holds_a_thousand_unless_told_otherwise(store: EventStore) -> None:
    await write(store, *(append(f"s-{n}", NEW, *events(300)) for n in range(4)))
    assert len(await store.read()) == PAGE_MAX
    assert len(await store.read(limit=2000)) == 1201


@clause(8)
async def pages_join_to_the_whole(store: EventStore) -> None:
    await _write_a_mixture(store)
    log = await store.read(0, 5000)
    for limit in (1, 2, 7, 5000):
        assert await whole_log(store, limit) == log


@clause(8)
async def a_page_begins_after_the_position_given(store: EventStore) -> None:
    await _write_a_mixture(store)
    log = await whole_log(store)
    for after in {0, 1, 2, len(log) // 2, len(log) - 1}:
        assert await store.read(log[after].pos) == log[after + 1 :]


@clause(8)
async def after_the_end_there_is_nothing_for_now(store: EventStore) -> None:
    found = await write(store, append("a", NEW, *events(2)))
    end = found[-1].pos
    assert [await store.read(end), await store.read(end + 1), await store.read(end + 999)] == [
        []
    ] * 3
    assert [await store.read_stream("a", 2), await store.read_stream("a", 9)] == [[]] * 2


@clause(8)
async def a_stream_can_be_read_from_a_revision_on(store: EventStore) -> None:
    found = await write(store, append("a", NEW, *events(3)))
    found += (await write(store, append("b", NEW), append("a", found[-1].head, *events(2))))[1:]
    for after_rev in range(6):
        assert await store.read_stream("a", after_rev) == found[after_rev:]


@clause(8)
async def an_unknown_stream_is_empty(store: EventStore) -> None:
    assert await store.read_stream("nobody") == []
    assert await store.read_stream("nobody", 3) == []


# C9 wait: soon after the head moves, at once if behind, at the latest at its time-out


@clause(9)
async def a_wait_returns_at_once_when_behind(store: EventStore) -> None:
    await write(store, append("a", NEW))
    async with asyncio.timeout(SOON_S):
        await store.wait(0, LONG_S)
        await store.wait(await store.head() - 1, LONG_S)


@clause(9)
async def every_wait_returns_soon_after_the_head_moved(store: EventStore) -> None:
    for n in range(5):
        head = await store.head()
        waiting = [asyncio.create_task(store.wait(head, LONG_S)) for _ in range(3)]
        await turns(3 * n)
        await write(store, append(f"s-{n}", NEW))
        async with asyncio.timeout(SOON_S):
            await asyncio.gather(*waiting)


@clause(9)
async def a_wait_returns_at_its_time_out_at_the_latest(store: EventStore) -> None:
    head = await store.head()
    async with asyncio.timeout(SOON_S):
        await store.wait(head, 0.05)
        await store.wait(head, 0)
    assert await store.head() == head


@clause_of_openings(9, needs="second_writer")
async def a_wait_returns_soon_after_another_writer_moved_the_head(open_store: OpenStore) -> None:
    async with open_store() as here, open_store() as there:
        waiting = asyncio.create_task(here.wait(await here.head(), LONG_S))
        await turns(5)
        [written] = await write(there, append("a", NEW))
        async with asyncio.timeout(SOON_S):
            await waiting
            while await here.head() < written.pos:
                await here.wait(await here.head(), LONG_S)
        assert await here.read_stream("a") == [written]
