"""The state machine, exhaustively: every state with every type of event, legal or not.

What is legal is written down here once more, in words taken from the design and not from the code:
a row that is changed there must be changed here too, by somebody who means it. What
each step leaves in a job is in `test_job_fields`; that commands obey this machine is tested with
the commands.
"""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from eventstore.errors import StoreCorrupt, Unsupported
from eventstore.event import NewEvent
from projections.events import JOB_EVENTS, LOG_EVENTS
from projections.job import (
    IllegalTransitionError,
    Status,
    evolve,
    fold,
)
from tests.support.build import (
    BUILDERS,
    HELD,
    HISTORIES,
    US,
    at,
    attempt_failed,
    attempt_started,
    folded,
    follow,
    job_created,
    pending_job,
    random_life,
    record,
    waiting_job,
)

STATES = [None, "pending", "processing", "completed", "failed", "cancelled"]
TYPES = [
    "JobCreated",
    "AttemptStarted",
    "LeaseRenewed",
    "CancelRequested",
    "AttemptFailed",
    "JobCompleted",
    "JobHeld",
    "JobFailed",
    "JobCancelled",
    "JobRetried",
]
LEGAL = {
    (None, "JobCreated"): "pending",
    ("pending", "AttemptStarted"): "processing",
    ("pending", "JobFailed"): "failed",
    ("pending", "JobHeld"): "pending",
    ("pending", "JobCancelled"): "cancelled",
    ("pending", "JobRetried"): "pending",
    ("processing", "LeaseRenewed"): "processing",
    ("processing", "CancelRequested"): "processing",
    ("processing", "AttemptFailed"): "pending",
    ("processing", "JobCompleted"): "completed",
    ("failed", "JobRetried"): "pending",
    ("cancelled", "JobRetried"): "pending",
}
ILLEGAL = [(state, type_) for state in STATES for type_ in TYPES if (state, type_) not in LEGAL]
UNKNOWN = ["JobAdmired", *LOG_EVENTS]

lives = st.randoms(use_true_random=False).map(random_life)


def job_in(state):
    return fold(record(*HISTORIES[state and Status(state)]))


def test_the_table_of_this_test_speaks_of_every_state_and_type():
    assert set(TYPES) == set(JOB_EVENTS) == set(BUILDERS)
    assert set(STATES) == {None, *Status}
    assert len(LEGAL) + len(ILLEGAL) == 6 * 10


@pytest.mark.parametrize(("state", "type_"), LEGAL)
def test_a_legal_event_leads_to_the_state_in_the_table(state, type_):
    job = job_in(state)
    event = follow(job, BUILDERS[type_](30))
    after = evolve(job, event)
    assert after.status == LEGAL[state, type_]
    assert after.head == event.head


@pytest.mark.parametrize(("state", "type_"), ILLEGAL)
def test_any_other_event_is_refused_as_damage_and_changes_nothing(state, type_):
    job = job_in(state)
    event = follow(job, BUILDERS[type_](30))
    with pytest.raises(IllegalTransitionError, match=f"{type_} cannot follow") as refused:
        evolve(job, event)
    assert isinstance(refused.value, StoreCorrupt)
    assert refused.value.event is event
    assert f"position {event.pos}" in str(refused.value)
    assert (state or "no job") in str(refused.value)
    assert job == job_in(state)


@pytest.mark.parametrize("type_", UNKNOWN)
@pytest.mark.parametrize("state", STATES)
def test_an_unknown_type_only_moves_the_end_of_the_stream(state, type_):
    job = job_in(state)
    event = follow(job, NewEvent(type_, at(30), {"attempt": 9, "status": "x"}, {"result": 1}))
    expected = job and replace(job, rev=event.rev, pos=event.pos)
    assert evolve(job, event) == expected


@pytest.mark.parametrize("type_", TYPES)
def test_a_version_from_the_future_is_refused_by_name(type_):
    state = next(state for state, legal in LEGAL if legal == type_)
    job = job_in(state)
    event = replace(follow(job, BUILDERS[type_](30)), v=2)
    with pytest.raises(Unsupported, match=f"{type_} v2 was written by a newer joblog"):
        evolve(job, event)


