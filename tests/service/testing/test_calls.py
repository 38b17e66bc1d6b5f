"""What a test can tell and ask: posting as over HTTP, looking at jobs, and being told clearly what
was wrong.

Payloads and options go through the application itself, so what is tried here is that the kit hands
them over whole and gives its refusals back.
"""

import asyncio
import logging
from datetime import datetime, timedelta

import pytest

from service import Attempt, processor
from service.refusals import JobNotFoundError
from service.testing import Refused, RunningLoopError, TimeIsFrozenError, service
from service.testing.loop import virtual_time
from tests.service.testing.kinds import Order, plain, work


@pytest.mark.parametrize(
    ("payload", "options", "pointer"),
    [
        ({"sleep_s": "long"}, {}, "#/sleep_s"),
        ({"colour": "red"}, {}, "#/colour"),
        ([], {}, "#"),
        ({}, {"max_attempts": 0}, "?max_attempts"),
        ({}, {"delay": -1}, "?delay"),
        ({}, {"maximum": 3}, "?maximum"),
        ({}, {"delay": 1, "run_at": "2026-11-24T00:00:00Z"}, "?delay"),
    ],
)
def test_what_the_api_would_refuse_is_refused_with_its_place(payload, options, pointer):
    with service(work) as s:
        with pytest.raises(Refused, match="POST /jobs/work: 422 ") as caught:
            s.post("work", payload, **options)
        assert (caught.value.status, caught.value.pointers) == (422, [pointer])
        assert pointer in str(caught.value)
        assert s.jobs() == []


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with service(work, plain) as s, pytest.raises(Refused, match="plain, work") as caught:
        s.post("wrok", {})
    assert (caught.value.status, caught.value.pointers) == (404, [])


def test_the_options_of_a_job_are_those_of_the_api():
    with service(work) as s:
        at = s.now + timedelta(hours=1)
        job = s.job(s.post("work", {}, run_at=at, priority=7, max_attempts=9, timeout=0.5))
        assert (job.run_at, job.priority, job.max_attempts) == (
            "2026-11-23T13:00:00.000000Z",
            7,
            9,
        )
        again = s.job(s.post("work", {}, delay=timedelta(minutes=90)))
        assert again.run_at == "2026-11-23T13:30:00.000000Z"


def test_a_payload_may_be_given_as_its_type():
    with service(work) as s:
        assert s.job(s.post("work", Order(failures=2))).payload["failures"] == 2


def test_a_key_makes_one_job():
    with service(work) as s:
        assert s.post("work", {}, key="a key") == s.post("work", {}, key="a key")
        with pytest.raises(Refused, match="422"):
            s.post("work", {"failures": 1}, key="a key")


def test_jobs_are_listed_the_newest_first_and_all_of_them():
    with service(work, plain) as s:
        posted = [s.post("work", {}) for _ in range(70)]
        other = s.post("plain", None)
        assert [job.id for job in s.jobs()] == [other, *reversed(posted)]
        assert [job.id for job in s.jobs(kind="plain")] == [other]
        assert s.jobs(status="failed") == []


def test_a_status_that_there_is_not_is_refused():
    with service(work) as s, pytest.raises(Refused) as caught:
        s.jobs(status="done")
    assert caught.value.pointers == ["?status"]


def test_a_pending_job_is_cancelled_and_opened_again():
    with service(work) as s:
        job_id = s.post("work", {})
        assert s.cancel(job_id, "not wanted").status == "cancelled"
        s.drain()
        assert s.job(job_id).status == "cancelled"
        assert s.retry(job_id).status == "pending"
        s.drain()
        assert s.job(job_id).status == "completed"
        assert [event.type for event in s.history(job_id)] == [
            "JobCreated", "JobCancelled", "JobRetried", "AttemptStarted", "JobCompleted",
        ]  # fmt: skip


def test_what_a_jobs_state_does_not_permit_is_refused():
    with service(work) as s:
        job_id = s.post("work", {})
        s.drain()
        with pytest.raises(Refused, match="409") as caught:
            s.cancel(job_id)
        assert caught.value.status == 409


