"""C1 to C4: what a commit records, where, and once.

The half of the contract that writers rest on: whole appends, at the head they expected, not twice,
and one winner. `conformance` says how these cases are put to an engine.
"""

import asyncio
from random import Random

import pytest

from eventstore.errors import Conflict, TooLarge
from eventstore.event import (
    EVENTS_PER_APPEND_MAX,
    HEAD_BYTES_MAX,
    LINE_BYTES_MAX,
    NEW,
    Head,
)
from eventstore.log import EventLog
from eventstore.store import COMMIT_EVENTS_MAX, EventStore
from tests.eventstore.driver import (
    OpenStore,
    append,
    clause,
    clause_of_openings,
    conflict_of,
    event,
    events,
    head_of,
    recorded_by,
    whole_log,
    winners,
    write,
)

RACERS = 8
RACES = 50


# C1 atomic: all events of an append or none, consecutive revs and positions, in order


@clause(1)
async def the_events_of_an_append_get_consecutive_revisions_and_positions_in_order(
    store: EventStore,
) -> None:
    found = await write(store, append("a", NEW, *events(3)))
    first = found[0].pos
    assert [(e.rev, e.pos, e.data) for e in found] == [
        (1 + i, first + i, {"i": i}) for i in range(3)
    ]
    assert await store.read_stream("a") == found


@clause(1)
async def appends_of_one_commit_do_not_interleave(store: EventStore) -> None:
    results = await store.commit([append(f"s-{n}", NEW, *events(3)) for n in range(5)])
    for first, second, third in map(recorded_by, results):
        assert (second.pos, third.pos) == (first.pos + 1, first.pos + 2)


@clause(1)
async def the_longest_append_is_recorded_whole(store: EventStore) -> None:
    found = await write(store, append("a", NEW, *events(EVENTS_PER_APPEND_MAX)))
    assert [e.data["i"] for e in found] == list(range(EVENTS_PER_APPEND_MAX))
    assert await store.read_stream("a") == found


