"""Counts and latencies, kept as events come: against a recount of all jobs, after any lives, and
across a start.
"""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.event import NEW, NewEvent
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from eventstore.offload import Inline
from projections.board import JobBoard
from projections.job import Job, Status, evolve
from projections.projector import Projector
from projections.stats import SAMPLES_MAX, JobStats, Latency, latency
from projections.table import MEMORY, JobTable
from tests.projections.tables import opened
from tests.support.build import (
    LOG_ID,
    at,
    attempt_failed,
    attempt_started,
    follow,
    job_cancelled,
    job_completed,
    job_created,
    job_retried,
    random_life,
)


def told(stats: JobStats, *life: NewEvent) -> Job | None:
    """Let it see a job's life."""
    job: Job | None = None
    for new in life:
        before, job = job, evolve(job, follow(job, new))
        assert job is not None
        stats.apply(before, job)
    return job


def recount(jobs: list[Job]) -> dict[str, dict[Status, int]]:
    counted = Counter((job.kind, job.status) for job in jobs)
    kinds = sorted({job.kind for job in jobs})
    return {kind: {each: counted[kind, each] for each in Status} for kind in kinds}


lives = st.lists(st.randoms(use_true_random=False).map(random_life), max_size=8)


@given(lives=lives, dice=st.randoms(use_true_random=False))
def test_counts_are_those_of_a_recount_whatever_happened(
    lives: list[list[NewEvent]], dice: Random
) -> None:
    stats, jobs = JobStats(), dict[int, Job]()
    left = {number: list(life) for number, life in enumerate(lives)}
    while left:
        number = dice.choice(sorted(left))
        before = jobs.get(number)
        job = evolve(before, follow(before, left[number].pop(0)))
        assert job is not None
        stats.apply(before, job)
        jobs[number] = job
        if not left[number]:
            del left[number]
        assert stats.by_kind() == recount(list(jobs.values()))
    assert sum(stats.by_status().values()) == len(lives)


@pytest.mark.parametrize("flushed_at", range(6))
async def test_a_start_goes_on_with_the_counts_of_the_table(
    tmp_path: Path, flushed_at: int
) -> None:
    dice = Random(3)
    log = EventLog(MemoryStore(log_id=LOG_ID), dice=dice)
    lives = [random_life(dice) for _ in range(12)]
    with opened(tmp_path / "jobs.sqlite") as table:
        await lived(log, lives[: 2 * flushed_at], 0)
        projector = Projector(log, JobBoard(), table, offload=Inline())
        await projector.catch_up()
        await projector.flush()
    await lived(log, lives[2 * flushed_at :], 2 * flushed_at)
    with opened(tmp_path / "jobs.sqlite") as table:
        projector = Projector(log, JobBoard(), table, offload=Inline())
        await projector.catch_up()
        found = projector.stats.by_kind()
        await projector.flush()
        assert found == recount(list(table.jobs()))
        await projector.catch_up()  # again, with nothing new
        assert projector.stats.by_kind() == found


async def lived(log: EventLog, lives: list[list[NewEvent]], first: int) -> None:
    for number, life in enumerate(lives, first):
        head = NEW
        for new in life:
            head = (await log.append(f"j{number}", head, new))[-1].head


def test_a_planted_miscount_is_found() -> None:
    class Forgetful(JobStats):
        def apply(self, before: Job | None, job: Job) -> None:
            super().apply(before if job.status is not Status.CANCELLED else None, job)

    stats = Forgetful()
    job = told(stats, job_created(), job_cancelled(1))
    assert job is not None
    assert stats.by_kind() != recount([job])


def test_a_kind_whose_jobs_are_gone_from_every_state_is_not_listed() -> None:
    stats = JobStats()
    stats.begin({("email", Status.FAILED): 2, ("gone", Status.FAILED): 0})
    assert list(stats.by_kind()) == ["email"]
    assert stats.by_status()[Status.FAILED] == 2


@pytest.mark.parametrize(
    ("life", "waits_s", "runs_s"),
    [
        ([job_created(0)], [], []),
        ([job_created(0), attempt_started(3)], [3.0], []),
        ([job_created(0, run_at=at(2)), attempt_started(3)], [1.0], []),
        ([job_created(5, run_at=at(2)), attempt_started(6)], [1.0], []),  # due before it was
        ([job_created(0), attempt_started(3), job_completed(7)], [3.0], [4.0]),
        (
            [job_created(0), attempt_started(3), attempt_failed(7, retry_at=at(20)),
             attempt_started(21.5, attempt=2)],
            [3.0, 1.5],
            [4.0],
        ),
        (
            [job_created(0, run_at=at(3600)), job_retried(10), attempt_started(12)],
            [2.0],
            [],
        ),
        ([job_created(0), job_cancelled(3), job_retried(9), attempt_started(10)], [1.0], []),
    ],
)  # fmt: skip
def test_what_is_measured(life: list[NewEvent], waits_s: list[float], runs_s: list[float]) -> None:
    stats = JobStats()
    told(stats, *life)
    assert stats.waits() == latency(waits_s)
    assert stats.runs() == latency(runs_s)


@pytest.mark.parametrize(
    ("samples_s", "expected"),
    [
        ([], None),
        ([7.0], Latency(1, 7.0, 7.0, 7.0)),
        ([2.0, 1.0], Latency(2, 1.0, 2.0, 2.0)),
        (range(1, 20), Latency(19, 10, 19, 19)),
        (range(1, 21), Latency(20, 10, 19, 20)),
        (range(1, 22), Latency(21, 11, 20, 21)),
        (range(100, 0, -1), Latency(100, 50, 95, 99)),
        (range(1, 102), Latency(101, 51, 96, 100)),
    ],
)
def test_percentiles_by_nearest_rank(samples_s: list[float], expected: Latency | None) -> None:
    assert latency(samples_s) == expected


def test_only_the_last_attempts_are_measured() -> None:
    stats = JobStats()
    told(stats, job_created(0), attempt_started(9), job_completed(10))
    for _ in range(SAMPLES_MAX):
        told(stats, job_created(0), attempt_started(1), job_completed(3))
    assert stats.waits() == Latency(SAMPLES_MAX, 1.0, 1.0, 1.0)
    assert stats.runs() == Latency(SAMPLES_MAX, 2.0, 2.0, 2.0)


async def test_who_waited_in_vain_for_a_position_is_forgotten_and_others_are_not() -> None:
    log = EventLog(MemoryStore(log_id=LOG_ID), dice=Random(1))
    table = JobTable(MEMORY, log_id=LOG_ID)
    projector = Projector(log, JobBoard(), table, offload=Inline())
    await projector.catch_up()
    kept = [asyncio.create_task(projector.reached(n)) for n in (2, 3, 2)]
    for _ in range(50):
        gone = [asyncio.create_task(projector.reached(n)) for n in (2, 10**12)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
    assert len(projector._waiting) <= 2 * len(kept)
    await log.append("a", NEW, job_created())
    await projector.catch_up()
    await asyncio.gather(kept[0], kept[2])
    assert not kept[1].done()
    await log.append("b", NEW, job_created())
    await projector.catch_up()
    await kept[1]
    table.close()
