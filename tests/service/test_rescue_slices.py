"""Thousands that are late together: worked off a slice at a time, with everybody else's turns in
between, and none of them forgotten.

What is late, and what is recorded of it, is in `test_rescue_table` and `test_expiry`.
"""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from eventstore import clock, pace
from eventstore.errors import NotWritten
from eventstore.timestamp import later
from projections.job import Status
from service.rescue import LEASE_GRACE_S, LOOK_EVERY_S, SLICE
from tests.service.watch import EARLIER, LEASE_S, REMOTE, watching
from tests.support.loop import elapsed

MANY = 2_050  # and not a whole number of slices


class Recording:
    """Counts what `Jobs.expire` and `Jobs.fail` have under way, and lets the world turn a while in
    each; those in `refused` fail.
    """

    def __init__(self, watch, *, takes_s=0.0):
        self._jobs = watch.desk.jobs
        self._takes_s = takes_s
        self._under_way = 0
        self.most = 0
        self.asked = Counter()
        self.refused = set()
        watch.rescue._jobs = self

    async def expire(self, job_id, **more):
        return await self._counted(job_id, lambda: self._jobs.expire(job_id, **more))

    async def fail(self, job, **more):
        return await self._counted(job.id, lambda: self._jobs.fail(job, **more))

    async def _counted(self, job_id, do):
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        self.asked[job_id] += 1
        try:
            await asyncio.sleep(self._takes_s)
            if job_id in self.refused:
                raise NotWritten("no room")
            return await do()
        finally:
            self._under_way -= 1


async def expiring(watch, number):
    """Jobs that expire at second 60, all of them."""
    expires_at = later(clock.now(), 60)
    ids = await asyncio.gather(*(watch.create(expires_at=expires_at) for _ in range(number)))
    await watch.get(ids[-1])
    return ids


async def ended(watch, ids):
    """How many of them failed."""
    return [(await watch.get(job_id)).status for job_id in ids].count(Status.FAILED)


@pytest.mark.parametrize("number", [SLICE - 1, SLICE, SLICE + 1, MANY])
async def test_jobs_that_expire_together_are_ended_by_one_look_a_slice_at_a_time(number):
    async with watching() as watch:
        ids = await expiring(watch, number)
        recording = Recording(watch)
        await watch.look_at(60)
        assert await ended(watch, ids) == number
        assert recording.most == min(number, SLICE)
        assert recording.asked == Counter(ids)


async def test_others_have_their_turns_between_the_slices():
    async with watching() as watch:
        ids = await expiring(watch, MANY)
        await asyncio.sleep(60)
        board, done = watch.desk.projector._board, []

        async def other():
            while True:
                done.append(MANY - len(board))
                await asyncio.sleep(0)

        turns = asyncio.create_task(other())
        await watch.rescue.look()
        turns.cancel()
        assert await ended(watch, ids) == MANY
        steps = [after - before for before, after in pairwise(done)]
        assert 0 < max(steps) <= SLICE


async def test_others_have_their_turns_between_the_attempts_that_are_looked_at(monkeypatch):
    monkeypatch.setattr(pace, "SLICE_S", 0)
    async with watching() as watch:
        ids = await asyncio.gather(*(watch.start(REMOTE) for _ in range(20)))
        await watch.get(ids[-1])
        looking = asyncio.create_task(watch.rescue.look())
        turns = 0
        while not looking.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= len(ids)


async def test_a_look_that_takes_longer_than_a_second_leaves_the_rest_to_the_next():
    async with watching() as watch:
        ids = await expiring(watch, MANY)
        Recording(watch, takes_s=LOOK_EVERY_S / 4)
        await watch.look_at(60)
        assert (await ended(watch, ids), elapsed()) == (4 * SLICE, 60 + LOOK_EVERY_S)
        for _ in range(5):
            await watch.rescue.look()
        assert await ended(watch, ids) == MANY


async def test_those_that_cannot_be_ended_are_asked_once_a_look_and_hold_up_no_others():
    async with watching() as watch:
        ids = await expiring(watch, 3 * SLICE)
        recording = Recording(watch)
        recording.refused = set(ids[: SLICE + 50])
        await watch.look_at(60)
        assert await ended(watch, ids) == 2 * SLICE - 50
        assert recording.asked == Counter(ids)
        recording.refused = set()
        await watch.look_at(61)
        assert await ended(watch, ids) == 3 * SLICE


async def test_attempts_that_are_overdue_together_are_given_up_a_slice_at_a_time():
    async with watching() as watch:
        ids = await asyncio.gather(*(watch.start(REMOTE) for _ in range(MANY)))
        recording = Recording(watch)
        await watch.look_at(0)
        await watch.look_at(LEASE_S + LEASE_GRACE_S)
        assert recording.most == SLICE
        assert [(await watch.get(job_id)).crashes for job_id in ids] == [1] * MANY


async def test_attempts_that_were_lost_together_are_given_up_a_slice_at_a_time():
    async with watching() as watch:
        ids = await asyncio.gather(*(watch.start(EARLIER) for _ in range(MANY)))
        recording = Recording(watch)
        await watch.rescue._give_up_lost()
        assert recording.most == SLICE
        assert [(await watch.get(job_id)).crashes for job_id in ids] == [1] * MANY
