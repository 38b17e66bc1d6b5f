"""Idempotency keys: one job for one key, one answer for one request, whoever asks and how often.

The key is in the id and the request's fingerprint in the first event, so nothing else has to be
remembered; these tests therefore also ask after restarts and from two processes. Parsing the header
is the web's affair.
"""

import asyncio
from uuid import UUID

import pytest

from eventstore.memory import MemoryStore
from projections.job import Status
from service import commands
from service.refusals import KeyReusedError
from tests.service.desk import CLIENT, OPTIONS, opened
from tests.support.build import LOG_ID, at


async def create(desk, key="k", fingerprint="f00d", kind="email", owner="-", payload=1):
    return await desk.jobs.create(
        kind, payload, OPTIONS, meta=CLIENT, key=key, fingerprint=fingerprint, owner=owner
    )


async def test_a_key_used_again_has_the_first_answer_and_makes_nothing():
    async with opened() as desk:
        first = await create(desk)
        await asyncio.sleep(600)
        again = await create(desk)
        assert (first.replayed, again.replayed) == (False, True)
        assert again.job == first.job
        assert UUID(first.job.id).version == 8
        assert await desk.types(first.job.id) == ["JobCreated"]


async def test_twenty_at_once_with_one_key_make_one_job_and_have_one_answer():
    async with opened() as desk:
        found = await asyncio.gather(*(create(desk) for _ in range(20)))
        assert await desk.log.head() == 2
    assert [each.job for each in found] == [found[0].job] * 20
    assert sorted(each.replayed for each in found) == [False] + [True] * 19


async def test_twenty_at_once_in_two_processes_make_one_job_too():
    store = MemoryStore(log_id=LOG_ID)
    async with opened(store) as left, opened(store, seed=2) as right:
        found = await asyncio.gather(*(create(d) for d in (left, right) for _ in range(10)))
        assert await left.log.head() == 2
        for desk in (left, right):
            assert await desk.jobs.get(found[0].job.id) == found[0].job
    assert [each.job for each in found] == [found[0].job] * 20


async def test_the_first_answer_is_given_even_when_the_job_has_moved_on():
    async with opened() as desk:
        first = await create(desk)
        await desk.jobs.cancel(first.job.id, meta=CLIENT)
        again = await create(desk)
        assert (again.job, again.job.rev, again.job.status) == (first.job, 1, Status.PENDING)
        assert (await desk.jobs.get(first.job.id)).status == Status.CANCELLED


async def test_the_first_answer_is_given_after_a_restart():
    store = MemoryStore(log_id=LOG_ID)
    async with opened(store) as desk:
        first = await create(desk)
    async with opened(store, seed=2) as desk:
        assert (await create(desk)).job == first.job


async def test_whoever_has_the_first_answer_can_read_the_job():
    """From another process too, whose read model has not heard of it yet: then reading waits."""
    store = MemoryStore(log_id=LOG_ID)
    async with opened(store) as left, opened(store, stale_at=1, seed=2) as right:
        first = await create(left)
        assert (await create(right)).replayed
        reading = asyncio.create_task(right.jobs.get(first.job.id))
        await asyncio.sleep(10)
        assert not reading.done()
        right.projector.apply(await right.log.read(1))
        assert await reading == first.job


@pytest.mark.parametrize("other", ["beef", None])
async def test_a_key_used_for_another_request_is_refused(other):
    async with opened() as desk:
        first = await create(desk)
        with pytest.raises(KeyReusedError) as refused:
            await create(desk, fingerprint=other, payload=2)
        assert refused.value.job_id == first.job.id
        assert await desk.types(first.job.id) == ["JobCreated"]


async def test_of_two_requests_at_once_with_one_key_one_is_refused():
    async with opened() as desk:
        found = await asyncio.gather(
            create(desk, fingerprint="f00d"),
            create(desk, fingerprint="beef"),
            return_exceptions=True,
        )
        assert sorted(type(each).__name__ for each in found) == ["Created", "KeyReusedError"]
        assert await desk.log.head() == 2


@pytest.mark.parametrize("other", [{"key": "K"}, {"kind": "report"}, {"owner": "billing"}])
async def test_a_key_belongs_to_its_owner_and_kind(other):
    async with opened() as desk:
        first, second = await create(desk), await create(desk, **other)
        assert not second.replayed
        assert first.job.id != second.job.id


async def test_what_a_client_sent_is_what_is_compared_and_not_when():
    """The options of a repeat are those of now; the answer is that of the first."""
    async with opened() as desk:
        first = await create(desk)
        late = OPTIONS._replace(run_at=at(500))
        again = await desk.jobs.create(
            "email", 1, late, meta=CLIENT, key="k", fingerprint="f00d", now=at(400)
        )
    assert again.job == first.job


async def test_a_claimed_job_is_not_disturbed_by_a_repeat():
    async with opened() as desk:
        first = await create(desk)
        running = await desk.jobs.execute(
            first.job.id,
            lambda job: commands.start(job, now=at(0), worker="w", epoch=1, lease_s=30, meta={}),
        )
        await create(desk)
        assert await desk.jobs.get(first.job.id) == running
