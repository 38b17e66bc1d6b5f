"""The job as returned: its JSON document, a plain copy of what the fold made of the job's events.

The order of the members is the order in the document. Nothing here is computed from a clock or from
anything but the job, so two answers with the same ETag are the same bytes. What the fold keeps for
the service's own use (lease, backoff, positions) stays inside.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from eventstore.timestamp import Timestamp
from projections.job import AttemptRecord, Failure, Job, Status


class LastError(msgspec.Struct, frozen=True):
    """Why the last attempt that failed did so."""

    attempt: int
    reason: str
    class_: str = msgspec.field(name="class")
    message: str


class AttemptError(msgspec.Struct, frozen=True):
    """Why this attempt failed; its traceback where there is one."""

    reason: str
    class_: str = msgspec.field(name="class")
    message: str
    traceback: str | UnsetType = UNSET


class AttemptEntry(msgspec.Struct, frozen=True):
    """One try. While it runs, everything after `started_at` is null."""

    attempt: int
    worker: str
    started_at: Timestamp
    ended_at: Timestamp | None
    outcome: str | None
    error: AttemptError | None
    retry_at: Timestamp | None


class Links(msgspec.Struct, frozen=True):
    """Where to go from here."""

    self: str
    events: str


class JobDocument(msgspec.Struct, frozen=True):
    """The job as returned."""

    id: str
    kind: str
    status: Status
    attempts: int
    max_attempts: int
    crashes: int
    priority: int
    created_at: Timestamp
    run_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    next_attempt_at: Timestamp | None
    waited_s: float
    ran_s: float
    payload: Any
    result: Any
    last_error: LastError | None
    attempt_log: list[AttemptEntry]
    rev: int
    links: Links


def document(job: Job) -> JobDocument:
    """The document of a job."""
    return JobDocument(
        id=job.id,
        kind=job.kind,
        status=job.status,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        crashes=job.crashes,
        priority=job.priority,
        created_at=job.created_at,
        run_at=job.run_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        next_attempt_at=job.next_attempt_at,
        waited_s=job.waited_s,
        ran_s=job.ran_s,
        payload=job.payload,
        result=job.result,
        last_error=_last_error(job.last_error),
        attempt_log=[_entry(attempt) for attempt in job.attempt_log],
        rev=job.rev,
        links=Links(location(job.id), f"{location(job.id)}/events"),
    )


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
    traceback = UNSET if failure.traceback is None else failure.traceback
    return AttemptError(failure.reason, failure.class_, failure.message, traceback)
