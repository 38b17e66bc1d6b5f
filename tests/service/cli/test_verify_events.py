"""The other half of a verification: what events mean. Sound lives pass, a fault is told once.

Pure: events in, findings out, no files.
"""

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from eventstore.event import Event, NewEvent
from projections.verify import LifeCycles
from tests.support.build import (
    CANCELLING,
    HELD,
    HISTORIES,
    JOB_ID,
    LOG_ID,
    at,
    attempt_failed,
    attempt_started,
    cancel_requested,
    job_cancelled,
    job_completed,
    job_created,
    job_failed,
    job_held,
    job_retried,
    kind_limited,
    kind_paused,
    kind_resumed,
    lease_renewed,
    random_life,
    record,
)


def log_event(type_: str, **data: Any) -> NewEvent:
    return NewEvent(type_, at(0), data)


def found(events: list[Event], stories: LifeCycles | None = None) -> list[str]:
    stories = stories or LifeCycles()
    return [finding.found for event in events for finding in stories.check(event)]


def found_in(*new: NewEvent) -> list[str]:
    return found(record(*new))


@pytest.mark.parametrize("history", HISTORIES.values(), ids=str)
def test_a_way_into_each_state_is_sound(history: tuple[NewEvent, ...]) -> None:
    assert found_in(*history) == []


@pytest.mark.parametrize(
    "history",
    [
        HELD,
        [*HELD, job_retried(30)],
        [*HELD, job_cancelled(30)],
        CANCELLING,
        [*CANCELLING, job_completed(20)],
        [*CANCELLING, attempt_failed(20, reason="cancelled"), job_cancelled(20)],
        [job_created(expires_at=at(9)), job_failed(9, attempt=0, reason="expired")],
        [job_created(facts={"a": 1}), attempt_started(1), attempt_failed(2, retry_at=at(3),
         reason="unknown", accepted=[0], refused=[1], facts={"code": 451})],
    ],
)  # fmt: skip
def test_holds_cancellations_and_expiries_are_sound(history: list[NewEvent]) -> None:
    assert found_in(*history) == []


@pytest.mark.parametrize("seed", range(50))
def test_whatever_life_a_job_may_lead_is_sound(seed: int) -> None:
    assert found_in(*random_life(Random(seed))) == []