def test_a_job_that_never_was_is_not_found():
    with service(work) as s:
        for ask in (s.job, s.cancel, s.retry):
            with pytest.raises(Refused, match="404"):
                ask("01a20846-fe00-7564-956a-ca3a9fcea2a9")
        with pytest.raises(JobNotFoundError):
            s.history("01a20846-fe00-7564-956a-ca3a9fcea2a9")


def test_any_other_call_of_the_api_is_answered():
    with service(work) as s:
        assert s.http("GET", "/livez").status == 200
        answer = s.http("POST", "/jobs/work", {"failures": 0}, {"Idempotency-Key": "k"})
        assert (answer.status, answer.headers["etag"]) == (202, '"1"')
        assert s.http("GET", answer.headers["location"]).json["kind"] == "work"
        assert s.http("POST", "/jobs/work", b"{").status == 400
        assert s.http("GET", "/nowhere").status == 404


def test_a_failed_attempt_raises_nothing_and_is_not_hidden(caplog):
    with service(work) as s:
        job_id = s.post("work", {"failures": 1})
        s.drain()
        [error] = s.errors
        assert (error.job_id, error.attempt, error.reason) == (job_id, 1, "error")
        assert (error.error_class, error.message) == ("ValueError", "no luck in attempt 1")
        assert 'kinds.py", line' in error.traceback
        assert "in work" in error.traceback
        assert s.job(job_id).last_error.message == "no luck in attempt 1"
        s.advance(3600)
        assert s.job(job_id).status == "completed"
        assert s.errors == [error]
    [record] = [each for each in caplog.records if each.name == "joblog.testing"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == str(error)


def test_a_permanent_failure_ends_the_job():
    with service(work) as s:
        job_id = s.post("work", {"failures": 9, "permanent": True})
        s.drain()
        assert (s.job(job_id).status, s.job(job_id).attempts) == ("failed", 1)


def test_the_same_seed_makes_the_same_log_and_another_seed_another():
    def lines(seed):
        with service(work, seed=seed) as s:
            job_id = s.post("work", {"failures": 2})
            s.advance(3600)
            return [event.line for event in s.history(job_id)]

    assert lines(1) == lines(1)
    assert lines(1) != lines(2)


def test_what_is_no_processor_is_refused_by_name():
    async def forgotten(payload: Order, attempt: object) -> None:
        """It has no decorator."""

    with pytest.raises(TypeError, match=r"forgotten.* is not a processor"), service(forgotten):
        pass


def test_a_kind_may_not_be_there_twice():
    with pytest.raises(ValueError, match="two processors for kind 'work'"), service(work, work):
        pass


def test_time_that_is_frozen_already_is_refused():
    with virtual_time(), pytest.raises(TimeIsFrozenError, match="frozen already"), service(work):
        pass


@pytest.mark.real_time
async def test_a_coroutine_cannot_hold_the_service():
    with pytest.raises(RunningLoopError, match="make this test a plain `def`"), service(work):
        pass


def test_what_the_test_raises_comes_out_and_time_is_real_again():
    def fails():
        with service(work) as s:
            s.post("work", {"sleep_s": 30})
            s.advance(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not hasattr(datetime, "tick")


def test_an_attempt_under_way_at_the_end_is_given_back():
    with service(work) as s:
        job_id = s.post("work", {"sleep_s": 50})
        s.advance(1)
        process = s._process
    [*_, last, sealed] = process.store._events
    assert (last.stream, last.type, last.data["reason"]) == (job_id, "AttemptFailed", "released")
    assert sealed.type == "LogSealed"


def test_a_fault_of_the_service_itself_comes_out_of_the_call_that_meets_it(monkeypatch):
    with service(work) as s:
        monkeypatch.setattr(s._process.service.projector, "apply", lambda _: 1 / 0)
        s.post("work", {})
        with pytest.raises(ExceptionGroup) as caught:
            s.drain()
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)


def test_a_processor_that_waits_for_nothing_is_timed_out_and_no_deadlock():
    @processor("waiting", timeout=5, max_attempts=1)
    async def waiting(payload: None, attempt: Attempt) -> None:
        await asyncio.Event().wait()

    with service(waiting) as s:
        job_id = s.post("waiting", None)
        s.drain()
        assert s.job(job_id).last_error.reason == "timeout"
