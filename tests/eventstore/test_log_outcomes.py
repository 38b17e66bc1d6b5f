"""What EventLog answers when a store cannot tell whether a commit landed, or will not have it.

Certain answers are passed on at once; unknown ones are settled by sending the identical appends
again, and given up after a while, honestly. The store follows a script (`tests/support/scripted`).
"""

import asyncio

import pytest

from eventstore.errors import Conflict, NotWritten, OutcomeUnknown, StoreFailed
from eventstore.event import NEW, Event
from eventstore.log import RETRY_DELAYS_S, EventLog
from tests.eventstore.driver import append, event, turns, write
from tests.support.loop import elapsed
from tests.support.scripted import (
    ScriptedStore,
    Step,
    failed,
    log_over,
    lost_after,
    lost_before,
    refused,
    soon,
    streams_of,
    unforeseen,
    well,
)

PATIENCE_S = round(sum(RETRY_DELAYS_S), 6)


@pytest.mark.parametrize("lost", [lost_before, lost_after])
async def test_an_unknown_outcome_is_settled_by_the_identical_append(lost: Step):
    store = ScriptedStore(lost, lost)
    [found] = await log_over(store).append("a", NEW, event())
    [[first], [second], [third]] = store.commits
    assert first == second == third
    assert await store.read_stream("a") == [found]
    assert elapsed() == 0.15


async def test_an_unknown_outcome_may_turn_out_to_be_a_conflict():
    store = ScriptedStore(lost_before)
    appending = soon(log_over(store), "a")
    await turns(5)
    [theirs] = await write(store, append("a", NEW))
    with pytest.raises(Conflict) as caught:
        await appending
    assert caught.value.actual == theirs.head
    assert await store.read_stream("a") == [theirs]


async def test_an_append_that_landed_is_a_success_though_the_stream_went_on():
    store = ScriptedStore(lost_after)
    appending = soon(log_over(store), "a")
    await turns(5)
    [mine] = await store.read_stream("a")
    await write(store, append("a", mine.head))
    assert await appending == [mine]


async def test_unknown_outcomes_of_one_commit_are_settled_together():
    store = ScriptedStore(lost_before, lost_after)
    log = log_over(store)
    await asyncio.gather(*(log.append(f"s-{n}", NEW, event()) for n in range(30)))
    assert [len(batch) for batch in store.commits] == [30, 30, 30]
    assert elapsed() == 0.15


async def test_who_knows_its_outcome_does_not_wait_for_who_does_not():
    def half(batch, record):
        return [record()[0], *lost_before(batch[1:], record)]

    store = ScriptedStore(half)
    log = log_over(store)
    known, unknown = soon(log, "a"), soon(log, "b")
    await known
    assert elapsed() == 0
    assert not unknown.done()
    await unknown
    assert streams_of(store.commits) == [["a", "b"], ["b"]]


async def test_an_outcome_that_stays_unknown_is_given_up_and_said_so():
    store = ScriptedStore(*[lost_before] * 20)
    with pytest.raises(OutcomeUnknown, match="lost before"):
        await log_over(store).append("a", NEW, event())
    assert len(store.commits) == 1 + len(RETRY_DELAYS_S)
    assert elapsed() == PATIENCE_S


async def test_the_log_goes_on_after_it_gave_up():
    store = ScriptedStore(*[lost_before] * (1 + len(RETRY_DELAYS_S)))
    log = log_over(store)
    given_up, next_ = soon(log, "a"), asyncio.create_task(_later(log, "b"))
    with pytest.raises(OutcomeUnknown):
        await given_up
    assert [e.stream for e in await next_] == ["b"]


async def _later(log: EventLog, stream: str) -> list[Event]:
    await asyncio.sleep(1)
    return await log.append(stream, NEW, event())


@pytest.mark.parametrize("later", [refused, failed])
async def test_that_a_later_try_failed_does_not_make_the_first_one_unwritten(later: Step):
    store = ScriptedStore(lost_after, *[later] * 20)
    with pytest.raises(OutcomeUnknown, match="lost after"):
        await log_over(store).append("a", NEW, event())
    assert len(await store.read_stream("a")) == 1


async def test_a_refusal_between_is_tried_again():
    store = ScriptedStore(lost_after, refused, refused)
    [found] = await log_over(store).append("a", NEW, event())
    assert await store.read_stream("a") == [found]


async def test_a_failed_store_is_not_asked_again():
    store = ScriptedStore(failed, failed)
    log = log_over(store)
    results = await asyncio.gather(soon(log, "a"), soon(log, "b"), return_exceptions=True)
    assert [type(result) for result in results] == [StoreFailed] * 2
    assert (len(store.commits), elapsed()) == (1, 0)


async def test_a_store_that_fails_while_an_outcome_is_unknown_ends_the_tries():
    store = ScriptedStore(lost_before, failed)
    log = log_over(store)
    tasks = [soon(log, f"s-{n}") for n in range(100)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {OutcomeUnknown}
    assert (len(store.commits), elapsed()) == (2, RETRY_DELAYS_S[0])


async def test_a_certain_refusal_is_passed_on_at_once():
    store = ScriptedStore(refused)
    with pytest.raises(NotWritten, match="full"):
        await log_over(store).append("a", NEW, event())
    assert (len(store.commits), elapsed()) == (1, 0)


async def test_lack_of_room_is_remembered_until_something_is_written():
    log = log_over(ScriptedStore(refused, well))
    await asyncio.gather(soon(log, "a"), return_exceptions=True)
    assert log.refused_at is not None
    await log.append("a", NEW, event())
    assert log.refused_at is None


async def test_a_mistake_of_the_driver_is_an_unknown_outcome():
    store = ScriptedStore(unforeseen)
    [found] = await log_over(store).append("a", NEW, event())
    assert await store.read_stream("a") == [found]
    assert len(store.commits) == 2


async def test_an_append_that_is_sent_again_is_fresh_no_longer():
    """Its stream may have been made by the first try: the store is to look for it everywhere."""
    store = ScriptedStore(lost_after, well)
    await log_over(store).append("a", NEW, event(), fresh=True)
    [[first], [second]] = store.commits
    assert (first.fresh, second.fresh) == (True, False)
    assert (first.nonce, first.bodies) == (second.nonce, second.bodies)