CREATED, STARTED = job_created(), attempt_started(10)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([STARTED], "AttemptStarted cannot follow no job"),
        ([CREATED, CREATED], "JobCreated cannot follow pending"),
        ([CREATED, job_completed(20)], "JobCompleted cannot follow pending"),
        ([CREATED, STARTED, STARTED], "AttemptStarted cannot follow processing"),
        ([CREATED, STARTED, job_completed(20), STARTED], "AttemptStarted cannot follow completed"),
        ([CREATED, STARTED, job_completed(20), job_retried(30)], "JobRetried cannot follow compl"),
        ([CREATED, job_cancelled(5), STARTED], "AttemptStarted cannot follow cancelled"),
        ([CREATED, attempt_started(10, attempt=2)], "AttemptStarted of attempt 2 where 1 was due"),
        ([CREATED, STARTED, job_completed(20, attempt=3)], "JobCompleted of attempt 3 where 1 was"),
        ([CREATED, STARTED, lease_renewed(20, attempt=2)], "LeaseRenewed of attempt 2 where 1 was"),
        (
            [CREATED, STARTED, attempt_failed(20), attempt_started(30, attempt=2)],
            "position 3 ends job",
        ),
        ([job_created(priority="high")], "JobCreated: Expected `int`, got `str` - at `$.priority`"),
        ([job_created(run_at="tomorrow")], "JobCreated: run_at is no timestamp: 'tomorrow'"),
        ([job_created(run_at="2026-11-24T12:00:00Z")], "JobCreated: run_at is no timestamp"),
        ([job_created(run_at="2026-11-31T12:00:00.000000Z")], "JobCreated: run_at is no timestamp"),
        ([replace(CREATED, time="2026-11-23")], "JobCreated: time is no timestamp: '2026-11-23'"),
        ([CREATED, attempt_started(10, lease_until="x")], "lease_until is no timestamp"),
        ([NewEvent("JobCreated", at(0), {"kind": "email"})], "Object missing required field"),
        ([CREATED, cancel_requested(5)], "CancelRequested cannot follow pending"),
        ([CREATED, STARTED, job_held(20)], "JobHeld cannot follow processing"),
        ([CREATED, job_held(20, attempt=0)], "JobHeld without an attempt in doubt"),
        (
            [CREATED, STARTED, attempt_failed(20, reason="error"), job_held(20)],
            "JobHeld without an attempt in doubt",
        ),
        (
            [CREATED, STARTED, attempt_failed(20, retry_at=at(25)), job_held(22)],
            "JobHeld without an attempt in doubt",
        ),
        ([CREATED, job_failed(20, attempt=0)], "JobFailed (max_attempts) without a last attempt"),
        (
            [CREATED, STARTED, attempt_failed(20, retry_at=at(25)), job_failed(22)],
            "JobFailed (max_attempts) without a last attempt",
        ),
        (
            [*CANCELLING, attempt_failed(20, retry_at=at(25))],
            "to be tried again, although its cancellation was requested",
        ),
        ([job_created(expires_at="soon")], "JobCreated: expires_at is no timestamp: 'soon'"),
        ([job_created(facts=[1])], "JobCreated: Expected `object`, got `array` - at `$.facts`"),
        (
            [CREATED, STARTED, attempt_failed(20, accepted=["ada"], retry_at=at(25))],
            "AttemptFailed: Expected `int`, got `str` - at `$.accepted[0]`",
        ),
        (
            [CREATED, STARTED, attempt_failed(20, reason="bad luck"), job_failed(20)],
            "AttemptFailed: Invalid enum value 'bad luck' - at `$.reason`",
        ),
    ],
)
def test_what_cannot_have_happened_is_found_once(history: list[NewEvent], expected: str) -> None:
    first, *others = found_in(*history)
    assert expected in first
    assert others == []


def test_of_a_job_that_is_set_aside_later_events_are_checked_for_themselves() -> None:
    history = [CREATED, job_completed(5), STARTED, job_completed(20, duration_s="long")]
    assert [each.partition(" ")[0] for each in found_in(*history)] == [
        "JobCompleted",
        "JobCompleted:",
    ]


def test_a_gap_is_not_told_again_as_a_wrong_transition() -> None:
    stories = LifeCycles()
    created, _, completed = record(CREATED, STARTED, job_completed(20))
    assert found([created], stories) == []
    stories.set_aside(JOB_ID)
    assert found([completed], stories) == []


def test_an_end_that_was_lost_is_not_told_as_missing() -> None:
    events = record(CREATED, STARTED, attempt_failed(20), job_failed(20), stream="a")
    [other] = record(job_created(), stream="b", pos=5)
    assert found([*events[:3], other]) == []


def test_failed_and_cancelled_jobs_may_be_tried_again() -> None:
    for end in ([STARTED, attempt_failed(20), job_failed(20)], [job_cancelled(20)]):
        attempt = 2 if len(end) > 1 else 1
        again = [job_retried(30), attempt_started(40, attempt=attempt)]
        assert found_in(CREATED, *end, *again, job_completed(50, attempt=attempt)) == []


def test_members_that_a_newer_version_added_are_fine() -> None:
    assert found_in(job_created(colour="red", seen_at=5)) == []


def test_an_unknown_type_is_a_note_once_and_the_job_goes_on() -> None:
    stories = LifeCycles()
    unknown = NewEvent("JobAdmired", at(5), {})
    events = record(CREATED, unknown, unknown, STARTED, job_completed(20))
    findings = [finding for event in events for finding in stories.check(event)]
    assert [finding.is_note for finding in findings] == [True]
    assert "JobAdmired v1 is unknown here" in findings[0].found


