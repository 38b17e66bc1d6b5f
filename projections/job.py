"""What a job is, and how events change it: the state machine, as one table.

    JobCreated ───▶ pending ──AttemptStarted──▶ processing ──JobCompleted──▶ completed
                    ▲ │ │ ▲                      │
                    │ │ │ └────AttemptFailed─────┘
                    │ │ └──JobFailed─────▶ failed ─────┐
                    │ └────JobCancelled──▶ cancelled ──┤
                    └──────────────JobRetried──────────┘

After `AttemptFailed` a job is due again at `retry_at`; or never, and then `JobFailed`, `JobHeld` or
`JobCancelled` follows in the same append. `LeaseRenewed` and `CancelRequested` leave a job
processing; `JobHeld` leaves it pending and never due; `JobRetried` leaves a pending one pending,
and due now.

*Scheduled*, *due*, *retrying* and *expired* are not states: they are read off a job and the time.
Every field is a function of the events alone, so an ETag never lies, and a job as of last Tuesday
is the fold of its events up to then.

Counting: an attempt's number never repeats. `attempts` counts against `max_attempts` the tries that
ended in error, time-out, doubt or completion, plus the one running; a crash of the worker counts in
`crashes` instead, and a graceful release or a configuration fault not at all.

A job does not grow without bound however often it is tried: of all but its last attempts it keeps
only the beginning of what their errors said. The history has every word.

Pure: no I/O, no clock. A fold decides by `data` alone, never by `private`.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import reduce
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from eventstore.errors import StoreCorrupt
from eventstore.event import Event, Head, Json
from eventstore.timestamp import Timestamp, seconds_between
from projections.events import (
    CRASHES,
    JOB_EVENTS,
    UNCOUNTED,
    BackoffPolicy,
    EndReason,
    upcast,
)

TOLD_IN_FULL = 3  # attempts; of those before, a job keeps the beginning of their words
BRIEF_CHARACTERS = 200


class Status(StrEnum):
    """The stored states."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN: Final = frozenset({Status.PENDING, Status.PROCESSING})


# No job refers to itself, so the garbage collector need not follow any: gc=False. Of thousands that
# are made and kept, it would look at each again and again.


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why an attempt ended: `reason`, `class` and the kind's own `facts` are clear, `message` and
    `traceback` are the words of the error.
    """

    attempt: int
    reason: str
    class_: str = msgspec.field(name="class")
    message: str = ""
    traceback: str | None = None
    facts: Json | None = None


class AttemptRecord(msgspec.Struct, frozen=True, gc=False):
    """One try. `outcome` is `completed` or the reason it failed; null while it runs."""

    attempt: int
    worker: str
    started_at: Timestamp
    ended_at: Timestamp | None = None
    outcome: str | None = None
    error: Failure | None = None
    retry_at: Timestamp | None = None


class Lease(msgspec.Struct, frozen=True, gc=False):
    """Who works on the job: `token` fences (the position of AttemptStarted), `epoch` names an
    in-process worker.
    """

    worker: str
    epoch: int | None
    token: int
    lease_s: float
    lease_until: Timestamp


class Job(msgspec.Struct, frozen=True, gc=False):
    """A job as its events leave it."""

    id: str
    kind: str
    status: Status
    attempts: int
    max_attempts: int
    crashes: int
    max_crashes: int
    priority: int
    backoff: BackoffPolicy
    timeout_s: float
    created_at: Timestamp
    run_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    next_attempt_at: Timestamp | None  # when a pending job is due; null otherwise
    waited_s: float  # time spent pending and processing, over intervals that are closed
    ran_s: float
    since: Timestamp  # when the present status began
    attempt: int  # the number of the last attempt, 0 before the first
    lease: Lease | None
    payload: Any
    result: Any
    last_error: Failure | None
    attempt_log: tuple[AttemptRecord, ...]
    created_pos: int
    rev: int
    pos: int
    fingerprint: str | None = None
    expires_at: Timestamp | None = None  # from then on no attempt begins
    facts: Json = {}  # the kind's own, fixed at creation
    accepted: tuple[int, ...] = ()  # parts of the job, by index, that are done for good
    refused: tuple[int, ...] = ()  # and those that never will be
    cancel_requested_at: Timestamp | None = None  # of the attempt that runs
    held_at: Timestamp | None = None  # since when it waits for a person
    failed_because: EndReason | None = None  # of a failed job

    @property
    def head(self) -> Head:
        """Where its stream ends."""
        return Head(self.rev, self.pos)

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do."""
        return self.status in OPEN

    def is_due(self, now: Timestamp) -> bool:
        """Pending, and its time has come: at the very instant, it has."""
        return self.next_attempt_at is not None and self.next_attempt_at <= now

    def is_expired(self, now: Timestamp) -> bool:
        """Too late to begin an attempt: at the very instant, it is."""
        return self.expires_at is not None and self.expires_at <= now


