"""The job as returned: its JSON document, a plain copy of what the fold made of the job's events.

The order of the members is the order in the document. Nothing here is computed from a clock or from
anything but the job, so two answers with the same ETag are the same bytes. What the fold keeps for
the service's own use (lease, backoff, positions) stays inside.
"""

from operator import attrgetter
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from eventstore.event import Json
from eventstore.timestamp import Timestamp
from projections.events import EndReason
from projections.job import AttemptRecord, Failure, Job, Status

Time: TypeAlias = Annotated[Timestamp, Meta(extra_json_schema={"format": "date-time"})]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]


class LastError(msgspec.Struct, frozen=True):
    """Why the last attempt that failed did so."""

    attempt: Count
    reason: Annotated[str, Meta(description="As in `outcome` of an attempt.")]
    class_: Annotated[str, Meta(description="The class of the error.")] = msgspec.field(
        name="class"
    )
    message: Annotated[str, Meta(description="The error's own words.")]


class AttemptError(msgspec.Struct, frozen=True):
    """Why this attempt failed; its traceback and its kind's own facts where there are any."""

    reason: str
    class_: Annotated[str, Meta(description="The class of the error.")] = msgspec.field(
        name="class"
    )
    message: Annotated[str, Meta(description="The error's own words.")]
    traceback: str | UnsetType = UNSET
    facts: Json | UnsetType = UNSET


class AttemptEntry(msgspec.Struct, frozen=True):
    """One try. While it runs, everything after `started_at` is null."""

    attempt: Annotated[int, Meta(ge=1, description="Its number, which never repeats.")]
    worker: str
    started_at: Time
    ended_at: Time | None
    outcome: Annotated[
        str | None,
        Meta(description="`completed`, or why not: `error`, `timeout`, `worker_lost` and so on."),
    ]
    error: AttemptError | None
    retry_at: Annotated[Time | None, Meta(description="When the next one is due, if any.")]


class Links(msgspec.Struct, frozen=True):
    """Where to go from here."""

    self: str
    events: str


class JobDocument(msgspec.Struct, frozen=True):
    """The job as returned. Every member is a function of its events alone."""

    id: str
    kind: str
    status: Status
    attempts: Annotated[
        int, Meta(ge=0, description="Tries that count: those that ended, and the running one.")
    ]
    max_attempts: Annotated[int, Meta(ge=1, description="How many it may have.")]
    crashes: Annotated[
        int, Meta(ge=0, description="Tries that ended with the death of their worker.")
    ]
    priority: Annotated[int, Meta(description="The larger goes first.")]
    created_at: Time
    run_at: Annotated[Time, Meta(description="Not to be started before.")]
    expires_at: Annotated[Time | None, Meta(description="No attempt begins from then on.")]
    started_at: Annotated[Time | None, Meta(description="When its first attempt began.")]
    finished_at: Time | None
    next_attempt_at: Annotated[Time | None, Meta(description="When a pending job is due.")]
    held_at: Annotated[
        Time | None, Meta(description="Since when it waits for somebody to retry or cancel it.")
    ]
    cancel_requested_at: Annotated[
        Time | None, Meta(description="When the running attempt was asked to stop.")
    ]
    waited_s: Annotated[Seconds, Meta(description="Time spent waiting, in seconds.")]
    ran_s: Annotated[Seconds, Meta(description="Time spent in attempts, in seconds.")]
    payload: Annotated[Any, Meta(description="What was posted, as its type writes it.")]
    result: Annotated[Any, Meta(description="What the processor returned; null until then.")]
    failed_because: Annotated[
        EndReason | None, Meta(description="Why a failed job was given up; null otherwise.")
    ]
    last_error: LastError | None
    attempt_log: Annotated[list[AttemptEntry], Meta(description="All attempts, oldest first.")]
    rev: Annotated[int, Meta(ge=1, description="The number of its last event; also the `ETag`.")]
    links: Links


# Filled by position: to pass two dozen names takes longer than the rest. The last are not copied.
_MADE = ("last_error", "attempt_log", "rev", "links")
_copied = attrgetter(*JobDocument.__struct_fields__[: -len(_MADE)])


def document(job: Job) -> JobDocument:
    """The document of a job."""
    path = location(job.id)
    members = (
        *_copied(job),
        _last_error(job.last_error),
        [_entry(attempt) for attempt in job.attempt_log],
        job.rev,
        Links(path, f"{path}/events"),
    )
    return JobDocument(*members)


def location(job_id: str) -> str:
    """The path of a job."""
    return f"/jobs/{job_id}"


def _last_error(failure: Failure | None) -> LastError | None:
    if failure is None:
        return None
    return LastError(failure.attempt, failure.reason, failure.class_, failure.message)


def _entry(attempt: AttemptRecord) -> AttemptEntry:
    return AttemptEntry(
        attempt=attempt.attempt,
        worker=attempt.worker,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        outcome=attempt.outcome,
        error=_error(attempt.error),
        retry_at=attempt.retry_at,
    )


def _error(failure: Failure | None) -> AttemptError | None:
    if failure is None:
        return None
    return AttemptError(
        failure.reason,
        failure.class_,
        failure.message,
        UNSET if failure.traceback is None else failure.traceback,
        UNSET if failure.facts is None else failure.facts,
    )
