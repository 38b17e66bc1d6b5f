"""The board when whole jobs cannot be read back, and when a look has to end before all was seen.

Which jobs are due, and who goes first, is told in `test_board`.
"""

import sqlite3

import pytest

from projections import board as module
from projections.board import MOVED_MAX, JobBoard
from projections.kind import Kind
from tests.projections.test_board import after
from tests.support.build import NOON, at, job_cancelled, pending_job

EMAIL = ["email"]


class Shelf:
    """Where whole jobs are read back, or not."""

    def __init__(self, number: int) -> None:
        self.jobs = {f"j{pos}": pending_job(f"j{pos}", pos=pos) for pos in range(1, number + 1)}
        self.broken = False

    def __call__(self, wanted):
        if self.broken:
            raise sqlite3.OperationalError("disk I/O error")
        return [self.jobs[each.id] for each in wanted]


@pytest.fixture
def shelf(monkeypatch) -> Shelf:
    monkeypatch.setattr(module, "KEPT_MAX", 1)
    return Shelf(5)


def filled(shelf: Shelf, **kind) -> JobBoard:
    board = JobBoard()
    board.recall_by(shelf)
    if kind:
        board.apply_kind(Kind("email", **kind))
    for job in shelf.jobs.values():
        board.apply(job)
    return board


def test_jobs_that_cannot_be_read_are_handed_out_later(shelf):
    board = filled(shelf)
    shelf.broken = True
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError):
            board.take(NOON, kinds=EMAIL, limit=3)
    assert board.due(NOON) == 5
    shelf.broken = False
    taken = board.take(NOON, kinds=EMAIL, limit=9)
    assert [job.id for job in taken] == ["j1", "j2", "j3", "j4", "j5"]


def test_what_could_not_be_read_takes_no_place_in_its_kind(shelf):
    board = filled(shelf, concurrency=3)
    shelf.broken = True
    with pytest.raises(sqlite3.OperationalError):
        board.take(NOON, kinds=EMAIL, limit=9)
    shelf.broken = False
    assert len(board.take(NOON, kinds=EMAIL, limit=9)) == 3
    for job in shelf.jobs.values():
        board.apply(after(job, job_cancelled(1)))
    assert board._busy["email"] == 0


def test_expired_jobs_that_cannot_be_read_are_told_later(shelf):
    shelf.jobs = {
        f"j{pos}": pending_job(f"j{pos}", pos=pos, expires_at=at(10)) for pos in range(1, 6)
    }
    board = filled(shelf)
    shelf.broken = True
    with pytest.raises(sqlite3.OperationalError):
        board.expired(at(10), limit=9)
    shelf.broken = False
    assert len(board.expired(at(10), limit=9)) == 5
    assert board.expired(at(10), limit=9) == []


@pytest.mark.parametrize("expired", [MOVED_MAX - 1, MOVED_MAX, MOVED_MAX + 1, 2 * MOVED_MAX + 1])
def test_who_looks_past_many_expired_jobs_is_told_to_look_again_at_once(expired):
    board = JobBoard()
    for pos in range(1, expired + 1):
        board.apply(pending_job(f"e{pos}", pos=pos, expires_at=at(10)))
    board.apply(pending_job("live", pos=9_999))
    looks = 0
    while not (taken := board.take(at(20), kinds=EMAIL, limit=1)):
        looks += 1
        assert board.next_due_at(EMAIL) <= at(20)
    assert [job.id for job in taken] == ["live"]
    assert looks == expired // MOVED_MAX
    assert board.next_due_at(EMAIL) is None