@pytest.mark.parametrize("rev", [1, 3])
def test_a_revision_left_out_or_repeated_is_refused_as_damage(rev):
    job = pending_job()
    for event in (attempt_started(10), NewEvent("JobAdmired", at(10), {})):
        with pytest.raises(IllegalTransitionError, match="position 2"):
            evolve(job, *record(event, rev=rev, pos=2))


def test_a_stream_that_does_not_begin_at_its_first_revision_is_refused_as_damage():
    with pytest.raises(IllegalTransitionError, match="cannot follow no job"):
        fold(record(job_created(), rev=2))


@pytest.mark.parametrize(
    ("seconds", "due"), [(60 - US, False), (60, True), (60 + US, True)], ids=["-1us", "0", "+1us"]
)
def test_a_job_is_due_at_the_very_instant(seconds, due):
    for job in (pending_job(run_at=at(60)), waiting_job(at(60))):
        assert job.is_due(at(seconds)) is due


@pytest.mark.parametrize("state", ["processing", "completed", "failed", "cancelled"])
def test_only_a_pending_job_is_ever_due(state):
    assert not job_in(state).is_due("9999-12-31T23:59:59.999999Z")


def test_only_pending_and_processing_jobs_are_open():
    assert {s for s in Status if job_in(s).is_open} == {"pending", "processing"}


def test_between_the_two_events_of_giving_up_a_job_is_pending_and_never_due():
    job = folded(job_created(), attempt_started(10), attempt_failed(20, retry_at=None))
    assert (job.status, job.next_attempt_at) == (Status.PENDING, None)


@pytest.mark.parametrize(
    ("seconds", "expired"), [(60 - US, False), (60, True), (60 + US, True)], ids=["-1us", "0", "+1"]
)
def test_a_job_has_expired_at_the_very_instant(seconds, expired):
    assert pending_job(expires_at=at(60)).is_expired(at(seconds)) is expired


def test_a_job_without_an_expiry_never_expires():
    assert not pending_job().is_expired("9999-12-31T23:59:59.999999Z")


def test_a_held_job_is_open_and_never_due():
    job = folded(*HELD)
    assert (job.status, job.held_at, job.is_open) == (Status.PENDING, at(20), True)
    assert not job.is_due("9999-12-31T23:59:59.999999Z")


def test_no_events_are_no_job():
    assert fold([]) is None


@given(lives, st.data())
def test_a_fold_may_be_interrupted_anywhere(life, data):
    events = record(*life)
    cut = data.draw(st.integers(0, len(events)))
    assert fold(events[cut:], fold(events[:cut])) == fold(events)


@given(lives)
def test_each_step_of_a_fold_is_one_evolve(life):
    job = None
    for number, event in enumerate(record(*life), 1):
        job = evolve(job, event)
        assert job == fold(record(*life)[:number])
        assert (job.rev, job.pos) == (number, number)


@given(lives)
def test_nothing_but_what_is_shown_depends_on_private_words(life):
    events = record(*life)
    stripped = [replace(event, private=None) for event in events]
    assert fold(stripped) == blanked(fold(events))


def blanked(job):
    """The job with its display fields empty."""

    def silent(error):
        return error and replace(error, message="", traceback=None)

    attempts = tuple(replace(each, error=silent(each.error)) for each in job.attempt_log)
    error = silent(job.last_error)
    return replace(job, payload=None, result=None, last_error=error, attempt_log=attempts)


def test_random_lives_reach_every_state_and_every_type():
    lives = [random_life(Random(seed)) for seed in range(300)]
    jobs = [folded(*life) for life in lives]
    assert {job.status for job in jobs} == set(Status)
    assert any(job.held_at for job in jobs)
    assert any(job.cancel_requested_at for job in jobs)
    assert {event.type for life in lives for event in life} == set(TYPES)
