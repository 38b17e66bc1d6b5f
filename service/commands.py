"""What may be done to a job, as pure functions: command(job, now, …) -> the events to append.

Each looks at the job as it is, and either answers with events or raises: `NotAllowedError` when the
job's state does not permit it, `FencedError` when the attempt that speaks is not the one that runs.
Nothing here awaits, reads a clock or throws dice: the time is an argument, and so is every drawn
delay. `service.jobs` loads, calls and appends.

The rules of a failed attempt are in one place, `fail`:

| the attempt ended by | counts in | then |
|----------------------|-----------|------|
| an error or a time-out           | `attempts` | again after the backoff, to `max_attempts` |
| a permanent error                | `attempts` | failed at once |
| doubt (it may have been done)    | `attempts` | as the processor says: again, held, or failed |
| the worker's death, a lost lease | `crashes`  | again after the backoff, to `max_crashes` |
| a fault of configuration         | nothing    | again after the backoff, once its kind goes on |
| a graceful stop                  | nothing    | again at once |

Whatever the row: once its cancellation was requested, the job is cancelled instead of being tried
again, held or failed; and one that has expired meanwhile is not tried again. A completion that is
recorded first wins over both.
"""

from typing import Any, NamedTuple

from eventstore.event import Json, NewEvent
from eventstore.timestamp import Timestamp, later
from projections.events import (
    CRASHES,
    UNCOUNTED,
    AttemptFailed,
    AttemptStarted,
    BackoffPolicy,
    CancelRequested,
    Doubt,
    EndReason,
    FailureReason,
    JobCompleted,
    JobCreated,
    JobFailed,
    JobHeld,
    JobRetried,
    LeaseRenewed,
)
from projections.job import Job, Status

ERROR_TEXT_BYTES_MAX = 8 * 1024  # of an error's message, and of its traceback: they always fit
DELAY_S_MAX = 365 * 86_400  # of a wait that a processor asks for: more is a slip of the unit
MAX_CRASHES = 5  # a job that kills its worker ends too

# In JSON these take six bytes each, so that an error of nothing else would not fit a line; and on a
# terminal they are commands. Tab and line breaks stay.
_CONTROLS = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}"
)


class NotAllowedError(Exception):
    """The job's state does not permit this; nothing was recorded."""

    def __init__(self, job: Job, command: str) -> None:
        super().__init__(f"a {job.status} job cannot be {command}")
        self.job = job


class FencedError(Exception):
    """The attempt was superseded or has ended; whatever it has to say is refused."""


class Options(NamedTuple):
    """What a client may choose about a job beside its payload."""

    run_at: Timestamp
    priority: int
    max_attempts: int
    timeout_s: float
    backoff: BackoffPolicy
    expires_at: Timestamp | None = None


class Ending(NamedTuple):
    """How an attempt failed. `error_class` and the kind's `facts` are clear, `error` and
    `traceback` are the error's own words; `then` is what to make of reason `unknown`; `accepted`
    and `refused` are the parts of the job that it settled.
    """

    reason: FailureReason
    error_class: str
    error: str = ""
    traceback: str | None = None
    permanent: bool = False
    then: Doubt = "retry"
    facts: Json | None = None
    accepted: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()


def create(
    *,
    kind: str,
    payload: Any,
    options: Options,
    now: Timestamp,
    meta: Json,
    fingerprint: str | None = None,
    facts: Json | None = None,
) -> list[NewEvent]:
    """There shall be a job. `fingerprint` identifies the request, for repeats of an idempotency
    key; `facts` are what its kind fixed.
    """
    data = JobCreated(
        kind=kind,
        run_at=options.run_at,
        priority=options.priority,
        max_attempts=options.max_attempts,
        max_crashes=MAX_CRASHES,
        backoff=options.backoff,
        timeout_s=options.timeout_s,
    )
    if fingerprint is not None:
        data["fingerprint"] = fingerprint
    if options.expires_at is not None:
        data["expires_at"] = options.expires_at
    if facts:
        data["facts"] = facts
    return [_event("JobCreated", now, data, meta, {"payload": payload})]


def start(
    job: Job, *, now: Timestamp, worker: str, epoch: int | None, lease_s: float, meta: Json
) -> list[NewEvent]:
    """Claim a due job. The position this gets is the attempt's fencing token."""
    if job.status is not Status.PENDING or not job.is_due(now):
        raise NotAllowedError(job, "claimed now")
    if job.is_expired(now):
        raise NotAllowedError(job, "claimed: it has expired")
    data = AttemptStarted(
        attempt=job.attempt + 1,
        worker=worker,
        epoch=epoch,
        lease_s=lease_s,
        lease_until=later(now, lease_s),
    )
    return [_event("AttemptStarted", now, data, meta)]


def renew(job: Job, *, token: int, now: Timestamp, lease_s: float, meta: Json) -> list[NewEvent]:
    """Still at it."""
    _require_running(job, token)
    data = LeaseRenewed(attempt=job.attempt, lease_s=lease_s, lease_until=later(now, lease_s))
    return [_event("LeaseRenewed", now, data, meta)]


def complete(
    job: Job, *, token: int, now: Timestamp, duration_s: float, result: Any, meta: Json
) -> list[NewEvent]:
    """The attempt succeeded."""
    _require_running(job, token)
    data = JobCompleted(attempt=job.attempt, duration_s=duration_s)
    private = None if result is None else {"result": result}
    return [_event("JobCompleted", now, data, meta, private)]


