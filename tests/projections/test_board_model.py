"""The board against a model that keeps no heaps and no counts, and looks at everything whenever it
is asked; both go through the same random days.

The model is as slow as it is plain: it sorts all jobs for each one it hands out, counts who is at
work from the jobs themselves, and paces a kind anew from its starts. What each rule means is in
`test_board` and `test_board_kinds`.
"""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.timestamp import seconds_between
from projections.board import JobBoard
from projections.job import evolve
from projections.kind import Kind, after_start, evolve_kind, paced, stream_of
from projections.table import MEMORY
from tests.projections.tables import flush, opened
from tests.support.build import (
    US,
    at,
    attempt_failed,
    attempt_started,
    cancel_requested,
    follow,
    job_cancelled,
    job_completed,
    job_failed,
    job_held,
    job_retried,
    kind_limited,
    kind_paused,
    kind_resumed,
    lease_renewed,
    pending_job,
    record,
)

KINDS = ["a", "b"]


class NaiveBoard:
    """The same without heaps."""

    def __init__(self):
        self.jobs = {}
        self.kinds = {name: Kind(name) for name in KINDS}
        self.taken = {}  # id -> the job as it was handed out, and when

    def apply(self, job):
        self.jobs[job.id] = job
        self.taken.pop(job.id, None)

    def put_back(self, job):
        if job.id in self.taken and self.jobs[job.id].rev == job.rev:
            del self.taken[job.id]

    def take(self, now, kinds, limit):
        found = []
        while len(found) < limit:
            due = [job for job in self.jobs.values() if job.kind in kinds and self.may(job, now)]
            if not due:
                break
            job = min(due, key=lambda job: (-job.priority, job.run_at, job.created_pos))
            self.taken[job.id] = (job, now)
            found.append(job)
        return found

    def may(self, job, now):
        return (
            job.is_due(now)
            and job.id not in self.taken
            and not job.is_expired(now)
            and self.opens(job.kind)
            and self.next_start_at(job.kind) <= now
        )

    def opens(self, name):
        kind = self.kinds[name]
        full = kind.concurrency is not None and self.busy(name) >= kind.concurrency
        return kind.pause is None and not full

    def busy(self, name):
        return sum(
            job.kind == name and (job.status == "processing" or job.id in self.taken)
            for job in self.jobs.values()
        )

    def next_start_at(self, name):
        kind = self.kinds[name]
        time = kind.next_start_at
        for job, taken_at in self.taken.values():
            if kind.rate and job.kind == name:
                time = paced(kind.rate, time, taken_at)
        return time

    def waits_until(self, now):
        """The earliest that is not due yet at the time last asked about."""
        times = [job.next_attempt_at for job in self.jobs.values() if job.next_attempt_at]
        return min((time for time in times if time > now), default=None)