@clause(1)
async def the_largest_commit_is_recorded_whole(store: EventStore) -> None:
    each = 512
    many = [append(f"s-{n}", NEW, *events(each)) for n in range(COMMIT_EVENTS_MAX // each)]
    assert await write(store, *many) == (await whole_log(store))[1:]


@clause(1)
async def an_event_too_large_for_a_line_is_refused_before_the_store_sees_its_append(
    store: EventStore,
) -> None:
    room = LINE_BYTES_MAX - HEAD_BYTES_MAX - len(append("a", NEW, event(text="")).bodies[0])
    largest = append("a", NEW, event(), event(text="x" * room))
    assert await write(store, largest) == await store.read_stream("a")
    with pytest.raises(TooLarge):
        append("b", NEW, event(), event(text="x" * (room + 1)))
    assert await store.read_stream("b") == []


# C2 expected: another head is a conflict, and nothing is written


@clause(2)
async def only_the_exact_head_is_accepted(store: EventStore) -> None:
    rev, pos = (await write(store, append("a", NEW, *events(3))))[-1].head
    wrong = [
        NEW,
        Head(rev - 1, pos - 1),
        Head(rev + 1, pos + 1),
        Head(rev, pos - 1),
        Head(rev, pos + 1),
    ]
    for expected in wrong:
        [result] = await store.commit([append("a", expected)])
        conflict_of(result)
    [last] = await write(store, append("a", Head(rev, pos)))
    assert last.rev == rev + 1


@clause(2)
async def a_new_stream_is_expected_to_end_nowhere(store: EventStore) -> None:
    [result] = await store.commit([append("a", Head(1, 1))])
    assert conflict_of(result).actual == NEW
    [first] = await write(store, append("a", NEW))
    assert first.rev == 1


@clause(2)
async def a_conflict_names_the_stream_and_both_heads(store: EventStore) -> None:
    head = (await write(store, append("a", NEW, *events(2))))[-1].head
    [result] = await store.commit([append("a", Head(1, head.pos - 1))])
    conflict = conflict_of(result)
    named = (conflict.stream, conflict.expected, conflict.actual)
    assert named == ("a", Head(1, head.pos - 1), head)


@clause(2)
async def a_conflict_leaves_no_trace(store: EventStore) -> None:
    await write(store, append("a", NEW))
    before = await store.head(), await whole_log(store)
    await store.commit([append("a", NEW, *events(2)), append("b", Head(7, 7))])
    assert (await store.head(), await whole_log(store)) == before
    assert await store.read_stream("b") == []


@clause(2)
async def a_conflict_does_not_keep_the_rest_of_its_commit_from_being_recorded(
    store: EventStore,
) -> None:
    await write(store, append("b", NEW))
    left, conflict, right = await store.commit(
        [append(s, NEW, *events(2)) for s in ("a", "b", "c")]
    )
    assert await store.read_stream("a") == recorded_by(left)
    assert await store.read_stream("c") == recorded_by(right)
    conflict_of(conflict)
    assert len(await store.read_stream("b")) == 1


@clause(2)
async def streams_do_not_disturb_each_other(store: EventStore) -> None:
    a = (await write(store, append("a", NEW, *events(2))))[-1].head
    b = (await write(store, append("b", NEW)))[-1].head
    await write(store, append("a", a), append("b", b))
    assert [e.rev for e in await store.read_stream("a")] == [1, 2, 3]
    assert [e.rev for e in await store.read_stream("b")] == [1, 2]


# C3 idempotent: the same append again has the first result, and nothing is written


@clause(3)
async def the_same_append_again_has_the_first_result(store: EventStore) -> None:
    once = append("a", NEW, *events(3))
    first = await write(store, once)
    assert await write(store, once) == first
    assert await store.read_stream("a") == first


@clause(3)
async def the_same_append_again_has_the_first_result_even_after_later_events(
    store: EventStore,
) -> None:
    start = (await write(store, append("a", NEW)))[-1].head
    once = append("a", start, *events(2))
    first = await write(store, once)
    await write(store, append("a", first[-1].head, *events(3)), append("b", NEW))
    before = await store.head()
    assert await write(store, once) == first
    assert await store.head() == before


@clause(3)
async def equal_events_in_another_append_are_a_conflict(store: EventStore) -> None:
    await write(store, append("a", NEW, *events(2)))
    [result] = await store.commit([append("a", NEW, *events(2))])
    conflict_of(result)
    assert len(await store.read_stream("a")) == 2


@clause(3)
async def an_append_that_conflicted_conflicts_again(store: EventStore) -> None:
    await write(store, append("a", NEW))
    late = append("a", NEW)
    for _ in range(2):
        [result] = await store.commit([late])
        conflict_of(result)


@clause(3)
async def a_repeat_may_stand_beside_what_is_new(store: EventStore) -> None:
    once = append("a", NEW, *events(2))
    first = await write(store, once)
    new, repeat, conflict = await store.commit([append("b", NEW), once, append("c", Head(1, 1))])
    assert recorded_by(repeat) == first
    assert recorded_by(new)[0].pos > first[-1].pos
    conflict_of(conflict)


# C4 one winner: of concurrent appends with one expected head exactly one succeeds


@clause(4)
async def exactly_one_of_eight_racers_wins(store: EventStore) -> None:
    head = NEW
    for _ in range(RACES):
        race = [store.commit([append("a", head)]) for _ in range(RACERS)]
        results = [result for [result] in await asyncio.gather(*race)]
        [[won]] = winners(results)
        assert {r.actual for r in results if isinstance(r, Conflict)} == {won.head}
        head = won.head
    assert [e.rev for e in await store.read_stream("a")] == list(range(1, RACES + 1))


@clause(4)
async def exactly_one_of_eight_callers_of_a_log_wins(store: EventStore) -> None:
    log = EventLog(store, dice=Random(4))
    head = NEW
    for _ in range(RACES):
        race = [log.append("a", head, event()) for _ in range(RACERS)]
        results = await asyncio.gather(*race, return_exceptions=True)
        assert sum(isinstance(result, Conflict) for result in results) == RACERS - 1
        [[won]] = [result for result in results if isinstance(result, list)]
        head = won.head
    assert len(await store.read_stream("a")) == RACES


@clause(4)
async def losers_read_again_and_win(store: EventStore) -> None:
    async def insist(racer: int) -> None:
        for _ in range(RACERS):  # every defeat is another's victory, so seven at most
            [result] = await store.commit([append("a", await head_of(store, "a"), event(by=racer))])
            if winners([result]):
                return
        pytest.fail(f"racer {racer} lost {RACERS} times")

    await asyncio.gather(*map(insist, range(RACERS)))
    assert {e.data["by"] for e in await store.read_stream("a")} == set(range(RACERS))


@clause_of_openings(4, needs="second_writer")
async def exactly_one_of_two_writers_wins(open_store: OpenStore) -> None:
    async with open_store() as left, open_store() as right:
        head = NEW
        for _ in range(RACES):
            race = [store.commit([append("a", head)]) for store in (left, right)]
            [[won]] = winners([result for [result] in await asyncio.gather(*race)])
            head = won.head
