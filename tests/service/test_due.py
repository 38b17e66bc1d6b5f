"""Due work for who cannot watch the board: he waits, is woken, and gets each job once.

Time is virtual, so "at once" is the same microsecond, and a look too many is counted. The HTTP
side is in `web/test_claims`, what the board gives out in `projections/test_board`.
"""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from eventstore import clock
from eventstore.timestamp import later
from projections.board import JobBoard
from projections.job import evolve
from service.due import LOOK_EVERY_S, DueWork
from tests.support.build import (
    US,
    at,
    attempt_started,
    follow,
    job_cancelled,
    kind_folded,
    kind_limited,
    kind_paused,
    kind_resumed,
    pending_job,
)
from tests.support.world import elapsed


@dataclass
class Closable:
    """An admission that says what it is told."""

    why: str | None = None

    def reason(self):
        return self.why


class Counted(JobBoard):
    """A board that counts how often it is asked."""

    looks = 0

    def take(self, *args, **options):
        self.looks += 1
        return super().take(*args, **options)


@dataclass
class Desk:
    board: Counted
    admission: Closable
    due: DueWork

    def add(self, *jobs):
        for job in jobs:
            self.board.apply(job)
        self.due.wake()

    async def take(self, *kinds, limit=10, wait_s=0.0):
        taken = await self.due.take(kinds or ["email"], limit=limit, wait_s=wait_s)
        return [job.id for job in taken]

    def waiting(self, *kinds, wait_s=30.0, limit=10):
        return asyncio.create_task(self.take(*kinds, limit=limit, wait_s=wait_s))


def desk():
    board, admission = Counted(), Closable()
    return Desk(board, admission, DueWork(board, admission))


def job(name="a", pos=1, after_s=0.0, **data):
    return pending_job(name, pos=pos, run_at=later(clock.now(), after_s), **data)


@asynccontextmanager
async def is_waiting(desk, *kinds, **options):
    task = desk.waiting(*kinds, **options)
    await asyncio.sleep(0.5)
    assert not task.done()
    yield task


async def test_what_is_due_is_given_at_once_and_no_more_than_asked_for():
    d = desk()
    d.add(job("a", 1), job("b", 2), job("c", 3))
    assert await d.take(limit=2, wait_s=30) == ["a", "b"]
    assert await d.take(limit=2, wait_s=30) == ["c"]
    assert elapsed() == 0


@pytest.mark.parametrize("wait_s", [0, US, 0.5, 1, 7.25, 30])
async def test_who_finds_nothing_waits_as_long_as_he_said(wait_s):
    assert await desk().take(wait_s=wait_s) == []
    assert elapsed() == wait_s


async def test_who_waits_is_woken_when_a_job_comes():
    d = desk()
    async with is_waiting(d) as task:
        d.add(job())
        assert await task == ["a"]
        assert elapsed() == 0.5


async def test_a_wake_up_that_brings_nothing_leaves_him_waiting_for_the_rest_of_his_time():
    d = desk()
    async with is_waiting(d, wait_s=3) as task:
        d.add(job(kind="report"))
        await asyncio.sleep(1)
        assert await task == []
        assert elapsed() == 3


async def test_a_wake_up_just_before_he_waits_is_not_lost():
    d = desk()
    task = d.waiting()
    d.add(job())
    assert await task == ["a"]
    assert elapsed() == 0


@pytest.mark.parametrize("after_s", [US, 0.999_999, 1, 1.5, 12.25])
async def test_an_appointment_is_kept_to_the_microsecond(after_s):
    d = desk()
    d.add(job(after_s=after_s))
    assert await d.take(wait_s=30) == ["a"]
    assert elapsed() == pytest.approx(after_s, abs=US / 2)


async def test_an_appointment_on_the_last_microsecond_of_his_time_is_kept_and_a_later_one_is_not():
    d = desk()
    d.add(job("early", after_s=5), job("late", 2, after_s=10 + US))
    assert await d.take(wait_s=5) == ["early"]
    assert await d.take(wait_s=5) == []
    assert await d.take(wait_s=1) == ["late"]


