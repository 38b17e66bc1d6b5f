"""EventLog's own behaviour, over a store that follows a script: groups, cancellation,
subscriptions.

Unknown outcomes have a file of their own, `test_log_outcomes`. What a store promises is not tried
again here: that is `conformance`.
"""

import asyncio
from random import Random

import pytest

from eventstore import log as log_module
from eventstore.errors import Conflict, StoreClosed, TooLarge
from eventstore.event import NEW, Event, Head
from eventstore.log import EventLog
from eventstore.store import COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, LOG_STREAM
from tests.eventstore.driver import event, events, turns, whole_log
from tests.support.loop import elapsed
from tests.support.scripted import ScriptedStore, log_over, lost_before, soon, streams_of

# Group commit


async def test_appends_of_one_moment_are_one_commit():
    store = ScriptedStore()
    log = log_over(store)
    found = await asyncio.gather(*(log.append(f"s-{n}", NEW, event()) for n in range(100)))
    assert [len(batch) for batch in store.commits] == [100]
    assert [f.pos for [f] in found] == list(range(2, 102))


async def test_appends_that_arrive_during_a_commit_form_the_next_one():
    store = ScriptedStore()
    log = log_over(store)
    store.hold()
    first = soon(log, "first")
    await turns(2)
    others = [soon(log, f"s-{n}") for n in range(50)]
    await turns(2)
    store.let_go()
    await asyncio.gather(first, *others)
    assert [len(batch) for batch in store.commits] == [1, 50]


async def test_never_is_more_than_one_commit_in_flight():
    store = ScriptedStore()
    log = log_over(store)
    store.hold()
    tasks = [soon(log, f"s-{n}") for n in range(5)]
    await turns(3)
    tasks += [soon(log, f"t-{n}") for n in range(5)]
    await turns(10)
    assert len(store.commits) == 1
    store.let_go()
    await asyncio.gather(*tasks)


async def test_a_second_append_to_a_stream_waits_for_the_next_commit():
    store = ScriptedStore()
    log = log_over(store)
    tasks = [soon(log, s, event(n=n)) for n, s in enumerate(["a", "b", "a", "c", "a", "b"])]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert streams_of(store.commits) == [["a", "b", "c"], ["a", "b"], ["a"]]
    lost = [isinstance(result, Conflict) for result in results]
    assert lost == [False, False, True, False, True, True]


async def test_a_second_append_to_a_stream_may_rest_on_the_first():
    store = ScriptedStore()
    log = log_over(store)
    store.hold()
    first, again = soon(log, "a"), soon(log, "a", expected=Head(1, 2))
    await turns(2)
    store.let_go()
    assert [(e.rev, e.pos) for e in await first + await again] == [(1, 2), (2, 3)]