class IllegalTransitionError(StoreCorrupt):
    """The log holds an event that cannot follow: no writer of ours left it there."""

    def __init__(self, job: Job | None, event: Event) -> None:
        state = f"a {job.status} job" if job else "no job"
        super().__init__(
            f"position {event.pos}: {event.type} cannot follow {state} (stream {event.stream})",
            hint="Nothing was changed; `joblog verify` lists all damage",
        )
        self.event = event


def fold(events: Iterable[Event], job: Job | None = None) -> Job | None:
    """The job after these events of its stream; None when there are none."""
    return reduce(evolve, events, job)


def evolve(job: Job | None, event: Event) -> Job | None:
    """The job after one more event of its stream.

    An unknown type changes nothing but where the stream ends. Raises IllegalTransitionError for a
    known one that cannot follow, Unsupported for one of a newer version.
    """
    if event.rev != (job.rev if job else 0) + 1:
        raise IllegalTransitionError(job, event)
    if event.type not in JOB_EVENTS:
        return job and replace(job, rev=event.rev, pos=event.pos)
    step = TRANSITIONS.get((job.status if job else None, event.type))
    if step is None:
        raise IllegalTransitionError(job, event)
    return step(job, event, upcast(event.type, event.v, event.data))


def _created(_: Any, event: Event, data: Any) -> Job:
    return Job(
        id=event.stream,
        kind=data["kind"],
        status=Status.PENDING,
        attempts=0,
        max_attempts=data["max_attempts"],
        crashes=0,
        max_crashes=data["max_crashes"],
        priority=data["priority"],
        backoff=data["backoff"],
        timeout_s=data["timeout_s"],
        created_at=event.time,
        run_at=data["run_at"],
        started_at=None,
        finished_at=None,
        next_attempt_at=data["run_at"],
        waited_s=0.0,
        ran_s=0.0,
        since=event.time,
        attempt=0,
        lease=None,
        payload=_private(event, "payload"),
        result=None,
        last_error=None,
        attempt_log=(),
        created_pos=event.pos,
        rev=event.rev,
        pos=event.pos,
        fingerprint=data.get("fingerprint"),
        expires_at=data.get("expires_at"),
        facts=data.get("facts", {}),
    )


def _started(job: Job, event: Event, data: Any) -> Job:
    attempt = AttemptRecord(data["attempt"], data["worker"], event.time)
    return replace(
        job,
        status=Status.PROCESSING,
        attempts=job.attempts + 1,
        attempt=data["attempt"],
        started_at=job.started_at or event.time,
        next_attempt_at=None,
        waited_s=_sum(job.waited_s, job.since, event.time),
        since=event.time,
        lease=Lease(data["worker"], data["epoch"], event.pos, data["lease_s"], data["lease_until"]),
        attempt_log=(*job.attempt_log, attempt),
        rev=event.rev,
        pos=event.pos,
    )


def _renewed(job: Job, event: Event, data: Any) -> Job:
    lease = job.lease and replace(
        job.lease, lease_s=data["lease_s"], lease_until=data["lease_until"]
    )
    return replace(job, lease=lease, rev=event.rev, pos=event.pos)


def _attempt_failed(job: Job, event: Event, data: Any) -> Job:
    reason = data["reason"]
    failure = Failure(
        data["attempt"], reason, data["error_class"],
        _words(event, "error") or "", _words(event, "traceback"), data.get("facts"),
    )  # fmt: skip
    return replace(
        _left_processing(job, event, reason, failure, data["retry_at"]),
        status=Status.PENDING,
        attempts=job.attempts - (reason in CRASHES or reason in UNCOUNTED),
        crashes=job.crashes + (reason in CRASHES),
        next_attempt_at=data["retry_at"],
        last_error=failure,
        accepted=_joined(job.accepted, data.get("accepted")),
        refused=_joined(job.refused, data.get("refused")),
    )


def _completed(job: Job, event: Event, _: Any) -> Job:
    return replace(
        _left_processing(job, event, "completed", None, None),
        status=Status.COMPLETED,
        finished_at=event.time,
        result=_private(event, "result"),
    )


