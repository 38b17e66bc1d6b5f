"""What the board gives out of kinds that are paused or limited: nothing, or what their limits
leave.

What runs and what was handed out both count, until the log says otherwise or it is put back; so a
limit holds even while claims are under way. Each rule is tried on both sides. All of them together
are in `test_board_model`.
"""

import pytest

from projections.board import JobBoard
from projections.job import evolve
from tests.support.build import (
    US,
    at,
    attempt_failed,
    attempt_started,
    follow,
    job_cancelled,
    job_completed,
    kind_folded,
    kind_limited,
    kind_paused,
    kind_resumed,
    pending_job,
)


def board_with(*decisions, count=10):
    """A board with due e-mails, and these decisions about them."""
    board = JobBoard()
    for pos in range(1, count + 1):
        board.apply(pending_job(f"j{pos}", pos=pos))
    if decisions:
        board.apply_kind(kind_folded(*decisions))
    return board


def take(board, seconds=0.0, kinds=("email",), limit=100):
    return [job.id for job in board.take(at(seconds), kinds=kinds, limit=limit)]


def start(board, job_id, seconds):
    """As the projector has it: the job's newest state, then that a job of its kind was started."""
    job = board.get(job_id)
    event = follow(job, attempt_started(seconds, attempt=job.attempt + 1))
    board.apply(evolve(job, event))
    board.started(job.kind, event.time)


def move(board, job_id, new):
    job = board.get(job_id)
    board.apply(evolve(job, follow(job, new)))


# pause


def test_a_paused_kind_gives_out_nothing_and_a_resumed_one_all():
    board = board_with(kind_paused(0))
    assert (take(board), board.next_due_at(["email"])) == ([], None)
    board.apply_kind(kind_folded(kind_paused(0), kind_resumed(5)))
    assert len(take(board, 5)) == 10


def test_a_paused_kind_is_in_no_other_kinds_way():
    board = board_with(kind_paused(0))
    board.apply(pending_job("other", pos=99, kind="report", priority=-9))
    assert take(board, kinds=["email", "report"]) == ["other"]


def test_what_waits_for_its_time_is_still_told_while_its_kind_is_paused():
    """It is no harm to look, and it may be resumed meanwhile."""
    board = board_with(kind_paused(0), count=0)
    board.apply(pending_job("late", run_at=at(60)))
    assert board.next_due_at(["email"]) == at(60)


# concurrency


def test_as_many_are_given_out_as_may_run_at_a_time():
    board = board_with(kind_limited(0, concurrency=3))
    assert take(board) == ["j1", "j2", "j3"]
    assert (take(board), board.next_due_at(["email"])) == ([], None)


@pytest.mark.parametrize(
    "end",
    [
        lambda board: move(board, "j1", job_completed(2)),
        lambda board: move(board, "j1", attempt_failed(2, retry_at=at(9))),
    ],
    ids=["completed", "failed"],
)
def test_a_place_is_free_when_an_attempt_has_ended_and_not_before(end):
    board = board_with(kind_limited(0, concurrency=1))
    assert take(board) == ["j1"]
    start(board, "j1", 1)
    assert take(board, 1) == []
    end(board)
    assert take(board, 2) == ["j2"]


def test_a_place_is_free_when_what_was_handed_out_is_put_back_or_gone():
    board = board_with(kind_limited(0, concurrency=2))
    [first, second] = board.take(at(0), kinds=["email"], limit=2)
    board.put_back(first)
    board.put_back(first)
    assert take(board) == ["j1"], "put back twice is once"
    move(board, second.id, job_cancelled(1))
    assert take(board, 1) == ["j3"]
    assert take(board, 1) == []


def test_a_lower_limit_stops_nothing_and_lets_nothing_start_until_enough_have_ended():
    board = board_with(kind_limited(0, concurrency=3))
    for job_id in take(board):
        start(board, job_id, 0)
    board.apply_kind(kind_folded(kind_limited(0, concurrency=3), kind_limited(1, concurrency=2)))
    move(board, "j1", job_completed(2))
    assert take(board, 2) == []
    move(board, "j2", job_completed(3))
    assert take(board, 3) == ["j4"]


