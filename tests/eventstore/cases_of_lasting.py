"""C10 to C12: what is kept comes back as it was, whatever is cancelled or closed meanwhile.

The part of the contract that holds at the edges of a life: odd data, a caller that gives up, a
store that is closed and opened again. `conformance` says how these cases are put to an engine.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from eventstore.errors import StoreClosed, StoreError
from eventstore.event import NEW, Event, NewEvent, canonical, decode
from eventstore.log import EventLog
from eventstore.store import EventStore
from tests.eventstore.driver import (
    LONG_S,
    NOON,
    SOON_S,
    OpenStore,
    append,
    clause,
    clause_of_openings,
    conflict_of,
    event,
    events,
    head_of,
    turns,
    whole_log,
    write,
)

CANCEL_POINTS = 20
AWKWARD: list[Any] = [
    None, True, False, 0, -1, 2**53 - 1, -(2**53) + 1, 0.5, -0.25, 1e300, "", " ", "\x00", "\x7f",
    '\n\r\t"\\/', "\u2028\u2029", "Grüße, 世界, 🦔", "e\u0301", "\ufeff", "\ufffd", "\uffff",
    "</script>", "'; DROP TABLE events; --", "%s {} $1 :x ?", "x" * 5000, [], {}, [[]], [{}],
    {"a": {"b": {"c": [1, [2, [3, {"d": None}]]]}}}, ["1", 1, 1.5, True, None], {"é": "è", "": 0},
    {"crc": "9f3a61c2", "more": True, "commit": 7}, ',"more":true,"commit":1,"crc":"9f3a61c2"}',
]  # fmt: skip


# C10 fidelity: what was written comes back equal


@clause(10)
async def awkward_data_come_back_equal(store: EventStore) -> None:
    new = [NewEvent("Kept", NOON, {"it": it}, private={"it": it}, meta={"x": it}) for it in AWKWARD]
    found = await write(store, append("a", NEW, *new))
    again = await store.read_stream("a")
    for it, first, second in zip(AWKWARD, found, again, strict=True):
        assert first.data == second.data == {"it": it}
        assert first.private == second.private == {"it": it}
        assert first.meta["x"] == second.meta["x"] == it
        assert [type(first.data["it"]), type(second.data["it"])] == [type(it)] * 2


@clause(10)
async def type_version_and_absence_come_back_equal(store: EventStore) -> None:
    bare = NewEvent("Bare", NOON, {})
    full = NewEvent("Full2", NOON, {"a": 1}, private={}, meta={"actor": "key:billing"}, v=12)
    once = append("a", NEW, bare, full)
    await write(store, once)
    first, second = await store.read_stream("a")
    assert (first.type, first.v, first.data, first.private) == ("Bare", 1, {}, None)
    assert (second.type, second.v, second.data, second.private) == ("Full2", 12, {"a": 1}, {})
    assert first.meta == {"n": once.nonce}
    assert second.meta == {"n": once.nonce, "actor": "key:billing"}


@clause(10)
async def stream_names_at_the_limits_are_kept_apart(store: EventStore) -> None:
    names = ["a", "A", "-", "_", "0", "a" * 64, "a" * 63, "A" * 64, "a-b", "a_b", "AZaz09_-"]
    await write(store, *(append(name, NEW, event(name=name)) for name in names))
    for name in names:
        [found] = await store.read_stream(name)
        assert (found.stream, found.data) == (name, {"name": name})


@clause(10)
async def the_line_of_an_event_holds_the_event(store: EventStore) -> None:
    await write(store, append("a", NEW, *events(3)), append("b", NEW, event(it=AWKWARD)))
    for found in await whole_log(store):
        there = decode(canonical(found.line))
        assert {**asdict(there), "line": b""} == {**asdict(found), "line": b""}


def asdict(found: Event) -> dict[str, Any]:
    """The fields of an event."""
    return {name: getattr(found, name) for name in Event.__struct_fields__}


# C11 cancellation: recorded wholly or not at all, item by item; the store stays usable


@clause(11)
async def a_commit_cancelled_at_any_point_is_whole_or_absent(store: EventStore) -> None:
    for point in range(CANCEL_POINTS):
        batch = [append(f"{side}-{point}", NEW, *events(3)) for side in ("left", "right")]
        commit = asyncio.create_task(store.commit(batch))
        await turns(point * point)  # a scheduler's turn is short beside a sync: reach beyond it
        commit.cancel()
        with suppress(asyncio.CancelledError):
            await commit
    await _require_whole_or_absent(
        store, [f"{s}-{p}" for s in ("left", "right") for p in range(CANCEL_POINTS)]
    )


@clause(11)
async def an_append_cancelled_at_any_point_is_whole_or_absent(store: EventStore) -> None:
    log = EventLog(store, dice=Random(11))
    for point in range(CANCEL_POINTS):
        streams = [f"{name}-{point}" for name in ("mine", "left", "right")]
        tasks = [asyncio.create_task(log.append(s, NEW, *events(3))) for s in streams]
        await turns(point * point)
        tasks[0].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for stream, result in zip(streams, results, strict=True):
            cancelled = stream == streams[0] and isinstance(result, asyncio.CancelledError)
            assert cancelled or await store.read_stream(stream) == result
    await _require_whole_or_absent(store, [f"mine-{point}" for point in range(CANCEL_POINTS)])


async def _require_whole_or_absent(store: EventStore, streams: list[str]) -> None:
    await write(store, append("after", NEW))  # usable; and what was under way is done
    for stream in streams:
        found = await store.read_stream(stream)
        assert [e.rev for e in found] in ([], [1, 2, 3])
        assert all(b.pos == a.pos + 1 for a, b in pairwise(found))
        await write(store, append(stream, await head_of(store, stream)))


@clause(11)
async def a_cancelled_wait_disturbs_nobody(store: EventStore) -> None:
    head = await store.head()
    given_up, waiting = (asyncio.create_task(store.wait(head, LONG_S)) for _ in range(2))
    await turns(3)
    given_up.cancel()
    await turns(3)
    await write(store, append("a", NEW))
    async with asyncio.timeout(SOON_S):
        results = await asyncio.gather(given_up, waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, type(None)]


# C12 close: idempotent, ends waiters; what was acknowledged is there when the log is opened again


@clause(12)
async def closing_twice_is_closing_once(store: EventStore) -> None:
    await store.aclose()
    await store.aclose()


@clause(12)
async def a_closed_store_refuses_everything(store: EventStore) -> None:
    await write(store, append("a", NEW))
    await store.aclose()
    refused: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.commit([append("b", NEW)]),
        store.read,
        lambda: store.read_stream("a"),
        store.head,
        lambda: store.wait(0, LONG_S),
        lambda: store.wait(99, LONG_S),
    ]
    for call in refused:
        with pytest.raises(StoreClosed):
            await call()


@clause(12)
async def closing_ends_every_wait(store: EventStore) -> None:
    head = await store.head()
    waiting = [asyncio.create_task(store.wait(head, LONG_S)) for _ in range(3)]
    await turns(3)
    await store.aclose()
    async with asyncio.timeout(SOON_S):
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in ended] == [StoreClosed] * 3


@clause_of_openings(12, needs="durable")
async def a_log_opened_again_holds_all_that_was_acknowledged(open_store: OpenStore) -> None:
    async with open_store() as store:
        for n in range(20):
            await write(store, append(f"s-{n}", NEW, *events(1 + n % 3)), append(f"t-{n}", NEW))
        before = await whole_log(store)
    async with open_store() as store:
        assert await whole_log(store) == before
        assert await store.read_stream("s-5") == [e for e in before if e.stream == "s-5"]
        assert await store.head() == before[-1].pos


@clause_of_openings(12, needs="durable")
async def a_log_opened_again_goes_on_where_it_ended(open_store: OpenStore) -> None:
    async with open_store() as store:
        last = (await write(store, append("a", NEW, event(time="2031-01-01T00:00:00.000000Z"))))[-1]
    async with open_store() as store:
        [conflict] = await store.commit([append("a", NEW)])
        assert conflict_of(conflict).actual == last.head
        [found] = await write(store, append("a", last.head))
        assert found.rev == 2
        assert found.pos > last.pos
        assert found.time == last.time


@clause_of_openings(12, needs="durable")
async def a_log_opened_again_still_knows_the_appends_it_has(open_store: OpenStore) -> None:
    once = append("a", NEW, *events(3))
    async with open_store() as store:
        first = await write(store, once)
        await write(store, append("a", first[-1].head))
    async with open_store() as store:
        assert await write(store, once) == first


@clause_of_openings(12, needs="durable")
async def commits_that_closing_overtakes_are_recorded_or_refused(open_store: OpenStore) -> None:
    for point in range(5):
        async with open_store() as store:
            batches = [[append(f"{point}-{n}", NEW, *events(2))] for n in range(4)]
            commits = [asyncio.create_task(store.commit(batch)) for batch in batches]
            await turns(point * point)
            await store.aclose()
            results = await asyncio.gather(*commits, return_exceptions=True)
        async with open_store() as store:
            for n, result in enumerate(results):
                found = await store.read_stream(f"{point}-{n}")
                if isinstance(result, list):
                    assert result == [found]
                else:
                    assert isinstance(result, StoreError)
                    assert len(found) in {0, 2}
