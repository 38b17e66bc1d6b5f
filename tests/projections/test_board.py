"""The board hands out due jobs, best first, each once.

The examples name the rules one by one: order, the very instant, kinds, hiding, expiry, moving on.
Claims are not made here: for the board a claim is just the job's next event. What holds for paused
and limited kinds is in `test_board_kinds`, what a board of many jobs keeps in `test_board_size`,
and a model of all of it in `test_board_model`.
"""

import pytest

from projections.board import JobBoard
from projections.job import evolve
from tests.support.build import (
    HELD,
    NOON,
    US,
    at,
    attempt_failed,
    attempt_started,
    cancel_requested,
    folded,
    follow,
    job_cancelled,
    job_completed,
    job_created,
    job_failed,
    job_held,
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
    assert (take(board), board.next_due_at(["email"]), len(board), board.get("a")) == (
        [],
        None,
        0,
        None,
    )
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
    assert (len(board), board.get(job.id), board.next_due_at(["email"])) == (1, job, None)


def test_a_job_that_was_put_back_is_handed_out_again():
    job = pending_job()
    board = board_of(job)
    take(board)
    board.put_back(job)
    assert board.next_due_at(["email"]) == NOON
    assert take(board) == [job.id]
    assert take(board) == []


@pytest.mark.parametrize(("limit", "told"), [(0, 0), (2, 2), (3, 3), (4, 3)])
def test_at_most_so_many_expired_jobs_are_told_and_the_others_next(limit, told):
    jobs = [pending_job(name, pos=pos, expires_at=at(60 - pos)) for pos, name in enumerate("abc")]
    board = board_of(*jobs)
    oldest_first = jobs[::-1]
    assert board.expired(at(60), limit=limit) == oldest_first[:told]
    assert board.expired(at(60), limit=9) == oldest_first[told:]


def test_jobs_that_moved_on_do_not_count_as_told():
    jobs = [pending_job(name, pos=pos, expires_at=at(60)) for pos, name in enumerate("abc")]
    board = board_of(*jobs)
    for job in jobs[:2]:
        board.apply(after(job, job_cancelled(1)))
    assert board.expired(at(60), limit=1) == jobs[2:]


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


def test_what_has_moved_on_is_never_handed_out():
    """Neither what was due nor what waited for its time."""
    claimed, cancelled, waiting = (pending_job(n, pos=p) for p, n in enumerate("abc", 1))
    later = pending_job("d", pos=4, run_at=at(50))
    board = board_of(claimed, cancelled, waiting, later)
    assert take(board, limit=0) == []
    board.apply(after(claimed, attempt_started(1)))
    board.apply(after(cancelled, job_cancelled(1)))
    board.apply(after(waiting, attempt_started(1), attempt_failed(2, retry_at=at(60))))
    board.apply(after(later, job_cancelled(1)))
    assert board.next_due_at(["email"]) == at(60)
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
    assert board.next_due_at(["email"]) == at(10)
    take(board, 10)
    assert board.next_due_at(["email"]) == at(20)
    take(board, 99)
    assert board.next_due_at(["email"]) is None


def test_a_job_without_a_time_is_kept_and_not_handed_out():
    """As between the two events of giving up, should a page end there."""
    job = folded(job_created(), attempt_started(1), attempt_failed(2, retry_at=None))
    board = board_of(job)
    assert (take(board, 1e9), board.next_due_at(["email"]), board.get(job.id)) == ([], None, job)
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


def test_running_jobs_that_shall_stop_are_listed_while_they_run():
    job = running_job()
    board = board_of(job)
    assert board.cancelling() == []
    asked = after(job, cancel_requested(15))
    board.apply(asked)
    assert (board.cancelling(), board.running()) == ([asked], [asked])
    renewed = after(asked, lease_renewed(20))
    board.apply(renewed)
    assert board.cancelling() == [renewed]
    board.apply(after(renewed, attempt_failed(30), job_cancelled(30)))
    assert (board.cancelling(), board.running()) == ([], [])


# expiry


@pytest.mark.parametrize(
    ("seconds", "startable"), [(60 - US, True), (60, False), (60 + US, False)], ids=["-1", "0", "1"]
)
def test_a_job_is_handed_out_until_it_expires_and_told_from_then_on(seconds, startable):
    job = pending_job(expires_at=at(60))
    assert (take(board_of(job), seconds) == [job.id]) is startable
    assert board_of(job).expired(at(seconds), limit=9) == ([] if startable else [job])


def test_an_expired_job_is_in_nobodys_way():
    board = board_of(pending_job("a", pos=1, expires_at=at(5)), pending_job("b", pos=2))
    assert take(board, 5, limit=1) == ["b"]


def test_an_expired_job_is_told_once_and_again_if_it_is_kept_in_mind():
    job = pending_job(expires_at=at(60))
    board = board_of(job)
    assert board.expired(at(60), limit=9) == [job]
    assert board.expired(at(61), limit=9) == []
    board.keep_in_mind(job)
    board.keep_in_mind(after(job, job_cancelled(61)))
    assert board.expired(at(62), limit=9) == [job]


@pytest.mark.parametrize(
    "moved_by",
    [
        [attempt_started(1)],
        [job_cancelled(1)],
        [attempt_started(1), attempt_failed(2), job_failed(2), job_retried(3)],
    ],
    ids=["claimed", "cancelled", "retried"],
)
def test_a_job_that_moved_on_has_not_expired(moved_by):
    job = pending_job(expires_at=at(60))
    board = board_of(job)
    board.apply(after(job, *moved_by))
    board.keep_in_mind(job)
    assert board.expired(at(99), limit=9) == []


@pytest.mark.parametrize(
    "past",
    [
        [attempt_started(1), attempt_failed(2, retry_at=at(9999))],
        [attempt_started(1), attempt_failed(2, reason="unknown"), job_held(2)],
    ],
    ids=["waiting", "held"],
)
def test_a_job_expires_whatever_it_waits_for(past):
    job = after(pending_job(expires_at=at(60)), *past)
    assert board_of(job).expired(at(60), limit=9) == [job]


def test_to_keep_an_expired_job_in_mind_does_not_put_it_back():
    """Two entries of one revision would be two hand-outs, should the clock be set back."""
    job = pending_job(expires_at=at(60))
    board = board_of(job)
    assert take(board, 59) == [job.id]
    assert board.expired(at(60), limit=9) == [job]
    board.keep_in_mind(job)
    assert take(board, 59) == []


def test_a_job_is_put_back_once():
    job = pending_job()
    board = board_of(job)
    take(board)
    board.put_back(job)
    board.put_back(job)
    assert take(board) == [job.id]
    assert take(board) == []


def test_a_held_job_is_not_handed_out_until_it_is_retried():
    job = folded(*HELD)
    board = board_of(job)
    assert (take(board, 1e6), board.next_due_at(["email"])) == ([], None)
    board.apply(after(job, job_retried(50)))
    assert take(board, 50) == [job.id]
