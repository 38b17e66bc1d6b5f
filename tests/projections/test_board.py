"""The board hands out due jobs, best first, each once.

The examples name the rules one by one: order, the very instant, kinds, hiding, stale entries. Below
them a model that keeps no heap, and sorts everything whenever it is asked, is put through the same
random days. Claims are not made here: for the board a claim is just the job's next event.
"""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.board import JobBoard
from projections.job import evolve
from tests.support.build import (
    NOON,
    US,
    at,
    attempt_failed,
    attempt_started,
    folded,
    follow,
    job_cancelled,
    job_completed,
    job_created,
    job_failed,
    job_retried,
    lease_renewed,
    pending_job,
    running_job,
    waiting_job,
)


def board_of(*jobs):
    board = JobBoard()
    for job in jobs:
        board.apply(job)
    return board


def take(board, seconds=0.0, kinds=("email",), limit=100):
    return [job.id for job in board.take(at(seconds), kinds=kinds, limit=limit)]


def after(job, *events):
    for event in events:
        job = evolve(job, follow(job, event))
    return job


def test_an_empty_board_has_nothing():
    board = JobBoard()
    assert (take(board), board.next_due_at(), len(board), board.get("a")) == ([], None, 0, None)
    assert board.running() == []


def test_a_higher_priority_goes_first():
    jobs = [pending_job(f"p{n}", pos=i, priority=n) for i, n in enumerate([0, 5, -5, 1], 1)]
    assert take(board_of(*jobs)) == ["p5", "p1", "p0", "p-5"]


def test_among_equals_in_priority_the_earlier_appointment_goes_first():
    times = {"last": 2, "second": 1 + US, "third": 1 + 2 * US, "first": 1}
    jobs = [pending_job(n, pos=i, run_at=at(t)) for i, (n, t) in enumerate(times.items(), 1)]
    assert take(board_of(*jobs), 10) == ["first", "second", "third", "last"]


def test_among_equals_in_both_the_older_job_goes_first():
    jobs = [pending_job(f"z{9 - pos}", pos=pos) for pos in (3, 1, 2)]
    assert take(board_of(*jobs)) == ["z8", "z7", "z6"]


def test_a_retried_attempt_keeps_the_place_of_its_first_appointment():
    late = pending_job("late", pos=9, run_at=at(5))
    retried = waiting_job(at(50))
    assert take(board_of(late, retried), 60) == [retried.id, "late"]


@pytest.mark.parametrize(
    ("seconds", "found"), [(60 - US, 0), (60, 1), (60 + US, 1)], ids=["-1us", "0", "+1us"]
)
@pytest.mark.parametrize("job", [pending_job(run_at=at(60)), waiting_job(at(60))])
def test_a_job_is_handed_out_from_the_very_instant(job, seconds, found):
    assert len(take(board_of(job), seconds)) == found


def test_only_jobs_of_the_kinds_asked_for_are_handed_out():
    board = board_of(*(pending_job(kind, pos=pos, kind=kind) for pos, kind in enumerate("abc", 1)))
    assert take(board, kinds=["c", "a", "unheard of"]) == ["a", "c"]
    assert take(board, kinds=[]) == []
    assert take(board, kinds=["b"]) == ["b"]


def test_the_best_of_all_kinds_go_first():
    ranks = {"a1": 1, "b9": 9, "a5": 5, "b2": 2}
    jobs = [
        pending_job(name, pos=pos, kind=name[0], priority=rank)
        for pos, (name, rank) in enumerate(ranks.items(), 1)
    ]
    assert take(board_of(*jobs), kinds=["a", "b"], limit=3) == ["b9", "a5", "b2"]


def test_a_kind_asked_for_twice_is_one_kind():
    board = board_of(*(pending_job(f"j{pos}", pos=pos) for pos in (1, 2, 3)))
    assert take(board, kinds=["email", "email"], limit=2) == ["j1", "j2"]
    assert take(board, kinds=["email", "email"], limit=2) == ["j3"]


@pytest.mark.parametrize(("limit", "found"), [(0, 0), (1, 1), (2, 2), (3, 2)])
def test_no_more_are_handed_out_than_asked_for(limit, found):
    board = board_of(pending_job("a", pos=1), pending_job("b", pos=2))
    assert len(take(board, limit=limit)) == found
    assert len(take(board)) == 2 - found


def test_a_job_that_was_handed_out_is_hidden_but_still_there():
    job = pending_job()
    board = board_of(job)
    assert take(board) == [job.id]
    assert take(board) == []
    assert (len(board), board.get(job.id), board.next_due_at()) == (1, job, None)


def test_a_job_that_was_put_back_is_handed_out_again():
    job = pending_job()
    board = board_of(job)
    take(board)
    board.put_back(job)
    assert board.next_due_at() == NOON
    assert take(board) == [job.id]
    assert take(board) == []


@pytest.mark.parametrize(
    "moved_by",
    [
        [attempt_started(1)],
        [job_cancelled(1)],
        [attempt_started(1), attempt_failed(2, retry_at=at(100))],
    ],
    ids=["claimed", "cancelled", "waiting"],
)
def test_a_job_that_moved_on_is_not_put_back(moved_by):
    job = pending_job()
    board = board_of(job)
    take(board)
    board.apply(after(job, *moved_by))
    board.put_back(job)
    assert take(board, 99) == []