class Day:
    """Random events for both boards."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.board, self.naive = JobBoard(), NaiveBoard()
        self.board.recall_by(lambda waiting: [self.naive.jobs[each.id] for each in waiting])
        self.seconds, self.pos = 0.0, 0
        self.handed_out = []

    def go_on(self):
        self.pos += 100
        self.seconds += self.dice.choice([0, 0, US, 1, 5])
        step = self.dice.choice(
            [self.create, self.create, self.take, self.take, self.put_back,
             self.move, self.move, self.decide, self.expire]
        )  # fmt: skip
        step()

    def create(self):
        expires = {"expires_at": at(self.seconds + 3)} if self.dice.random() < 0.3 else {}
        job = pending_job(
            f"j{self.pos}",
            pos=self.pos,
            seconds=self.seconds,
            kind=self.dice.choice(KINDS),
            priority=self.dice.randrange(3),
            run_at=at(self.seconds + self.dice.choice([-1, 0, US, 3])),
            **expires,
        )
        self.apply(job)

    def apply(self, job):
        self.naive.apply(job)
        self.board.apply(job)

    def take(self):
        kinds = self.dice.choice([["a"], ["a", "b"], ["b", "a", "b"]])
        limit, now = self.dice.choice([0, 1, 2, 3, 1000]), at(self.seconds)
        found = self.board.take(now, kinds=kinds, limit=limit)
        assert found == self.naive.take(now, kinds, limit)
        self.handed_out += found
        next_due_at = self.board.next_due_at(kinds)
        if limit == 1000:
            assert next_due_at is None or next_due_at > now, "or who waits for it would spin"

    def put_back(self):
        if self.handed_out:
            job = self.handed_out.pop(self.dice.randrange(len(self.handed_out)))
            self.board.put_back(job)
            self.naive.put_back(job)

    def move(self):
        """Any step that a job's state permits; none from a completed one."""
        if self.naive.jobs:
            job = self.naive.jobs[self.dice.choice(sorted(self.naive.jobs))]
            steps = self.steps_from(job)
            for new in self.dice.choice(steps) if steps else []:
                event = follow(job, new)
                job = evolve(job, event)
                self.apply(job)
                if event.type == "AttemptStarted":
                    kind = self.naive.kinds[job.kind]
                    self.naive.kinds[job.kind] = after_start(kind, event.time)
                    self.board.started(job.kind, event.time)

    def steps_from(self, job):
        seconds, number = self.seconds, job.attempt
        retry_at = at(seconds + self.dice.choice([0, US, 4]))
        doubt = attempt_failed(seconds, attempt=number, reason="unknown")
        gone = attempt_failed(seconds, attempt=number)
        return {
            "pending": [
                [attempt_started(seconds, attempt=number + 1)],
                [attempt_started(seconds, attempt=number + 1)],
                [job_cancelled(seconds)],
                [job_retried(seconds)],
            ],
            "processing": [
                [attempt_failed(seconds, attempt=number, retry_at=retry_at)],
                [doubt, job_held(seconds, attempt=number)],
                [gone, job_failed(seconds, attempt=number)],
                [job_completed(seconds, attempt=number)],
                [lease_renewed(seconds, attempt=number)],
                [cancel_requested(seconds)],
            ],
            "failed": [[job_retried(seconds)]],
            "cancelled": [[job_retried(seconds)]],
            "completed": [],
        }[job.status]

    def decide(self):
        """An operator decides about a kind."""
        name = self.dice.choice(KINDS)
        kind = self.naive.kinds[name]
        rate = self.dice.choice([None, (1, 2.0), (3, 1.0), (2, 0.000003)])
        limited = kind_limited(self.seconds, concurrency=self.dice.choice([None, 1, 2]), rate=rate)
        new = self.dice.choice([limited, limited, kind_paused(self.seconds), kind_resumed()])
        [event] = record(new, stream=stream_of(name), rev=kind.rev + 1, pos=self.pos)
        self.naive.kinds[name] = evolve_kind(self.board.kind(name), event)
        self.board.apply_kind(self.naive.kinds[name])

    def expire(self):
        limit = self.dice.choice([1, 2, 99])
        expired = self.board.expired(at(self.seconds), limit=limit)
        assert len(expired) <= limit
        for job in expired:
            assert job == self.naive.jobs[job.id]
            assert job.is_expired(at(self.seconds))
            assert job.status == "pending"
            if self.dice.random() < 0.5:
                self.board.keep_in_mind(job)
            else:
                end = job_failed(self.seconds, attempt=job.attempt, reason="expired")
                self.apply(evolve(job, follow(job, end)))

    def check(self):
        """What must hold after every step."""
        board, naive, now = self.board, self.naive, at(self.seconds)
        assert board.take(now, kinds=KINDS, limit=0) == [], "it is told the time"
        waits = [board.next_due_at([]), naive.waits_until(now)]
        assert waits[0] == waits[1]
        for name in KINDS:
            assert board._busy[name] == naive.busy(name)
            assert board.kind(name) == naive.kinds[name]
            if naive.kinds[name].rate:
                assert board._next_start_at[name] == naive.next_start_at(name)
        assert board.due(now) == sum(job.is_due(now) for job in naive.jobs.values())
        assert len(board) == sum(job.is_open for job in naive.jobs.values())
        running = [job for job in naive.jobs.values() if job.status == "processing"]
        assert ids(board.running()) == ids(running)
        for job in naive.jobs.values():
            assert board.get(job.id) == (job if job.is_open else None)
        assert ids(board.cancelling()) == ids(job for job in running if job.cancel_requested_at)


