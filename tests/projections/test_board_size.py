"""A board of many jobs: what it keeps of them, what it reads back, and that no look at it does much
at a time.

What it hands out is in `test_board`; that it is the same whatever is kept, in `test_board_model`.
"""

from random import Random

import pytest

from projections.board import JobBoard
from tests.projections.test_board import after, board_of, take
from tests.support.build import NOON, US, at, job_cancelled, pending_job


@pytest.mark.parametrize("data", [{"run_at": at(1e8)}, {"expires_at": at(1e8)}, {}])
def test_a_board_grows_with_the_jobs_that_are_open_and_not_with_those_that_were(data):
    """Nobody asks for their kind, their time is far off, and still they leave nothing behind."""
    board = JobBoard()
    for pos in range(1, 1001):
        job = pending_job(f"j{pos}", pos=pos, **data)
        board.apply(job)
        board.take(at(0), kinds=["other"], limit=1)
        board.apply(after(job, job_cancelled(1)))
    assert entries(board) == 0


def test_a_job_that_cannot_be_claimed_for_long_leaves_one_entry_and_not_one_a_try():
    job = pending_job(expires_at=at(1e8))
    board = board_of(job)
    for _ in range(1000):
        assert take(board) == [job.id]
        board.put_back(job)
    assert entries(board) == 2


def test_of_many_jobs_a_few_are_kept_whole_and_the_others_read_back_in_groups(monkeypatch):
    monkeypatch.setattr("projections.board.KEPT_MAX", 2)
    monkeypatch.setattr("projections.board.RECALLED", 3)
    jobs = {f"j{pos}": pending_job(f"j{pos}", pos=pos) for pos in range(1, 9)}
    asked = []

    def recall(waiting):
        asked.append([each.id for each in waiting])
        return [jobs[each.id] for each in waiting]

    board = JobBoard()
    board.recall_by(recall)
    for job in jobs.values():
        board.apply(job)
    assert list(board._kept) == ["j7", "j8"]
    assert board.take(NOON, kinds=["email"], limit=2) == [jobs["j1"], jobs["j2"]]
    assert asked == [["j1", "j2", "j3", "j4", "j5"]]
    assert board.get("j6") == jobs["j6"]
    assert take(board, limit=9) == ["j3", "j4", "j5", "j6", "j7", "j8"]
    assert asked[1:] == [["j6"], ["j3", "j6", "j7", "j8"]]


@pytest.mark.parametrize("seconds", [60 - US, 60, 60 + US], ids=["-1us", "0", "+1us"])
def test_a_clock_that_was_set_back_makes_a_due_job_wait_again(seconds):
    job = pending_job(seconds=60)
    board = board_of(job)
    assert take(board, seconds) == ([] if seconds < 60 else [job.id])
    if seconds < 60:
        assert board.next_due_at(["email"]) == at(60)
        assert take(board, 60) == [job.id]


def test_what_becomes_due_at_one_moment_is_looked_at_in_slices(monkeypatch):
    monkeypatch.setattr("projections.board.MOVED_MAX", 2)
    board = board_of(*(pending_job(f"j{pos}", pos=pos, run_at=at(60)) for pos in range(1, 6)))
    for found in (["j1", "j2"], ["j3", "j4"], ["j5"]):
        assert board.next_due_at(["email"]) == at(60), "who asks again gets more"
        assert take(board, 60) == found
    assert board.next_due_at(["email"]) is None


def test_of_many_that_have_expired_a_look_passes_over_a_slice(monkeypatch):
    monkeypatch.setattr("projections.board.MOVED_MAX", 2)
    late = [pending_job(f"j{pos}", pos=pos, expires_at=at(5)) for pos in range(1, 6)]
    board = board_of(*late, pending_job("last", pos=9))
    assert [take(board, 5) for _ in range(3)] == [[], [], ["last"]]
    assert board.expired(at(5), limit=9) == late


@pytest.mark.parametrize("seed", range(5))
def test_jobs_that_move_on_leave_the_others_in_their_order(seed):
    dice = Random(seed)
    board, times = JobBoard(), {}
    for pos, seconds in enumerate(dice.sample(range(1, 100_000), 400), 1):
        job = pending_job(f"j{pos}", pos=pos, run_at=at(seconds), expires_at=at(seconds + 0.5))
        board.apply(job)
        if dice.random() < 0.2:
            times[job.id] = seconds
        else:
            board.apply(after(job, job_cancelled(0)))
    assert entries(board) == 2 * len(times)
    for job_id, seconds in sorted(times.items(), key=lambda item: item[1]):
        assert board.next_due_at(["email"]) == at(seconds)
        assert take(board, seconds, limit=1) == [job_id]
        assert [job.id for job in board.expired(at(seconds + 0.5), limit=9)] == [job_id]


def entries(board):
    return sum(map(len, (board._scheduled, board._expiring, *board._due.values())))