async def test_of_many_who_wait_each_gets_other_jobs():
    d = desk()
    tasks = [d.waiting(limit=2) for _ in range(3)]
    await asyncio.sleep(0.5)
    d.add(*(job(f"j{pos}", pos) for pos in range(1, 5)))
    await asyncio.sleep(0)
    found = sorted([task.result() for task in tasks if task.done()])
    assert found == [["j1", "j2"], ["j3", "j4"]]
    d.add(job("last", 9))
    assert sorted([await task for task in tasks])[2] == ["last"]


async def test_who_is_gone_takes_nothing():
    """He is cancelled in the same moment as a job comes."""
    d = desk()
    async with is_waiting(d) as task:
        d.add(job())
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert await d.take() == ["a"]
        assert d.board._busy["email"] == 1


async def test_what_was_put_back_is_given_again_to_who_asks():
    d = desk()
    d.add(job())
    [taken] = await d.due.take(["email"], limit=1, wait_s=0)
    assert await d.take() == []
    d.due.put_back(taken)
    assert await d.take() == ["a"]


async def test_what_was_put_back_is_found_by_who_waits_within_a_second():
    d = desk()
    d.add(job())
    [taken] = await d.due.take(["email"], limit=1, wait_s=0)
    async with is_waiting(d) as task:
        d.due.put_back(taken)
        assert await task == ["a"]
        assert elapsed() <= 1.5


async def test_what_moved_on_is_not_put_back():
    d = desk()
    d.add(job())
    [taken] = await d.due.take(["email"], limit=1, wait_s=0)
    d.add(evolve(taken, follow(taken, job_cancelled(0))))
    d.due.put_back(taken)
    assert await d.take(wait_s=5) == []
    assert d.board._busy["email"] == 0


async def test_nothing_is_given_while_admission_is_closed_and_nobody_looks_in_a_rush():
    d = desk()
    d.admission.why = "no room"
    d.add(job())
    assert await d.take(wait_s=30) == []
    assert elapsed() == 30
    d.admission.why = None
    assert await d.take() == ["a"]
    assert d.board.looks <= 2


async def test_once_admission_is_open_again_he_hears_of_it_within_a_second():
    d = desk()
    d.admission.why = "no room"
    d.add(job())
    async with is_waiting(d) as task:
        d.admission.why = None
        assert await task == ["a"]
        assert elapsed() <= 0.5 + LOOK_EVERY_S


async def test_a_stop_ends_every_wait_and_gives_nothing_more():
    d = desk()
    async with is_waiting(d) as one, is_waiting(d) as two:
        d.board.apply(job())
        d.due.stop()
        assert (await one, await two) == ([], [])
        assert elapsed() == 1
        assert await d.take(wait_s=30) == []
        assert elapsed() == 1


async def test_due_work_that_he_does_not_take_makes_nobody_look_in_a_rush():
    d = desk()
    d.board.apply_kind(kind_folded(kind_limited(0, rate=(1, 3600)), name="report"))
    d.add(job("r", kind="report"), job("p", 2, kind="paused"))
    d.board.apply_kind(kind_folded(kind_paused(0), name="paused"))
    assert await d.take("email", "paused", wait_s=30) == []
    assert d.board.looks <= 32


async def test_the_rate_of_a_kind_he_takes_is_waited_for_to_the_microsecond():
    d = desk()
    d.board.apply_kind(kind_folded(kind_limited(0, rate=(2, 1)), name="email"))
    d.add(job("a", 1), job("b", 2))
    assert await d.take(wait_s=30) == ["a"]
    assert await d.take(wait_s=30) == ["b"]
    assert elapsed() == 0.5


async def test_a_resumed_kind_wakes_who_waits_for_it():
    d = desk()
    d.board.apply_kind(kind_folded(kind_paused(0)))
    d.add(job())
    async with is_waiting(d) as task:
        d.board.apply_kind(kind_folded(kind_paused(0), kind_resumed(0)))
        d.due.wake()
        assert await task == ["a"]


async def test_a_claimed_job_is_nobodys_any_more():
    d = desk()
    d.add(job())
    [taken] = await d.due.take(["email"], limit=1, wait_s=0)
    d.add(evolve(taken, follow(taken, attempt_started(0))))
    assert await d.take(wait_s=3) == []
    assert d.board.next_due_at(["email"]) is None
    assert at(0) == taken.run_at