def fail(
    job: Job,
    *,
    token: int,
    now: Timestamp,
    ending: Ending,
    duration_s: float,
    delay_s: float,
    meta: Json,
) -> list[NewEvent]:
    """The attempt failed. `delay_s` is the wait, should there be another: at most DELAY_S_MAX, and
    none when it is no length of time.
    """
    _require_running(job, token)
    sequel = _sequel(job, ending, now, meta)
    wait = 0.0 if ending.reason == "released" else sane_delay_s(delay_s)
    data = AttemptFailed(
        attempt=job.attempt,
        reason=ending.reason,
        error_class=ending.error_class,
        retry_at=None if sequel else later(now, wait),
        duration_s=duration_s,
    )
    if ending.accepted:
        data["accepted"] = list(ending.accepted)
    if ending.refused:
        data["refused"] = list(ending.refused)
    if ending.facts:
        data["facts"] = ending.facts
    return [_event("AttemptFailed", now, data, meta, _words(ending)), *sequel]


def cancel(job: Job, *, now: Timestamp, reason: str | None, meta: Json) -> list[NewEvent]:
    """The job is not wanted any more: a pending one ends at once, a running one is asked to stop.
    Cancelling twice is once.
    """
    if job.status is Status.CANCELLED or job.cancel_requested_at is not None:
        return []
    private = {"reason": reason} if reason else None
    if job.status is Status.PENDING:
        return [_event("JobCancelled", now, {}, meta, private)]
    if job.status is Status.PROCESSING:
        return [_event("CancelRequested", now, CancelRequested(), meta, private)]
    raise NotAllowedError(job, "cancelled")


def expire(job: Job, *, now: Timestamp, meta: Json) -> list[NewEvent]:
    """It is too late to begin another attempt."""
    if job.status is not Status.PENDING or not job.is_expired(now):
        raise NotAllowedError(job, "given up as expired")
    return [_event("JobFailed", now, JobFailed(attempt=job.attempt, reason="expired"), meta)]


def retry(job: Job, *, now: Timestamp, reason: str | None, meta: Json) -> list[NewEvent]:
    """Open a failed, cancelled or held job again, its allowance anew; or let a waiting one run
    now.
    """
    if job.status not in (Status.PENDING, Status.FAILED, Status.CANCELLED):
        raise NotAllowedError(job, "retried")
    if job.is_due(now):
        raise NotAllowedError(job, "retried: it is due already")
    data = JobRetried(max_attempts=job.max_attempts, run_at=now)
    return [_event("JobRetried", now, data, meta, {"reason": reason} if reason else None)]


def cut(text: str, *, keep_end: bool = False) -> str:
    """At most ERROR_TEXT_BYTES_MAX bytes of UTF-8, whatever the text holds; of a traceback the end
    matters.
    """
    encoded = text.translate(_CONTROLS).encode("utf-8", errors="replace")
    part = encoded[-ERROR_TEXT_BYTES_MAX:] if keep_end else encoded[:ERROR_TEXT_BYTES_MAX]
    return part.decode("utf-8", errors="ignore")


def failures_after(job: Job, reason: FailureReason) -> int:
    """How many failures of its sort the job has once its running attempt failed so: what the
    backoff grows with.
    """
    return job.crashes + 1 if reason in CRASHES else job.attempts


def _sequel(job: Job, ending: Ending, now: Timestamp, meta: Json) -> list[NewEvent]:
    """What is recorded with the job's last failure; nothing when it is to be tried again."""
    if job.cancel_requested_at is not None:
        return [_event("JobCancelled", now, {}, meta)]
    if ending.reason == "unknown" and ending.then == "hold":
        return [_event("JobHeld", now, JobHeld(attempt=job.attempt), meta)]
    end = _end_after(job, ending, now)
    if end is None:
        return []
    return [_event("JobFailed", now, JobFailed(attempt=job.attempt, reason=end), meta)]


def _end_after(job: Job, ending: Ending, now: Timestamp) -> EndReason | None:
    """Why the job fails with this attempt; None when it does not."""
    expired: EndReason | None = "expired" if job.is_expired(now) else None
    if ending.reason in CRASHES:
        return "crashes" if job.crashes + 1 >= job.max_crashes else expired
    if ending.reason in UNCOUNTED:
        return expired
    if ending.permanent:
        return "permanent"
    if ending.reason == "unknown" and ending.then == "fail":
        return "unknown"
    return "max_attempts" if job.attempts >= job.max_attempts else expired


def sane_delay_s(delay_s: float) -> float:
    """Whatever a processor asked for, a wait that `later` can add."""
    return min(delay_s, DELAY_S_MAX) if delay_s > 0 else 0.0  # NaN is not above 0 either


def _require_running(job: Job, token: int) -> None:
    if job.lease is None or job.lease.token != token:
        running = f"attempt {job.attempt} runs" if job.lease else f"the job is {job.status}"
        raise FencedError(f"attempt with token {token} is over: {running}")


def _words(ending: Ending) -> Json:
    words = {"error": cut(ending.error)}
    if ending.traceback is not None:
        words["traceback"] = cut(ending.traceback, keep_end=True)
    return words


def _event(
    type_: str, now: Timestamp, data: Any, meta: Json, private: Json | None = None
) -> NewEvent:
    return NewEvent(type_, now, data, private, meta)