def _left_processing(
    job: Job, event: Event, outcome: str, error: Failure | None, retry_at: Timestamp | None
) -> Job:
    *before, running = job.attempt_log
    last = replace(running, ended_at=event.time, outcome=outcome, error=error, retry_at=retry_at)
    if len(before) >= TOLD_IN_FULL:
        before[-TOLD_IN_FULL] = _in_short(before[-TOLD_IN_FULL])
    return replace(
        job,
        ran_s=_sum(job.ran_s, job.since, event.time),
        since=event.time,
        lease=None,
        cancel_requested_at=None,
        attempt_log=(*before, last),
        rev=event.rev,
        pos=event.pos,
    )


def _in_short(attempt: AttemptRecord) -> AttemptRecord:
    """An attempt of long ago: the beginning of its words."""
    error = attempt.error
    if error is None:
        return attempt
    brief = replace(error, message=error.message[:BRIEF_CHARACTERS], traceback=None)
    return replace(attempt, error=brief)


def _failed(job: Job, event: Event, data: Any) -> Job:
    return replace(_left_pending(job, event, Status.FAILED), failed_because=data["reason"])


def _cancelled(job: Job, event: Event, _: Any) -> Job:
    return _left_pending(job, event, Status.CANCELLED)


def _left_pending(job: Job, event: Event, status: Status) -> Job:
    return replace(
        job,
        status=status,
        finished_at=event.time,
        next_attempt_at=None,
        held_at=None,
        waited_s=_sum(job.waited_s, job.since, event.time),
        since=event.time,
        rev=event.rev,
        pos=event.pos,
    )


def _cancel_requested(job: Job, event: Event, _: Any) -> Job:
    return replace(job, cancel_requested_at=event.time, rev=event.rev, pos=event.pos)


def _held(job: Job, event: Event, _: Any) -> Job:
    return replace(job, held_at=event.time, next_attempt_at=None, rev=event.rev, pos=event.pos)


def _run_now(job: Job, event: Event, data: Any) -> Job:
    if job.held_at is not None:
        return replace(_reopened(job, event, data), since=job.since)  # it has waited all the time
    return replace(job, next_attempt_at=data["run_at"], rev=event.rev, pos=event.pos)


def _reopened(job: Job, event: Event, data: Any) -> Job:
    return replace(
        job,
        status=Status.PENDING,
        attempts=0,
        crashes=0,
        max_attempts=data["max_attempts"],
        finished_at=None,
        next_attempt_at=data["run_at"],
        expires_at=None,
        failed_because=None,
        refused=(),  # what was accepted stays so; what was refused is worth another try
        held_at=None,
        since=event.time,
        rev=event.rev,
        pos=event.pos,
    )


Step: TypeAlias = Callable[[Any, Event, Any], Job]

# Every pair that may occur, a sentence a row; any other of a status and a known type is illegal.
TRANSITIONS: Final[Mapping[tuple[Status | None, str], Step]] = {
    (None, "JobCreated"): _created,  # a job begins with its creation
    (Status.PENDING, "AttemptStarted"): _started,  # somebody claimed it
    (Status.PENDING, "JobCancelled"): _cancelled,  # nobody had begun, so it ends at once
    (Status.PENDING, "JobFailed"): _failed,  # given up: no attempt is left, or no time
    (Status.PENDING, "JobHeld"): _held,  # nobody knows whether it was done: a person decides
    (Status.PENDING, "JobRetried"): _run_now,  # it need not wait for its time, or for a person
    (Status.PROCESSING, "LeaseRenewed"): _renewed,  # the worker is still at it
    (Status.PROCESSING, "CancelRequested"): _cancel_requested,  # it shall stop, and may yet end
    (Status.PROCESSING, "AttemptFailed"): _attempt_failed,  # it waits, or JobFailed follows
    (Status.PROCESSING, "JobCompleted"): _completed,  # done
    (Status.FAILED, "JobRetried"): _reopened,  # somebody wants it tried again
    (Status.CANCELLED, "JobRetried"): _reopened,  # somebody wants it after all
}


def _private(event: Event, name: str) -> Any:
    return event.private.get(name) if event.private else None


def _words(event: Event, name: str) -> str | None:
    return None if (found := _private(event, name)) is None else str(found)  # nobody checked it


def _joined(known: tuple[int, ...], more: Iterable[int] | None) -> tuple[int, ...]:
    return tuple(sorted({*known, *more})) if more else known


def _sum(total: float, start: Timestamp, end: Timestamp) -> float:
    return round(total + seconds_between(start, end), 6)
