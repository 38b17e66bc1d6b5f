"""The parts put together: how a service starts over a log, stops, and ends when its disk fails.

A disk is simulated, so that it can fail at the very moment a test is about. The sockets and signals
around a service are tested in `tests/e2e`.
"""

import asyncio
from collections import Counter
from functools import partial
from random import Random

import pytest

from eventstore.errors import StoreError, StoreFailed
from eventstore.file.store import FileStore
from eventstore.offload import Inline
from service import server
from service.backoff import DEFAULT
from service.commands import Options
from service.processors import Attempt
from service.refusals import KeyReusedError
from tests.support.faults import Fault
from tests.support.simdisk import SimDisk
from tests.support.wait import until
from tests.support.world import elapsed, script, takes, world


async def opened(disk: SimDisk) -> FileStore:
    """The log on this disk."""
    return await FileStore.open("data", dice=Random(1), offload=Inline(), disk=disk)


async def history(disk: SimDisk) -> list[str]:
    """The types of all events in the log, read by nobody's service."""
    store = await opened(disk)
    types = [event.type for event in await store.read()]
    await store.aclose()
    return types


async def test_a_life_of_a_service_begins_with_its_epoch_and_ends_with_the_seal():
    disk = SimDisk()
    for _ in range(2):
        async with world(script("done"), store=await opened(disk)) as w:
            await w.ended(await w.post())
    one_life = ["WriterStarted", "JobCreated", "AttemptStarted", "JobCompleted", "LogSealed"]
    assert await history(disk) == ["LogOpened", *one_life, *one_life]


async def test_a_seeded_service_that_starts_again_does_not_repeat_its_nonces():
    """Else a key's second use, with another request, would pass for the first one's repeat."""
    disk = SimDisk()
    options = Options("2026-11-23T12:00:00.000000Z", 0, 3, 300, DEFAULT)
    for fingerprint in ("one", "two"):
        async with world(store=await opened(disk), work=False) as w:
            create = partial(w.jobs.create, "work", None, options, meta={}, key="k")
            if fingerprint == "one":
                assert not (await create(fingerprint=fingerprint)).replayed
            else:
                with pytest.raises(KeyReusedError):
                    await create(fingerprint=fingerprint)


async def test_what_the_read_model_knew_it_knows_after_a_restart():
    disk = SimDisk()
    async with world(script("done"), store=await opened(disk)) as w:
        job_id = await w.post()
        before = await w.ended(job_id)
    async with world(store=await opened(disk)) as w:
        assert await w.get(job_id) == before


async def test_jobs_that_came_while_nobody_worked_are_run_at_the_next_start():
    disk = SimDisk()
    async with world(store=await opened(disk), work=False) as w:
        job_id = await w.post()
        assert w.service.worker is None
        await asyncio.sleep(60)
    async with world(script("done"), store=await opened(disk)) as w:
        assert (await w.ended(job_id)).result == "done"


async def test_a_disk_that_fails_ends_the_service_with_the_failure():
    disk = SimDisk()

    async def service() -> None:
        async with world(script(takes(3)), store=await opened(disk)) as w:
            await w.post()
            await asyncio.sleep(1)
            disk.fail("datasync", Fault.EIO, at=len(disk.journal))
            await asyncio.sleep(3600)

    with pytest.raises(ExceptionGroup) as caught:
        await service()
    assert caught.group_contains(StoreFailed)
    assert not caught.group_contains(AssertionError)
    assert 3 <= elapsed() < 3.1


async def test_the_failure_that_ended_a_service_is_the_one_that_is_reported():
    group = BaseExceptionGroup("", [ExceptionGroup("", [StoreFailed("EIO")]), StoreError("later")])
    assert str(server._first(group)) == "EIO"


async def test_a_full_disk_does_not_spoil_a_graceful_stop():
    disk = SimDisk()
    async with world(script("done"), store=await opened(disk)) as w:
        await w.ended(await w.post())
        disk.fail("write", Fault.ENOSPC, at=len(disk.journal), for_ever=True)
    disk.restart()
    assert (await history(disk))[-1] == "JobCompleted"


async def test_what_a_full_disk_held_up_goes_on_when_there_is_room_again():
    disk = SimDisk()
    async with world(script(takes(5)), store=await opened(disk)) as w:
        running = await w.post()
        waiting = await w.post(after_s=4)
        await asyncio.sleep(1)
        room, disk.capacity = disk.capacity, 0
        await asyncio.sleep(120)
        disk.capacity = room
        for job_id in (running, waiting):
            assert (await w.ended(job_id, within_s=10)).attempt == 1


async def test_events_tell_who_caused_them():
    async def fails_first(attempt: Attempt) -> None:
        if attempt.number == 1:
            raise ValueError("no luck")

    async with world(script(fails_first)) as w:
        await w.post()
        await until(w.log, lambda event: event.type == "JobCompleted")
        actors = Counter(event.meta.get("actor") for event in await w.log.read())
    [worker] = set(actors) - {None, "client"}
    assert worker.startswith("worker:w-")
    assert (actors["client"], actors[worker]) == (1, 4)
