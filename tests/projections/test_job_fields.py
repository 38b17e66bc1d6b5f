"""What each event leaves in a job: counts, times, the lease, the log of attempts.

`test_job` says which states follow which; here it is what GET shows. Times are summed over closed
intervals and to the microsecond, so that a job is the same whoever folds it, and whenever. Nothing
here is about what is decided from these numbers: that is tested with the commands.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from projections.job import (
    AttemptRecord,
    Failure,
    Lease,
    Status,
    evolve,
)
from tests.support.build import (
    CANCELLING,
    HELD,
    HISTORIES,
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
    random_life,
    running_job,
    waiting_job,
)

lives = st.randoms(use_true_random=False).map(random_life)


def test_a_new_job_holds_what_its_creation_said():
    job = pending_job(
        "some-id",
        pos=7,
        seconds=3,
        kind="report",
        run_at=at(60),
        priority=-4,
        max_attempts=9,
        max_crashes=2,
        timeout_s=1.5,
        fingerprint="f00d",
        payload={"to": "x"},
    )
    assert (job.id, job.kind, job.payload, job.fingerprint) == (
        "some-id",
        "report",
        {"to": "x"},
        "f00d",
    )
    assert (job.created_at, job.run_at, job.next_attempt_at) == (at(3), at(60), at(60))
    assert (job.priority, job.max_attempts, job.max_crashes, job.timeout_s) == (-4, 9, 2, 1.5)
    assert (job.attempts, job.crashes, job.attempt, job.attempt_log) == (0, 0, 0, ())
    assert (job.started_at, job.finished_at, job.lease, job.result) == (None, None, None, None)
    assert (job.waited_s, job.ran_s, job.since, job.last_error) == (0.0, 0.0, at(3), None)
    assert (job.created_pos, job.pos, job.rev, job.head) == (7, 7, 1, (1, 7))


def test_a_job_without_a_fingerprint_has_none():
    assert pending_job().fingerprint is None


@pytest.mark.parametrize(
    ("reason", "attempts", "crashes"),
    [
        ("error", 1, 0),
        ("timeout", 1, 0),
        ("unknown", 1, 0),
        ("cancelled", 1, 0),
        ("worker_lost", 0, 1),
        ("lease_expired", 0, 1),
        ("released", 0, 0),
        ("config", 0, 0),
    ],
)
def test_a_failed_attempt_counts_by_its_reason(reason, attempts, crashes):
    before = running_job()
    assert (before.attempts, before.crashes) == (1, 0)
    after = evolve(before, follow(before, attempt_failed(20, reason=reason, retry_at=at(25))))
    assert (after.attempts, after.crashes, after.attempt) == (attempts, crashes, 1)


def test_a_completed_attempt_counts():
    assert folded(*HISTORIES[Status.COMPLETED]).attempts == 1


def test_counts_add_up_over_attempts_of_all_sorts():
    reasons = ["error", "worker_lost", "released", "timeout", "lease_expired", "config"]
    events = [job_created()]
    for number, reason in enumerate(reasons, 1):
        events += [
            attempt_started(number, attempt=number),
            attempt_failed(number, attempt=number, reason=reason, retry_at=at(number)),
        ]
    job = folded(*events)
    assert (job.attempts, job.crashes, job.attempt) == (2, 2, 6)
    assert [record.attempt for record in job.attempt_log] == [1, 2, 3, 4, 5, 6]
    assert [record.outcome for record in job.attempt_log] == reasons


def test_a_claim_gives_a_lease_whose_token_is_its_position():
    job = folded(job_created(), attempt_started(10, worker="w-1", epoch=None, lease_s=7), pos=41)
    assert job.lease == Lease("w-1", None, 42, 7, at(17))
    assert (job.started_at, job.next_attempt_at) == (at(10), None)


def test_a_renewal_prolongs_the_lease_and_keeps_its_token():
    before = running_job()
    job = evolve(before, follow(before, lease_renewed(20, lease_s=9)))
    assert job.lease == replace(before.lease, lease_s=9, lease_until=at(29))
    assert replace(job, lease=None) == replace(before, lease=None, rev=3, pos=3)


@pytest.mark.parametrize("end", [attempt_failed(20, retry_at=at(25)), job_completed(20)])
def test_the_lease_ends_with_the_attempt(end):
    job = running_job()
    assert evolve(job, follow(job, end)).lease is None


def test_waiting_and_running_are_summed_over_intervals_that_are_closed():
    events = [
        job_created(0),
        attempt_started(0.25),
        lease_renewed(5),
        attempt_failed(10.250001, retry_at=at(12)),
        attempt_started(13, attempt=2),
        job_completed(13.7, attempt=2),
    ]
    sums = [(job.waited_s, job.ran_s) for job in map(folded_first(events), range(1, 7))]
    assert sums == [
        (0.0, 0.0),
        (0.25, 0.0),
        (0.25, 0.0),
        (0.25, 10.000001),
        (2.999999, 10.000001),
        (2.999999, 10.700001),
    ]


def folded_first(events):
    return lambda number: folded(*events[:number])


def test_a_sum_of_microseconds_stays_exact():
    events = [job_created()]
    for number in range(1, 301):
        events += [
            attempt_started(number * 0.2 - 0.1, attempt=number),
            attempt_failed(number * 0.2, attempt=number, reason="released", retry_at=at(0)),
        ]
    job = folded(*events)
    assert (job.waited_s, job.ran_s) == (30.0, 30.0)


@pytest.mark.parametrize("end", [job_cancelled(30), job_failed(30)])
def test_waiting_ends_with_the_job(end):
    job = folded(job_created(), end)
    assert (job.waited_s, job.ran_s, job.finished_at) == (30.0, 0.0, at(30))
    assert (job.next_attempt_at, job.started_at) == (None, None)


def test_the_time_between_the_end_and_a_retry_is_neither_waited_nor_run():
    failed = [attempt_started(10), attempt_failed(20), job_failed(20)]
    job = folded(job_created(), *failed, job_retried(1000), attempt_started(1004, attempt=2))
    assert (job.waited_s, job.ran_s) == (14.0, 10.0)


def test_started_at_is_the_first_attempts_and_finished_at_the_last_end():
    failed = [attempt_started(10), attempt_failed(20), job_failed(20)]
    again = [job_retried(30), attempt_started(40, attempt=2), job_completed(50, attempt=2)]
    job = folded(job_created(), *failed, *again)
    assert (job.started_at, job.finished_at) == (at(10), at(50))


def test_the_log_of_attempts_tells_each_one():
    job = folded(
        job_created(),
        attempt_started(10, worker="a"),
        attempt_failed(20, reason="timeout", retry_at=at(25), error="late", traceback="Trace"),
        attempt_started(30, attempt=2, worker="b"),
        job_completed(40, attempt=2, result={"ok": True}),
    )
    late = Failure(1, "timeout", "ValueError", "late", "Trace")
    assert job.attempt_log == (
        AttemptRecord(1, "a", at(10), at(20), "timeout", late, at(25)),
        AttemptRecord(2, "b", at(30), at(40), "completed", None, None),
    )
    assert job.last_error == late
    assert job.result == {"ok": True}


def test_a_running_attempt_has_no_end_in_the_log_of_attempts():
    assert running_job().attempt_log == (AttemptRecord(1, "w", at(10)),)


def test_words_that_are_no_text_are_told_as_text():
    failed = attempt_failed(20, retry_at=at(25), error=["no", "luck"], traceback=7)
    error = folded(job_created(), attempt_started(10), failed).last_error
    assert error is not None
    assert (error.message, error.traceback) == ("['no', 'luck']", "7")


def test_the_last_error_is_the_newest_and_the_end_of_the_job_keeps_it():
    first = [attempt_started(1), attempt_failed(2, error="one", retry_at=at(3))]
    second = [attempt_started(4, attempt=2), attempt_failed(5, attempt=2, error="two")]
    job = folded(job_created(), *first, *second, job_failed(5, attempt=2))
    assert job.last_error == Failure(2, "error", "ValueError", "two", None)


@pytest.mark.parametrize("ended", [Status.FAILED, Status.CANCELLED])
def test_a_retry_reopens_with_a_new_allowance_and_keeps_the_past(ended):
    crash = attempt_failed(6, reason="worker_lost", retry_at=at(7))
    past = [attempt_started(5), crash, attempt_started(8, attempt=2)]
    ends = {
        Status.FAILED: [attempt_failed(9, attempt=2), job_failed(9, attempt=2)],
        Status.CANCELLED: [attempt_failed(9, attempt=2, retry_at=at(99)), job_cancelled(9)],
    }
    before = folded(job_created(), *past, *ends[ended])
    after = evolve(before, follow(before, job_retried(60, max_attempts=7, run_at=at(70))))
    assert (before.status, before.attempts, before.crashes) == (ended, 1, 1)
    assert (after.attempts, after.crashes, after.max_attempts, after.attempt) == (0, 0, 7, 2)
    assert (after.next_attempt_at, after.finished_at, after.since) == (at(70), None, at(60))
    kept = ["last_error", "attempt_log", "run_at", "created_at", "started_at", "waited_s", "ran_s"]
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]


def test_a_retry_of_a_waiting_job_changes_only_when_it_is_due():
    before = waiting_job(at(3600))
    after = evolve(before, follow(before, job_retried(30, max_attempts=99)))
    assert after == replace(before, next_attempt_at=at(30), rev=before.rev + 1, pos=before.pos + 1)


@given(lives)
def test_counts_are_those_of_the_attempts_since_the_last_reopening(life):
    """The same told differently: from the log of attempts, not step by step."""
    job = folded(*life)
    opened = [i for i, e in enumerate(life) if e.type == "JobRetried" and stopped_before(life, i)]
    since = life[opened[-1] :] if opened else life
    reasons = [event.data["reason"] for event in since if event.type == "AttemptFailed"]
    started = sum(event.type == "AttemptStarted" for event in since)
    crashed = sum(reason in ("worker_lost", "lease_expired") for reason in reasons)
    uncounted = sum(reason in ("released", "config") for reason in reasons)
    assert (job.attempts, job.crashes) == (started - crashed - uncounted, crashed)
    assert job.attempt == sum(event.type == "AttemptStarted" for event in life)


def stopped_before(life, index):
    """Whether it had ended by then, or waited for a person."""
    job = folded(*life[:index])
    return not job.is_open or job.held_at is not None


# expiry, facts, parts


def test_a_job_without_optional_members_has_none_of_them():
    job = pending_job()
    assert (job.expires_at, job.facts, job.accepted, job.refused) == (None, {}, (), ())
    assert (job.cancel_requested_at, job.held_at) == (None, None)


def test_expiry_and_facts_are_what_the_creation_said():
    job = pending_job(expires_at=at(90), facts={"message_id": "<1@x>"})
    assert (job.expires_at, job.facts) == (at(90), {"message_id": "<1@x>"})


def test_the_facts_of_a_failure_are_told_with_it():
    job = folded(job_created(), attempt_started(1), attempt_failed(2, facts={"code": 550}))
    assert job.last_error.facts == {"code": 550}
    assert job.attempt_log[0].error == job.last_error


def test_settled_parts_accumulate_over_attempts_each_named_once_and_in_order():
    job = folded(
        job_created(),
        attempt_started(1),
        attempt_failed(2, retry_at=at(3), accepted=[5, 1], refused=[9]),
        attempt_started(3, attempt=2),
        attempt_failed(4, attempt=2, retry_at=at(5)),
        attempt_started(5, attempt=3),
        attempt_failed(6, attempt=3, accepted=[1, 0], refused=[7]),
    )
    assert (job.accepted, job.refused) == ((0, 1, 5), (7, 9))


def test_of_the_settled_parts_those_that_are_done_outlive_a_reopening():
    settled = attempt_failed(2, accepted=[0], refused=[1])
    job = folded(job_created(), attempt_started(1), settled, job_failed(2), job_retried(9))
    assert (job.accepted, job.refused) == ((0,), ())


@pytest.mark.parametrize("ended", [[*HISTORIES[Status.FAILED]], [*HISTORIES[Status.CANCELLED]]])
def test_a_retry_of_an_ended_job_clears_its_expiry(ended):
    created = job_created(expires_at=at(25))
    assert folded(created, *ended[1:]).expires_at == at(25)
    assert folded(created, *ended[1:], job_retried(30)).expires_at is None


def test_a_retry_of_a_waiting_job_keeps_its_expiry():
    job = folded(job_created(run_at=at(60), expires_at=at(90)), job_retried(30))
    assert job.expires_at == at(90)


# cancellation requested


def test_a_requested_cancellation_changes_nothing_but_that_it_was_requested():
    before = running_job()
    job = evolve(before, follow(before, cancel_requested(15)))
    assert job == replace(before, cancel_requested_at=at(15), rev=3, pos=3)


def test_a_renewal_does_not_forget_the_request():
    assert folded(*CANCELLING, lease_renewed(20)).cancel_requested_at == at(15)


@pytest.mark.parametrize(
    "end",
    [
        [attempt_failed(20, reason="released", retry_at=at(20))],
        [attempt_failed(20, reason="cancelled"), job_cancelled(20)],
        [job_completed(20)],
    ],
)
def test_the_request_ends_with_the_attempt(end):
    assert folded(*CANCELLING, *end).cancel_requested_at is None


# held


def test_a_held_job_waits_on_and_its_time_goes_on_being_counted():
    job = folded(*HELD)
    assert (job.since, job.waited_s, job.ran_s) == (at(20), 10, 10)
    assert (job.next_attempt_at, job.finished_at, job.last_error.reason) == (None, None, "unknown")
    again = folded(*HELD, job_retried(50), attempt_started(60, attempt=2))
    assert (again.waited_s, again.ran_s) == (10 + 40, 10)


def test_a_held_job_that_is_retried_has_its_allowance_anew():
    crash = attempt_failed(5, reason="worker_lost", retry_at=at(6))
    past = [attempt_started(4), crash, attempt_started(7, attempt=2)]
    doubt = [attempt_failed(20, attempt=2, reason="unknown"), job_held(20, attempt=2)]
    held = folded(job_created(expires_at=at(90)), *past, *doubt)
    assert (held.attempts, held.crashes) == (1, 1)
    job = evolve(held, follow(held, job_retried(50, max_attempts=7)))
    assert (job.status, job.attempts, job.crashes, job.max_attempts) == (Status.PENDING, 0, 0, 7)
    assert (job.attempt, job.held_at, job.expires_at) == (2, None, None)
    assert job.next_attempt_at == at(50)


@pytest.mark.parametrize("end", [job_cancelled(50), job_failed(50, reason="expired")])
def test_the_end_of_a_held_job_ends_its_waiting(end):
    job = folded(*HELD, end)
    assert (job.held_at, job.waited_s, job.finished_at) == (None, 40, at(50))


def test_a_job_keeps_the_words_of_its_last_attempts_and_the_beginning_of_all_others():
    events = [job_created(max_attempts=100)]
    for number in range(1, 8):
        events.append(attempt_started(number * 10, attempt=number))
        words = {"error": f"{number} " + "x" * 5_000, "traceback": "t" * 5_000}
        retry_at = at(number * 10 + 10)
        events.append(attempt_failed(number * 10 + 5, attempt=number, retry_at=retry_at, **words))
    errors = [each.error for each in folded(*events).attempt_log]
    assert [len(error.message) for error in errors] == [200] * 4 + [5_002] * 3
    assert [error.traceback is None for error in errors] == [True] * 4 + [False] * 3
    assert [error.message[0] for error in errors] == list("1234567")