def test_what_is_stale_is_never_handed_out():
    """Both heaps hold entries of revisions that are gone: due ones and waiting ones."""
    claimed, cancelled, waiting = (pending_job(n, pos=p) for p, n in enumerate("abc", 1))
    later = pending_job("d", pos=4, run_at=at(50))
    board = board_of(claimed, cancelled, waiting, later)
    assert take(board, limit=0) == []
    board.apply(after(claimed, attempt_started(1)))
    board.apply(after(cancelled, job_cancelled(1)))
    board.apply(after(waiting, attempt_started(1), attempt_failed(2, retry_at=at(60))))
    board.apply(after(later, job_cancelled(1)))
    assert board.next_due_at() == at(60)
    assert take(board, 60 - US) == []
    assert take(board, 60) == ["c"]


def test_a_job_asked_to_run_now_is_handed_out_once():
    job = pending_job(run_at=at(3600))
    board = board_of(job)
    board.apply(after(job, job_retried(5)))
    assert take(board, 5) == [job.id]
    assert take(board, 7200) == []


def test_a_reopened_job_is_back():
    job = folded(job_created(), job_cancelled(1))
    board = board_of(job)
    assert len(board) == 0
    board.apply(after(job, job_retried(5)))
    assert take(board, 5) == [job.id]


def test_the_next_due_time_is_the_earliest_of_those_that_wait():
    board = board_of(*(pending_job(f"t{t}", pos=t, run_at=at(t)) for t in (30, 10, 20)))
    assert board.next_due_at() == at(10)
    take(board, 10)
    assert board.next_due_at() == at(20)
    take(board, 99)
    assert board.next_due_at() is None


def test_a_job_without_a_time_is_kept_and_not_handed_out():
    """As between the two events of giving up, should a page end there."""
    job = folded(job_created(), attempt_started(1), attempt_failed(2, retry_at=None))
    board = board_of(job)
    assert (take(board, 1e9), board.next_due_at(), board.get(job.id)) == ([], None, job)
    board.apply(after(job, job_failed(2)))
    assert len(board) == 0


def test_running_jobs_are_listed_while_they_run():
    job = running_job()
    board = board_of(job)
    assert board.running() == [job]
    renewed = after(job, lease_renewed(20))
    board.apply(renewed)
    assert board.running() == [renewed]
    board.apply(after(renewed, job_completed(30)))
    assert (board.running(), board.get(job.id), len(board)) == ([], None, 0)


class NaiveBoard:
    """The same without heaps."""

    def __init__(self):
        self.jobs = {}
        self.hidden = set()

    def apply(self, job):
        self.jobs[job.id] = job
        self.hidden.discard(job.id)

    def take(self, now, kinds, limit):
        due = [
            job
            for job in self.jobs.values()
            if job.is_due(now) and job.kind in kinds and job.id not in self.hidden
        ]
        due.sort(key=lambda job: (-job.priority, job.run_at, job.created_pos))
        self.hidden |= {job.id for job in due[:limit]}
        return due[:limit]

    def next_due_at(self, now):
        """The earliest that is not due yet at the time last asked about."""
        times = [job.next_attempt_at for job in self.jobs.values() if job.next_attempt_at]
        return min((time for time in times if time > now), default=None)


@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_a_board_agrees_with_a_sorted_list_on_any_day(dice, steps):
    board, naive = JobBoard(), NaiveBoard()
    taken, seconds, pos = [], 0.0, 0
    for _ in range(steps):
        pos += 100
        seconds += dice.choice([0, 0, US, 1, 5])
        taken += happen(dice, board, naive, taken, seconds, pos)
        expected = naive.next_due_at(at(seconds))
        take_none(board, seconds)
        assert board.next_due_at() == expected
    assert len(board) == sum(job.is_open for job in naive.jobs.values())
    running = [job for job in naive.jobs.values() if job.status == "processing"]
    assert sorted(map(str, board.running())) == sorted(map(str, running))


def take_none(board, seconds):
    """Tell it the time."""
    assert board.take(at(seconds), kinds=["a", "b"], limit=0) == []


def happen(dice, board, naive, taken, seconds, pos):
    """Something happens to both; the jobs handed out by it."""
    choice = dice.choice(["create", "create", "take", "take", "put back", "move", "move"])
    if choice == "create":
        job = pending_job(
            f"j{pos}",
            pos=pos,
            kind=dice.choice("ab"),
            priority=dice.randrange(3),
            run_at=at(seconds + dice.choice([-1, 0, US, 3])),
        )
        board.apply(job)
        naive.apply(job)
    elif choice == "take":
        kinds, limit = dice.choice([["a"], ["a", "b"], ["b", "a", "b"]]), dice.randrange(4)
        found = board.take(at(seconds), kinds=kinds, limit=limit)
        assert found == naive.take(at(seconds), kinds, limit)
        return found
    elif choice == "put back" and taken:
        job = taken.pop(dice.randrange(len(taken)))
        board.put_back(job)
        if naive.jobs[job.id].rev == job.rev:
            naive.hidden.discard(job.id)
    elif choice == "move" and naive.jobs:
        job = moved(dice, naive.jobs[dice.choice(sorted(naive.jobs))], seconds)
        board.apply(job)
        naive.apply(job)
    return []


def moved(dice: Random, job, seconds):
    """Any step that its state permits; none from a completed one."""
    number = job.attempt + (job.status == "pending")
    retry_at = at(seconds + dice.choice([0, US, 4]))
    steps = {
        "pending": [attempt_started(seconds, attempt=number), job_cancelled(seconds)],
        "processing": [
            attempt_failed(seconds, attempt=number, retry_at=retry_at),
            job_completed(seconds, attempt=number),
            lease_renewed(seconds, attempt=number),
        ],
        "cancelled": [job_retried(seconds)],
        "completed": [],
    }[job.status]
    return after(job, dice.choice(steps)) if steps else job
