"""`Jobs.create_all`: ids in order, few commits, what a key makes of repeats, crashes and rivals.

A crash is played by a store that refuses, or loses, what comes after some item; the repeat is made
by another process over the same store. How a batch is written down is the web's affair.
"""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from eventstore import pace
from eventstore.errors import Conflict, NotWritten, OutcomeUnknown, StoreClosed, StoreError
from eventstore.event import Append
from eventstore.memory import MemoryStore
from service.batch import Batch, CreatedAll, ItemTooLargeError, PartlyCreatedError
from service.processors import Prepared
from service.refusals import KeyReusedError
from tests.service.desk import CLIENT, OPTIONS, Desk, opened
from tests.support.build import LOG_ID, NOON
from tests.support.turns import counting_turns
from tests.support.world import Hiccups


async def create(desk: Desk, number: int = 5, **changes: Any) -> CreatedAll:
    """So many items, under key k."""
    asked: dict[str, Any] = {
        "kind": "email",
        "payloads": list(range(number)),
        "options": OPTIONS,
        "now": NOON,
        "meta": CLIENT,
        "key": "k",
        "fingerprint": f"f{number}",
    }
    return await desk.jobs.create_all(Batch(**(asked | changes)))


async def created(desk: Desk) -> list[Any]:
    """The payloads of all jobs there are, in the order of the log."""
    events = await desk.log.read()
    return [event.private["payload"] for event in events if event.type == "JobCreated"]


async def test_ids_come_in_the_order_of_the_items_and_each_is_a_job() -> None:
    async with opened() as desk:
        made = await create(desk, key=None, fingerprint=None)
        jobs = [await desk.jobs.get(job_id) for job_id in made.ids]
        assert [job.payload for job in jobs] == [0, 1, 2, 3, 4]
        assert {UUID(job_id).version for job_id in made.ids} == {7}
        assert (made.pos, made.replayed) == (6, False)
        assert jobs[4].created_pos == made.pos


@pytest.mark.parametrize(("key", "commits"), [(None, [5]), ("k", [1, 4])])
async def test_they_share_one_commit_and_with_a_key_two(
    key: str | None, commits: list[int]
) -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    async with opened(store) as desk:
        await create(desk, key=key)
        assert [len(types) for types in store.commits] == commits


async def test_one_item_is_a_batch_too() -> None:
    async with opened() as desk:
        first, again = await create(desk, 1), await create(desk, 1)
        assert (first.replayed, again.replayed) == (False, True)
        assert first.ids == again.ids
        assert await created(desk) == [0]


async def test_whoever_has_the_answer_can_read_the_jobs() -> None:
    store = MemoryStore(log_id=LOG_ID)
    async with opened(store, stale_at=1) as desk:
        made = await create(desk, key=None)
        reading = asyncio.create_task(desk.jobs.get(made.ids[0]))
        await asyncio.sleep(10)
        assert not reading.done()
        desk.projector.apply(await desk.log.read(1))
        assert (await reading).payload == 0


async def test_a_repeat_has_the_same_answer_and_makes_nothing() -> None:
    async with opened() as desk:
        first = await create(desk)
        await desk.jobs.cancel(first.ids[2], meta=CLIENT)
        again = await create(desk)
        assert again == first._replace(replayed=True)
        assert await created(desk) == [0, 1, 2, 3, 4]
        assert {UUID(job_id).version for job_id in first.ids} == {8}


async def test_a_repeat_after_a_restart_has_the_same_answer() -> None:
    store = MemoryStore(log_id=LOG_ID)
    async with opened(store) as desk:
        first = await create(desk)
    async with opened(store, seed=2) as desk:
        assert await create(desk) == first._replace(replayed=True)


async def test_without_a_key_a_repeat_makes_all_of_it_again() -> None:
    async with opened() as desk:
        first = await create(desk, key=None, fingerprint=None)
        second = await create(desk, key=None, fingerprint=None)
        assert not {*first.ids} & {*second.ids}
        assert await created(desk) == [0, 1, 2, 3, 4] * 2


def from_item(payload: int, error: StoreError) -> Any:
    """A verdict on the creation of this item and all that follow."""

    def verdict(append: Append) -> StoreError | None:
        private = append.events[0].private or {}
        return error if private.get("payload", -1) >= payload else None

    return verdict


@pytest.mark.parametrize("crash_at", [1, 2, 4])
async def test_a_repeat_after_a_crash_in_between_completes_it_without_a_duplicate(
    crash_at: int,
) -> None:
    memory = MemoryStore(log_id=LOG_ID)
    store = Hiccups(memory)
    store.refuse = from_item(crash_at, NotWritten("the process is gone"))
    async with opened(store) as desk:
        with pytest.raises(PartlyCreatedError, match=f"{crash_at} of the 5 jobs are recorded"):
            await create(desk)
        assert await created(desk) == list(range(crash_at))
    async with opened(memory, seed=2) as desk:
        made = await create(desk)
        assert not made.replayed
        assert await created(desk) == [0, 1, 2, 3, 4]
        jobs = [await desk.jobs.get(job_id) for job_id in made.ids]
        assert [job.payload for job in jobs] == [0, 1, 2, 3, 4]
        assert made.pos == max(job.created_pos for job in jobs)
        assert await create(desk) == made._replace(replayed=True)


async def test_a_repeat_after_a_crash_before_anything_makes_all_of_it() -> None:
    memory = MemoryStore(log_id=LOG_ID)
    store = Hiccups(memory)
    store.refuse = from_item(0, NotWritten("full"))
    async with opened(store) as desk:
        with pytest.raises(NotWritten):
            await create(desk)
        store.refuse = lambda _: None
        assert not (await create(desk)).replayed
        assert await created(desk) == [0, 1, 2, 3, 4]


