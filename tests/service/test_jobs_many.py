"""`Jobs`: many jobs decided about together, and each event folded once.

What it does about one job is `test_jobs`'s matter.
"""

import pytest

from eventstore import clock
from eventstore.errors import Conflict, StoreClosed
from eventstore.event import NEW
from projections.job import Status, evolve
from service import commands
from service.commands import Ending
from tests.service.desk import CLIENT, OPTIONS, opened
from tests.support.build import attempt_started, job_created

ERROR = Ending("error", "ValueError", "no luck")


async def create(desk):
    return (await desk.jobs.create("email", None, OPTIONS, meta=CLIENT)).job


def start():
    return lambda job: commands.start(
        job, now=clock.now(), worker="w", epoch=1, lease_s=30.0, meta={}
    )


async def test_many_are_decided_about_and_recorded_together():
    async with opened() as desk:
        jobs = [await create(desk) for _ in range(5)]
        head = await desk.log.head()
        found = await desk.jobs.execute_all(jobs, start())
        assert [job.status for job in found] == [Status.PROCESSING] * 5
        assert [job.pos for job in found] == [head + n for n in range(1, 6)]
        assert [await desk.jobs.get(job.id) for job in jobs] == found


async def test_of_many_each_has_its_own_answer():
    """One was claimed by another, one has ended, one was never there; the rest are to be had."""
    async with opened() as desk:
        old = [await create(desk) for _ in range(4)]
        claimed = await desk.jobs.execute(old[1].id, start())
        ended = await desk.jobs.cancel(old[2].id, meta=CLIENT)
        found = await desk.jobs.execute_all([*old[:2], ended, old[3]], start())
        assert [type(each).__name__ for each in found] == [
            "Job", "NotAllowedError", "NotAllowedError", "Job",
        ]  # fmt: skip
        assert found[1].job == claimed


async def test_of_many_one_that_moved_on_is_decided_about_again():
    async with opened() as desk:
        seen = [await create(desk), await create(desk)]
        await desk.jobs.execute(seen[0].id, start())
        running = await desk.jobs.get(seen[0].id)
        await desk.jobs.fail(
            running,
            token=running.lease.token,
            ending=ERROR,
            duration_s=1,
            meta={},
            retry_after_s=0,
        )
        found = await desk.jobs.execute_all(seen, start())
        assert [job.attempt for job in found] == [2, 1]


async def test_what_a_log_refuses_of_many_is_their_answer():
    async with opened() as desk:
        jobs = [await create(desk), await create(desk)]
        await desk.log.aclose()
        with pytest.raises(StoreClosed):
            await desk.jobs.execute_all(jobs, start())


async def test_each_event_is_folded_once_whoever_comes_first(monkeypatch):
    folded = []

    def counted(before, event):
        folded.append(event.pos)
        return evolve(before, event)

    monkeypatch.setattr("projections.projector.evolve", counted)
    monkeypatch.setattr("projections.job.evolve", counted)
    async with opened() as desk:
        job = await create(desk)
        claimed = await desk.jobs.execute(job.id, start())
        assert await desk.jobs.get(job.id) == claimed
        assert desk.projector._foreseen == {}
        assert folded == [job.pos, claimed.pos]


async def test_what_was_folded_by_who_wrote_it_is_not_folded_again(monkeypatch):
    async with opened() as desk:
        job = await create(desk)
        [started] = await desk.log.append(job.id, job.head, attempt_started(1))
        desk.projector.position = job.pos  # as if it were behind
        desk.projector.foresee(started, evolve(job, started))
        monkeypatch.setattr("projections.projector.evolve", None)
        desk.projector.apply([started])
        assert await desk.jobs.get(job.id) == evolve(job, started)
        desk.projector.foresee(started, job)  # it is past that: nobody would ever ask
        assert desk.projector._foreseen == {}


async def test_a_fresh_job_whose_id_is_taken_all_the_same_is_a_conflict():
    """While memory knows of it: nobody looks on the disk for a name that was drawn just now."""
    async with opened() as desk:
        job = await create(desk)
        with pytest.raises(Conflict):
            await desk.log.append(job.id, NEW, job_created(), fresh=True)