def test_an_unknown_version_is_a_note_and_ends_what_can_be_said_of_the_job() -> None:
    stories = LifeCycles()
    newer = NewEvent("AttemptStarted", at(5), {}, v=2)
    events = record(CREATED, newer, job_completed(20), STARTED)
    findings = [finding for event in events for finding in stories.check(event)]
    assert [finding.is_note for finding in findings] == [True]


def kind_events(*new: NewEvent) -> list[Event]:
    return record(*new, stream="kind-email")


def test_what_is_decided_about_a_kind_is_sound_in_any_order() -> None:
    decisions = [
        kind_paused(1, cause="config", reason="x"), kind_paused(2), kind_resumed(3),
        kind_resumed(4), kind_limited(5), kind_limited(6, concurrency=3, rate=(5, 60)),
    ]  # fmt: skip
    assert found(kind_events(*decisions)) == []


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (kind_paused(1, cause="weather"), "KindPaused: Invalid enum value 'weather'"),
        (NewEvent("KindPaused", at(1), {}), "KindPaused: Object missing required field `cause`"),
        (
            NewEvent("KindLimited", at(1), {"concurrency": "many", "rate": None}),
            "KindLimited: Expected `int | null`, got `str`",
        ),
        (NewEvent("KindLimited", at(1), {"concurrency": 1}), "missing required field `rate`"),
        (kind_limited(1, rate=("five", 60)), "KindLimited: Expected `int`, got `str`"),
        (job_created(), "JobCreated does not belong in stream kind-email"),
        (log_event("LogSealed", epoch=0), "LogSealed does not belong in stream kind-email"),
    ],
)
def test_what_cannot_have_been_decided_is_found_once(new: NewEvent, expected: str) -> None:
    [finding] = found(kind_events(new, kind_resumed(2)))
    assert expected in finding


@pytest.mark.parametrize("new", [kind_paused(1), kind_resumed(1), kind_limited(1)])
def test_a_decision_about_a_kind_belongs_in_no_other_stream(new: NewEvent) -> None:
    assert found(record(new)) == [f"{new.type} does not belong in stream {JOB_ID}"]
    [finding] = found(record(new, stream="log"))
    assert finding == f"{new.type} does not belong in stream log"


WRITERS = [
    log_event("LogOpened", log_id=LOG_ID),
    log_event("WriterStarted", epoch=1, version="0.1.0"),
    log_event("LogSealed", epoch=1),
    log_event("WriterStarted", epoch=2, version="0.1.0"),
    log_event("WriterStarted", epoch=3, version="0.1.0"),
]


def test_writers_come_one_after_the_other() -> None:
    assert found(record(*WRITERS, stream="log")) == []


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        (1, "LogSealed of epoch 1 where 0 was due"),
        (3, "WriterStarted of epoch 3 where 2 was due"),
    ],
)
def test_a_writer_out_of_turn_is_found(left_out: int, expected: str) -> None:
    history = [each for number, each in enumerate(WRITERS) if number != left_out]
    assert found(record(*history, stream="log")) == [expected]


def test_a_log_is_opened_once() -> None:
    [finding] = found(record(*WRITERS[:2], WRITERS[0], stream="log"))
    assert finding == "LogOpened stands elsewhere than at position 1"


def test_streams_do_not_mix() -> None:
    assert found(record(CREATED, stream="log")) == ["JobCreated does not belong in stream log"]
    assert found(record(WRITERS[1])) == [f"WriterStarted does not belong in stream {JOB_ID}"]


def test_memory_does_not_grow_with_completed_jobs() -> None:
    stories = LifeCycles()
    for number in range(100):
        assert found(record(CREATED, STARTED, job_completed(20), stream=f"{number}"), stories) == []
    assert stories._jobs == {}