async def test_a_lost_answer_is_the_log_s_affair() -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    lost = [OutcomeUnknown("lost")]
    store.lose = lambda append: lost.pop() if lost and append.events[0].private else None
    async with opened(store) as desk:
        assert not (await create(desk)).replayed
        assert await created(desk) == [0, 1, 2, 3, 4]


async def test_without_a_key_a_refusal_of_everything_is_the_log_s_error() -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    store.refuse = from_item(0, NotWritten("full"))
    async with opened(store) as desk:
        with pytest.raises(NotWritten):
            await create(desk, key=None)


async def test_without_a_key_a_refusal_in_between_leaves_a_part_and_says_so() -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    store.refuse = from_item(3, OutcomeUnknown("gone"))
    async with opened(store) as desk:
        with pytest.raises(PartlyCreatedError, match="3 of the 5") as refused:
            await create(desk, key=None)
        assert refused.value.recorded == 3


async def test_a_log_that_closes_after_item_0_leaves_a_part_and_says_so() -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    async with opened(store) as desk:
        store.latency_s = 1
        creating = asyncio.create_task(create(desk))
        await asyncio.sleep(0.5)
        await desk.log.aclose()
        with pytest.raises(PartlyCreatedError) as refused:
            await creating
        assert isinstance(refused.value.__cause__, StoreClosed)


@pytest.mark.parametrize("number", [1, 4, 6, 20])
async def test_another_request_under_the_key_is_refused_and_records_nothing(number: int) -> None:
    """A longer one too, although its last items conflict with nothing."""
    async with opened() as desk:
        first = await create(desk)
        with pytest.raises(KeyReusedError) as refused:
            await create(desk, number)
        assert refused.value.job_id == first.ids[0]
        assert await created(desk) == [0, 1, 2, 3, 4]


async def test_of_rivals_at_once_under_one_key_one_wins_whole_and_the_others_record_nothing() -> (
    None
):
    async with opened() as desk:
        found = await asyncio.gather(
            *(create(desk, number) for number in (3, 5, 4)), return_exceptions=True
        )
        assert [type(each) for each in found] == [CreatedAll, KeyReusedError, KeyReusedError]
        assert await created(desk) == [0, 1, 2]


async def test_twenty_at_once_in_two_processes_make_one_batch_and_have_one_answer() -> None:
    store = MemoryStore(log_id=LOG_ID)
    async with opened(store) as left, opened(store, seed=2) as right:
        found = await asyncio.gather(*(create(d) for d in (left, right) for _ in range(10)))
        assert await created(left) == [0, 1, 2, 3, 4]
    assert {(*each.ids, each.pos) for each in found} == {(*found[0].ids, found[0].pos)}


@pytest.mark.parametrize("other", [{"key": "K"}, {"kind": "report"}, {"owner": "billing"}])
async def test_a_key_belongs_to_its_owner_and_kind(other: dict[str, str]) -> None:
    async with opened() as desk:
        first, second = await create(desk), await create(desk, **other)
        assert not second.replayed
        assert not {*first.ids} & {*second.ids}


async def test_the_key_of_a_single_job_is_another() -> None:
    async with opened() as desk:
        single = await desk.jobs.create(
            "email", 1, OPTIONS, meta=CLIENT, key="k", fingerprint="f5", now=NOON
        )
        made = await create(desk)
        assert not made.replayed
        assert single.job.id not in made.ids


@pytest.mark.parametrize("key", [None, "k"])
async def test_an_item_too_large_is_named_and_nothing_is_recorded(key: str | None) -> None:
    async with opened() as desk:
        with pytest.raises(ItemTooLargeError, match="item 2: the event takes") as refused:
            await create(desk, payloads=[0, 1, "x" * 70_000, 3], key=key)
        assert refused.value.item == 2
        assert await created(desk) == []


async def test_what_the_kind_fixes_is_asked_once_an_item() -> None:
    def prepare(payload: Any, job_id: str, now: str) -> Prepared:
        return Prepared({"of": payload}, {"id": job_id, "at": now})

    async with opened() as desk:
        made = await create(desk, 2, prepare=prepare)
        assert await created(desk) == [{"of": 0}, {"of": 1}]
        events = (await desk.log.read())[1:]
        assert [e.data["facts"] for e in events] == [{"id": i, "at": NOON} for i in made.ids]


async def test_the_rules_bite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were all items sent at once, a longer request under the same key would get some in."""

    async def claim(creation: Any) -> bool:
        return True

    async def complete(creation: Any) -> CreatedAll:
        results = await creation._log.append_all(creation._appends)
        if any(isinstance(result, Conflict) for result in results):
            raise KeyReusedError(creation.job_ids[0])
        return CreatedAll(creation.job_ids, results[-1][-1].pos, replayed=False)

    monkeypatch.setattr("service.batch.BatchCreation.claim", claim)
    monkeypatch.setattr("service.batch.BatchCreation.complete", complete)
    with pytest.raises(AssertionError):
        await test_another_request_under_the_key_is_refused_and_records_nothing(6)


async def test_others_have_turns_while_a_batch_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SLICE_S", 0)
    async with opened() as desk:
        async with counting_turns() as turns:
            await create(desk, 200, key=None, fingerprint=None)
        assert turns.taken >= 4 * 200, "made ready, handed over, answered, and counted"