async def test_a_commit_holds_at_most_so_many_events():
    store = ScriptedStore()
    log = log_over(store)
    many = COMMIT_EVENTS_MAX // 1000 + 3
    await asyncio.gather(*(log.append(f"s-{n}", NEW, *events(1000)) for n in range(many)))
    sizes = [sum(len(a.events) for a in batch) for batch in store.commits]
    assert sizes == [COMMIT_EVENTS_MAX // 1000 * 1000, 3000]


async def test_a_commit_holds_at_most_so_many_bytes():
    store = ScriptedStore()
    log = log_over(store)
    large = event(text="x" * 60_000)
    await asyncio.gather(*(log.append(f"s-{n}", NEW, *[large] * 20) for n in range(20)))
    sizes = [sum(a.size for a in batch) for batch in store.commits]
    assert max(sizes) <= COMMIT_BYTES_MAX
    assert [len(batch) for batch in store.commits] == [13, 7]


async def test_what_is_held_back_does_not_count_against_the_limits():
    store = ScriptedStore()
    log = log_over(store)
    tasks = [soon(log, "a", *events(1000)) for _ in range(20)] + [soon(log, "b")]
    await asyncio.gather(*tasks, return_exceptions=True)
    assert streams_of(store.commits)[0] == ["a", "b"]


async def test_an_append_beyond_the_limits_goes_alone(monkeypatch):
    monkeypatch.setattr(log_module, "COMMIT_EVENTS_MAX", 5)
    store = ScriptedStore()
    log = log_over(store)
    sizes = [1, 9, 2]
    await asyncio.gather(*(log.append(f"s-{n}", NEW, *events(n)) for n in sizes))
    assert streams_of(store.commits) == [["s-1"], ["s-9"], ["s-2"]]


async def test_each_append_has_a_nonce_of_its_own():
    store = ScriptedStore()
    log = log_over(store)
    await asyncio.gather(*(log.append(f"s-{n}", NEW, event()) for n in range(100)))
    assert len({a.nonce for [*batch] in store.commits for a in batch}) == 100


async def test_an_event_too_large_troubles_nobody_else():
    store = ScriptedStore()
    log = log_over(store)
    tasks = [soon(log, "a", event(text="x" * 70_000)), soon(log, "b")]
    too_large, fine = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(too_large, TooLarge)
    assert isinstance(fine, list)
    assert streams_of(store.commits) == [["b"]]


# Cancellation


async def test_an_append_cancelled_before_its_commit_is_never_sent():
    store = ScriptedStore()
    log = log_over(store)
    store.hold()
    first = soon(log, "first")
    await turns(2)
    cancelled, kept = soon(log, "cancelled"), soon(log, "kept")
    await turns(2)
    cancelled.cancel()
    store.let_go()
    await asyncio.gather(first, kept)
    assert streams_of(store.commits) == [["first"], ["kept"]]
    assert await store.read_stream("cancelled") == []


async def test_an_append_cancelled_in_flight_is_recorded_whole_and_its_neighbours_too():
    store = ScriptedStore()
    log = log_over(store)
    store.hold()
    cancelled, kept = soon(log, "cancelled", *events(3)), soon(log, "kept", *events(3))
    await turns(2)
    cancelled.cancel()
    await turns(2)
    store.let_go()
    assert len(await kept) == 3
    assert cancelled.cancelled()
    assert len(await store.read_stream("cancelled")) == 3


async def test_a_cancelled_append_does_not_keep_the_log_from_going_on():
    store = ScriptedStore(lost_before)
    log = log_over(store)
    cancelled = soon(log, "cancelled")
    await turns(5)
    cancelled.cancel()
    assert len(await log.append("next", NEW, event())) == 1
    assert cancelled.cancelled()


# Subscriptions


async def follow(log: EventLog, after: int, until: str) -> list[Event]:
    seen: list[Event] = []
    async for page in log.subscribe(after):
        assert page
        seen += page
        if seen[-1].stream == until:
            return seen
    raise AssertionError("a subscription never ends")


async def test_a_subscription_catches_up_then_follows_without_loss_or_repeat():
    store = ScriptedStore()
    log = log_over(store)
    for n in range(3):
        await log.append(f"before-{n}", NEW, *events(800))
    following = [asyncio.create_task(follow(log, after, "end")) for after in (0, 1, 1000, 2401)]
    for n in range(20):
        await turns(n % 4)
        await log.append(f"during-{n}", NEW, *events(1 + n % 3))
        await asyncio.sleep(n % 3)
    await log.append("end", NEW, event())
    log_itself = await whole_log(store)
    assert [len(seen) for seen in await asyncio.gather(*following)] == [
        len(log_itself) - after for after in (0, 1, 1000, 2401)
    ]
    assert await following[2] == log_itself[1000:]


async def test_a_subscription_hears_at_once():
    log = log_over(ScriptedStore())
    following = asyncio.create_task(follow(log, 0, "a"))
    await asyncio.sleep(0.5)
    await log.append("a", NEW, event())
    await following
    assert elapsed() == 0.5


async def test_a_subscription_survives_the_loss_of_every_wake_up():
    class Deaf(ScriptedStore):
        async def wait(self, after: int, timeout: float) -> None:
            await asyncio.sleep(timeout)

    log = log_over(Deaf())
    following = asyncio.create_task(follow(log, 0, "a"))
    await asyncio.sleep(10.5)
    await log.append("a", NEW, event())
    await following
    assert elapsed() == 11


async def test_closing_ends_a_subscription_with_an_error():
    log = log_over(ScriptedStore())
    following = asyncio.create_task(follow(log, 0, "never"))
    await turns(5)
    await log.aclose()
    with pytest.raises(StoreClosed):
        await following


# Writers, and closing


async def test_writers_are_numbered_1_2_3():
    store = ScriptedStore()
    for epoch in (1, 2, 3):
        log = log_over(store)
        assert await log.begin("0.1") == epoch
        await log.seal(epoch)
    found = [(e.type, e.data.get("epoch"), e.rev) for e in await store.read_stream(LOG_STREAM)]
    assert found == [
        ("LogOpened", None, 1),
        ("WriterStarted", 1, 2), ("LogSealed", 1, 3),
        ("WriterStarted", 2, 4), ("LogSealed", 2, 5),
        ("WriterStarted", 3, 6), ("LogSealed", 3, 7),
    ]  # fmt: skip


async def test_writers_that_begin_at_once_get_epochs_of_their_own():
    store = ScriptedStore()
    logs = [EventLog(store, dice=Random(seed)) for seed in range(5)]
    epochs = await asyncio.gather(*(log.begin("0.1") for log in logs))
    assert sorted(epochs) == [1, 2, 3, 4, 5]


async def test_closing_lets_the_appends_under_way_finish():
    store = ScriptedStore(lost_before)
    log = log_over(store)
    tasks = [soon(log, f"s-{n}") for n in range(3)]
    await turns(1)
    await log.aclose()
    assert [len(found) for found in await asyncio.gather(*tasks)] == [1] * 3
    with pytest.raises(StoreClosed):
        await log.append("late", NEW, event())


async def test_a_cancelled_close_does_not_take_the_commit_with_it():
    store = ScriptedStore()
    log = log_over(store)
    store.hold()
    appending = soon(log, "a")
    await turns(2)
    closing = asyncio.create_task(log.aclose())
    await turns(2)
    closing.cancel()
    await turns(2)
    store.let_go()
    assert len(await appending) == 1
    await log.aclose()
