"""In the kit time is the test's: nothing happens but in `drain` and `advance`, and then at exactly
the instant at which it is due.

Boundaries are tried a microsecond before, at, and after. That the loop below keeps its own promises
is tested in `tests/support/test_loop.py`.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from service import Attempt, processor
from service.processors import remote_kind
from service.testing import StillRunningError, passing, service
from tests.service.testing.kinds import plain, work

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_job_that_was_just_posted_is_pending_however_often_one_looks():
    with service(work) as s:
        job_id = s.post("work", {})
        assert [s.job(job_id).status for _ in range(20)] == ["pending"] * 20
        s.drain()
        assert s.job(job_id).status == "completed"


def test_time_begins_where_the_test_says():
    with service(work, start="2028-02-29T23:59:59Z") as s:
        assert s.now == datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)
        s.advance(1)
        assert s.now == datetime(2028, 3, 1, tzinfo=UTC)


def test_every_clock_tells_the_same_time():
    with service(work) as s:
        job_id = s.post("work", {"sleep_s": 50})
        s.advance(10)
        assert s.now == NOON + timedelta(seconds=10)
        assert datetime.now(UTC) == s.now
        assert time.time() == s.now.timestamp()
        s.drain()
        done = s.job(job_id).result
        assert done["at"] == "2026-11-23T12:00:50+00:00"
        assert (done["time"], done["loop"]) == (s.now.timestamp(), 50)


def test_drain_runs_all_that_is_due_to_its_end_and_lets_time_pass_for_it():
    with service(work, concurrency=2) as s:
        ids = [s.post("work", {"sleep_s": 20}) for _ in range(5)]
        s.drain()
        assert [s.job(each).status for each in ids] == ["completed"] * 5
        assert s.now == NOON + timedelta(seconds=60)


def test_drain_leaves_what_waits_for_a_later_time():
    with service(work) as s:
        s.post("work", {})
        later = s.post("work", {}, delay=0.000001)
        s.drain()
        assert [job.id for job in s.jobs(status="pending")] == [later]
        assert s.now == NOON


def test_drain_runs_what_becomes_due_while_something_else_runs():
    with service(work) as s:
        s.post("work", {"sleep_s": 20})
        meanwhile = s.post("work", {}, delay=20)
        too_late = s.post("work", {}, delay=20.000001)
        s.drain()
        assert s.job(meanwhile).status == "completed"
        assert s.job(too_late).status == "pending"


def test_drain_with_nothing_to_do_returns_at_once():
    with service(work) as s:
        s.drain()
        assert s.now == NOON


def test_drain_that_comes_to_no_end_says_what_runs(monkeypatch):
    monkeypatch.setattr(passing, "DRAIN_S_MAX", 20)
    with service(work) as s:
        job_id = s.post("work", {"sleep_s": 30})
        with pytest.raises(StillRunningError, match=rf"work {job_id} \(attempt 1\)"):
            s.drain()


@pytest.mark.parametrize(
    ("advanced", "status"),
    [(59.999999, "pending"), (60, "completed"), (60.000001, "completed")],
)
def test_what_is_due_in_a_minute_runs_when_that_has_passed(advanced, status):
    with service(work) as s:
        job_id = s.post("work", {}, delay=60)
        s.advance(advanced)
        assert s.job(job_id).status == status
        assert s.now == NOON + timedelta(seconds=advanced)


def test_what_becomes_due_runs_at_its_time_and_not_at_the_end():
    with service(work) as s:
        ids = [s.post("work", {}, delay=delay) for delay in (7200, 10.5, 86_400)]
        s.advance(timedelta(days=1))
        started = [s.job(each).started_at for each in ids]
    assert started == [
        "2026-11-23T14:00:00.000000Z",
        "2026-11-23T12:00:10.500000Z",
        "2026-11-24T12:00:00.000000Z",
    ]


def test_an_attempt_that_is_under_way_when_the_time_is_over_still_is():
    with service(work) as s:
        job_id = s.post("work", {"sleep_s": 30})
        s.advance(29.999999)
        assert s.job(job_id).status == "processing"
        s.advance(0.000001)
        assert s.job(job_id).status == "completed"


def test_to_advance_by_nothing_begins_what_is_due():
    with service(work) as s:
        job_id = s.post("work", {"sleep_s": 1})
        s.advance(0)
        assert (s.job(job_id).status, s.now) == ("processing", NOON)


def test_time_does_not_go_back():
    with service(work) as s, pytest.raises(ValueError, match="does not go back"):
        s.advance(-1)


def test_a_year_of_waiting_costs_nothing():
    before = time.perf_counter()
    with service(work) as s:
        job_id = s.post("work", {}, delay=timedelta(days=360))
        s.advance(timedelta(days=365))
        assert s.job(job_id).started_at == "2027-11-18T12:00:00.000000Z"
    assert time.perf_counter() - before < 5


def test_a_backoff_is_waited_for_and_no_longer():
    with service(work) as s:
        job_id = s.post("work", {"failures": 2, "retry_after_s": 60})
        s.drain()
        s.advance(59.999999)
        assert s.job(job_id).attempts == 1
        s.advance(0.000001)
        assert s.job(job_id).attempts == 2
        s.advance(60)
        assert s.job(job_id).status == "completed"


def test_a_time_out_takes_no_time():
    with service(work) as s:
        job_id = s.post("work", {"sleep_s": 3600}, max_attempts=1)
        s.drain()
        assert s.now == NOON + timedelta(seconds=60)
        assert s.job(job_id).last_error.reason == "timeout"


def test_an_hours_work_keeps_its_lease():
    with service(work) as s:
        job_id = s.post("work", {"sleep_s": 3600}, timeout=timedelta(hours=2))
        s.drain()
        assert (s.job(job_id).status, s.job(job_id).attempts) == ("completed", 1)


def test_a_due_job_that_nobody_takes_neither_ends_drain_nor_hurries_time():
    """A kind that only remote workers run."""
    with service(work, remote_kind("thumbnail")) as s:
        remote = s.post("thumbnail", {})
        due = s.post("work", {}, delay=90)
        s.drain()
        s.advance(100)
        assert (s.job(remote).status, s.job(due).status) == ("pending", "completed")
        assert s.job(due).started_at == "2026-11-23T12:01:30.000000Z"


def test_what_is_meant_for_a_thread_runs_in_no_time_that_passes():
    @processor("threaded", timeout=10)
    async def threaded(payload: int, attempt: Attempt) -> int:
        return await asyncio.to_thread(lambda: payload + 1)

    with service(threaded) as s:
        job_id = s.post("threaded", 6)
        s.drain()
        assert (s.job(job_id).result, s.now) == (7, NOON)


def test_a_plain_function_runs_too():
    with service(plain) as s:
        job_id = s.post("plain", {"a": 1})
        s.drain()
        assert s.job(job_id).result == [{"a": 1}, 1]