def ids(jobs):
    return sorted(job.id for job in jobs)


@given(st.randoms(use_true_random=False), st.integers(1, 80))
def test_a_board_agrees_with_a_plain_list_on_any_day(dice, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("projections.board.KEPT_MAX", dice.choice([0, 3, 10_000]))
        patch.setattr("projections.ordered.PART_MAX", dice.choice([2, 64]))
        day = Day(dice)
        for _ in range(steps):
            day.go_on()
            day.check()


@given(st.randoms(use_true_random=False), st.integers(1, 80))
def test_a_board_that_begins_from_a_table_gives_out_what_one_that_saw_it_all_does(dice, steps):
    day = Day(dice)
    for _ in range(steps):
        day.go_on()
    with pytest.MonkeyPatch.context() as patch, opened(MEMORY) as table:
        patch.setattr("projections.table.WAITING_ROWS", dice.choice([1, 3, 1_000]))
        flush(table, 1, *day.naive.jobs.values())
        begun, saw = JobBoard(), JobBoard()
        begun.recall_by(table.recall)
        begun.begin(table.waiting(), passed=table.newest_at())
        for job in day.naive.jobs.values():
            saw.apply(job)
            if job.status == "processing":
                begun.apply(job)
        assert len(begun) == len(saw)
        for seconds in (day.seconds, day.seconds + 3, day.seconds + 9):
            limit = dice.choice([1, 5, 99])
            found = [board.take(at(seconds), kinds=KINDS, limit=limit) for board in (begun, saw)]
            assert found[0] == found[1]
            found = [board.expired(at(seconds), limit=limit) for board in (begun, saw)]
            assert found[0] == found[1]
            assert begun.next_due_at(KINDS) == saw.next_due_at(KINDS)


@given(
    st.randoms(use_true_random=False),
    st.integers(1, 7),
    st.floats(0.000_001, 100, allow_nan=False),
)
def test_no_stretch_of_a_rates_time_has_more_starts_than_it_allows(dice, count, per_s):
    """Whatever is put back, told late, or forgotten by a restart in between."""
    board = JobBoard()
    limit = record(kind_limited(rate=(count, per_s)), stream=stream_of("email"))
    kind = evolve_kind(None, limit[0])
    board.apply_kind(kind)
    jobs = [pending_job(f"j{pos}", pos=pos) for pos in range(1, 40)]
    for job in jobs:
        board.apply(job)
    seconds, started, claimed = 0.0, [], []
    for _ in range(60):
        seconds += dice.choice([0, US, per_s / count / 2, per_s / count, per_s])
        for job in board.take(at(seconds), kinds=["email"], limit=dice.randrange(1, 4)):
            if dice.random() < 0.2:
                board.put_back(job)
            else:
                claimed.append((job, seconds))
                started.append(at(seconds))
        if dice.random() < 0.5:
            for job, when in claimed:
                event = follow(job, attempt_started(when))
                board.apply(evolve(job, event))
                kind = board.started("email", event.time)
            claimed.clear()
            if dice.random() < 0.2:
                board = restarted(board, kind)
    for first, next_one in zip(started, started[count:], strict=False):
        assert seconds_between(first, next_one) >= round(per_s, 6)


def restarted(board, kind):
    """Another process, from what this one would have saved."""
    fresh = JobBoard()
    fresh.apply_kind(kind)
    for job_id in [*board._waiting, *board._running]:
        fresh.apply(board.get(job_id))
    return fresh
