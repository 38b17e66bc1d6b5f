"""What follows an attempt's failure beside another attempt: doubt, expiry, and a cancellation that
was asked for.

One table says it for every way an attempt may end, in three lives: nobody asked for anything, the
job has expired meanwhile, its cancellation was requested. The counting is in `test_failures`.
"""

from typing import get_args

import pytest

from projections.events import FailureReason
from projections.job import Status
from service import commands
from service.commands import Ending
from tests.support.build import (
    US,
    at,
    attempt_failed,
    attempt_started,
    cancel_requested,
    job_cancelled,
    job_completed,
    job_created,
    job_failed,
    job_held,
)
from tests.support.given import given

NOW = at(30)
AGAIN = "again"
HELD = "held"

# (reason, permanent, then) -> what becomes of a job with attempts left, and with none
OUTCOMES = {
    ("error", False, "retry"): (AGAIN, "max_attempts"),
    ("error", False, "hold"): (AGAIN, "max_attempts"),
    ("error", False, "fail"): (AGAIN, "max_attempts"),
    ("error", True, "retry"): ("permanent", "permanent"),
    ("timeout", False, "retry"): (AGAIN, "max_attempts"),
    ("cancelled", False, "retry"): (AGAIN, "max_attempts"),
    ("unknown", False, "retry"): (AGAIN, "max_attempts"),
    ("unknown", False, "hold"): (HELD, HELD),
    ("unknown", True, "hold"): (HELD, HELD),
    ("unknown", False, "fail"): ("unknown", "unknown"),
    ("unknown", True, "fail"): ("permanent", "permanent"),
    ("lease_expired", False, "retry"): (AGAIN, AGAIN),
    ("lease_expired", True, "fail"): (AGAIN, AGAIN),
    ("worker_lost", False, "retry"): (AGAIN, AGAIN),
    ("worker_lost", False, "hold"): (AGAIN, AGAIN),
    ("released", False, "retry"): (AGAIN, AGAIN),
    ("released", True, "fail"): (AGAIN, AGAIN),
    ("config", False, "retry"): (AGAIN, AGAIN),
    ("config", True, "hold"): (AGAIN, AGAIN),
}
each_outcome = pytest.mark.parametrize(("reason", "permanent", "then"), OUTCOMES)


def fail(outcome, *past, **created):
    """The attempt that runs fails so; the decision."""
    reason, permanent, then = outcome
    return given(job_created(**created), attempt_started(10), *past).when(
        commands.fail,
        token=2,
        now=NOW,
        ending=Ending(reason, "ValueError", "no luck", permanent=permanent, then=then),
        duration_s=1.5,
        delay_s=5.0,
        meta={},
    )


def recorded(reason, what):
    """The events of a job's failure that comes to this."""
    if what == AGAIN:
        return [attempt_failed(30, reason=reason, retry_at=at(30 if reason == "released" else 35))]
    gone = attempt_failed(30, reason=reason)
    return [gone, job_held(30) if what == HELD else job_failed(30, reason=what)]


def test_the_table_speaks_of_every_reason():
    assert {reason for reason, _, _ in OUTCOMES} == set(get_args(FailureReason))


@each_outcome
def test_with_attempts_left(reason, permanent, then):
    what, _ = OUTCOMES[reason, permanent, then]
    fail((reason, permanent, then), max_attempts=2).then(*recorded(reason, what))


@each_outcome
def test_with_none_left(reason, permanent, then):
    _, what = OUTCOMES[reason, permanent, then]
    fail((reason, permanent, then), max_attempts=1).then(*recorded(reason, what))


@each_outcome
def test_an_expired_job_is_not_tried_again_and_else_ends_as_it_would(reason, permanent, then):
    what, _ = OUTCOMES[reason, permanent, then]
    expected = recorded(reason, "expired" if what == AGAIN else what)
    fail((reason, permanent, then), max_attempts=2, expires_at=at(30)).then(*expected)


@pytest.mark.parametrize(
    ("expires_at", "again"), [(30 - US, False), (30, False), (30 + US, True)], ids=["-1", "0", "+1"]
)
def test_a_job_has_expired_at_the_very_instant_of_its_failure(expires_at, again):
    when = fail(("error", False, "retry"), expires_at=at(expires_at))
    when.then(*recorded("error", AGAIN if again else "expired"))


def test_an_expired_jobs_last_attempt_is_its_last_attempt():
    when = fail(("error", False, "retry"), max_attempts=1, expires_at=at(30))
    when.then(*recorded("error", "max_attempts"))


def test_an_expired_jobs_last_crash_is_called_a_crash():
    when = fail(("worker_lost", False, "retry"), max_crashes=1, expires_at=at(30))
    when.then(*recorded("worker_lost", "crashes"))


def test_an_expired_job_may_complete():
    when = given(job_created(expires_at=at(20)), attempt_started(10)).when(
        commands.complete, token=2, now=NOW, duration_s=1.5, result=None, meta={}
    )
    assert when.then(job_completed(30)).status is Status.COMPLETED


@each_outcome
@pytest.mark.parametrize("created", [{}, {"max_attempts": 1}, {"expires_at": at(25)}])
def test_once_its_cancellation_was_requested_a_job_is_cancelled_however_it_ends(
    reason, permanent, then, created
):
    when = fail((reason, permanent, then), cancel_requested(20), **created)
    job = when.then(attempt_failed(30, reason=reason), job_cancelled(30))
    assert (job.status, job.cancel_requested_at, job.finished_at) == (Status.CANCELLED, None, NOW)


def test_a_completion_that_is_recorded_first_wins_over_the_cancellation():
    when = given(job_created(), attempt_started(10), cancel_requested(20)).when(
        commands.complete, token=2, now=NOW, duration_s=1.5, result="sent", meta={}
    )
    job = when.then(job_completed(30, result="sent"))
    assert (job.status, job.result, job.cancel_requested_at) == (Status.COMPLETED, "sent", None)


@pytest.mark.parametrize("what", [AGAIN, "permanent", "cancelled"])
def test_facts_and_settled_parts_are_recorded_whatever_follows(what):
    past = [cancel_requested(20)] if what == "cancelled" else []
    settled = {"accepted": [0, 2], "refused": [5], "facts": {"code": 451}}
    ending = Ending(
        "error", "ValueError", "no luck", permanent=what == "permanent",
        accepted=(0, 2), refused=(5,), facts={"code": 451},
    )  # fmt: skip
    retry_at = at(35) if what == AGAIN else None
    sequel = {"permanent": [job_failed(30, reason="permanent")], "cancelled": [job_cancelled(30)]}
    job = (
        given(job_created(), attempt_started(10), *past)
        .when(commands.fail, token=2, now=NOW, ending=ending, duration_s=1.5, delay_s=5.0, meta={})
        .then(attempt_failed(30, retry_at=retry_at, **settled), *sequel.get(what, []))
    )
    assert (job.accepted, job.refused, job.last_error.facts) == ((0, 2), (5,), {"code": 451})


@pytest.mark.parametrize("nothing", [{}, {"facts": {}, "accepted": (), "refused": ()}])
def test_what_there_is_not_is_left_out(nothing):
    ending = Ending("error", "ValueError", "no luck", **nothing)
    [event] = commands.fail(
        given(job_created(), attempt_started(10)).job,
        token=2, now=NOW, ending=ending, duration_s=1.5, delay_s=5.0, meta={},
    )  # fmt: skip
    assert set(event.data) == {"attempt", "reason", "error_class", "retry_at", "duration_s"}