def test_attempts_that_ran_before_there_was_a_limit_count():
    board = board_with()
    for job_id in take(board, limit=2):
        start(board, job_id, 0)
    board.apply_kind(kind_folded(kind_limited(1, concurrency=3)))
    assert take(board, 1) == ["j3"]


def test_each_kind_has_its_own_limit():
    board = board_with(kind_limited(0, concurrency=1))
    for pos in (101, 102):
        board.apply(pending_job(f"r{pos}", pos=pos, kind="report"))
    assert take(board, kinds=["email", "report"]) == ["j1", "r101", "r102"]


# rate


def test_starts_are_spread_evenly():
    board = board_with(kind_limited(0, rate=(2, 10)))
    assert take(board) == ["j1"]
    assert board.next_due_at(["email"]) == at(5)
    assert take(board, 5 - US) == []
    assert take(board, 5) == ["j2"]
    assert take(board, 10 + US) == ["j3"]
    assert board.next_due_at(["email"]) == at(15 + US)


def test_a_claim_that_was_recorded_does_not_count_twice():
    board = board_with(kind_limited(0, rate=(1, 10)))
    take(board)
    start(board, "j1", 0)
    assert board.next_due_at(["email"]) == at(10)
    assert take(board, 10) == ["j2"]


def test_a_claim_that_was_recorded_late_counts_from_then():
    board = board_with(kind_limited(0, rate=(1, 10)))
    take(board)
    start(board, "j1", 3)
    assert board.next_due_at(["email"]) == at(13)


def test_a_start_by_another_process_counts():
    board = board_with(kind_limited(0, rate=(1, 10)))
    start(board, "j5", 2)
    assert (take(board, 12 - US), take(board, 12)) == ([], ["j1"])


def test_what_was_put_back_was_no_start():
    """Else a full disk would cost a kind with one start a day that day."""
    board = board_with(kind_limited(0, rate=(1, 86_400)))
    [job] = board.take(at(0), kinds=["email"], limit=1)
    board.put_back(job)
    assert take(board, 1) == ["j1"]


def test_a_decision_about_the_kind_does_not_forget_what_was_handed_out_just_before():
    limits = kind_limited(0, rate=(1, 10))
    board = board_with(limits)
    assert take(board) == ["j1"]
    board.apply_kind(kind_folded(limits, kind_paused(0), kind_resumed(0)))
    assert take(board) == []
    assert board.next_due_at(["email"]) == at(10)


def test_a_rate_that_is_lifted_holds_nothing_back():
    limits = kind_limited(0, rate=(1, 10))
    board = board_with(limits)
    take(board)
    board.apply_kind(kind_folded(limits, kind_limited(1)))
    assert len(take(board, 1)) == 9


def test_nobody_waits_for_the_rate_of_a_kind_he_does_not_take():
    """Its jobs may be due and its rate open, and nobody is there for it: who waited would spin."""
    board = board_with(kind_limited(0, rate=(1, 10)))
    assert take(board, kinds=["report"]) == []
    assert board.next_due_at(["report"]) is None
    assert take(board) == ["j1"]
    assert board.next_due_at(["report"]) is None


def test_nobody_waits_for_the_rate_of_a_kind_that_has_no_due_job_or_is_full():
    board = board_with(kind_limited(0, rate=(1, 10), concurrency=1), count=2)
    assert take(board) == ["j1"]
    assert board.next_due_at(["email"]) is None, "it is full"
    move(board, "j2", job_cancelled(1))
    start(board, "j1", 1)
    move(board, "j1", job_completed(2))
    assert take(board, 11) == []
    assert board.next_due_at(["email"]) is None, "it has none"


def test_the_earliest_of_rates_and_appointments_is_next():
    board = board_with(kind_limited(0, rate=(1, 10)))
    take(board)
    board.apply(pending_job("soon", pos=99, kind="report", run_at=at(7)))
    assert board.next_due_at(["email", "report"]) == at(7)
    take(board, 7, kinds=["report"])
    assert board.next_due_at(["email", "report"]) == at(10)


def test_only_the_kinds_that_were_decided_about_are_listed():
    board = board_with(kind_paused(0))
    assert [kind.name for kind in board.kinds()] == ["email"]
    assert board.kind("report").pause is None
