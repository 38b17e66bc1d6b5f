"""What may be done to a job, as pure functions: command(job, now, …) -> the events to append.

Each looks at the job as it is, and either answers with events or raises: `NotAllowedError` when the
job's state does not permit it, `FencedError` when the attempt that speaks is not the one that runs.
Nothing here awaits, reads a clock or throws dice: the time is an argument, and so is every drawn
delay. `service.jobs` loads, calls and appends.

The rules of a failed attempt are in one place, `fail`:

| the attempt ended by | counts in | then |
|----------------------|-----------|------|
| an error or a time-out          | `attempts` | again after the backoff; failed at `max_attempts` |
| a permanent error               | `attempts` | failed at once |
| the worker's death, a lost lease | `crashes` | again after the backoff; failed at `max_crashes` |
| a graceful stop, a fault of configuration | nothing | again at once |
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
    EndReason,
    FailureReason,
    JobCompleted,
    JobCreated,
    JobFailed,
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


class Ending(NamedTuple):
    """How an attempt failed. `error_class` is a fact, `error` and `traceback` are the error's own
    words.
    """

    reason: FailureReason
    error_class: str
    error: str = ""
    traceback: str | None = None
    permanent: bool = False


def create(
    *,
    kind: str,
    payload: Any,
    options: Options,
    now: Timestamp,
    meta: Json,
    fingerprint: str | None = None,
) -> list[NewEvent]:
    """There shall be a job. `fingerprint` identifies the request, for repeats of an idempotency
    key.
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
    return [_event("JobCreated", now, data, meta, {"payload": payload})]


def start(
    job: Job, *, now: Timestamp, worker: str, epoch: int | None, lease_s: float, meta: Json
) -> list[NewEvent]:
    """Claim a due job. The position this gets is the attempt's fencing token."""
    if job.status is not Status.PENDING or not job.is_due(now):
        raise NotAllowedError(job, "claimed now")
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
    end = _end_after(job, ending)
    wait = 0.0 if ending.reason in UNCOUNTED else _sane(delay_s)
    data = AttemptFailed(
        attempt=job.attempt,
        reason=ending.reason,
        error_class=ending.error_class,
        retry_at=None if end else later(now, wait),
        duration_s=duration_s,
    )
    failed = _event("AttemptFailed", now, data, meta, _words(ending))
    if end is None:
        return [failed]
    last = JobFailed(attempt=job.attempt, reason=end)
    return [failed, _event("JobFailed", now, last, meta)]


def cancel(job: Job, *, now: Timestamp, reason: str | None, meta: Json) -> list[NewEvent]:
    """A pending job is not wanted any more. Cancelling twice is once."""
    if job.status is Status.CANCELLED:
        return []
    if job.status is not Status.PENDING:
        raise NotAllowedError(job, "cancelled")
    return [_event("JobCancelled", now, {}, meta, {"reason": reason} if reason else None)]


def retry(job: Job, *, now: Timestamp, reason: str | None, meta: Json) -> list[NewEvent]:
    """Open a failed or cancelled job again, its allowance anew; or let a waiting one run now."""
    if job.status not in (Status.PENDING, Status.FAILED, Status.CANCELLED):
        raise NotAllowedError(job, "retried")
    if job.is_due(now):
        raise NotAllowedError(job, "retried: it is due already")
    data = JobRetried(max_attempts=job.max_attempts, run_at=now)
    return [_event("JobRetried", now, data, meta, {"reason": reason} if reason else None)]


def failures_after(job: Job, reason: FailureReason) -> int:
    """How many failures of its sort the job has once its running attempt failed so: what the
    backoff grows with.
    """
    return job.crashes + 1 if reason in CRASHES else job.attempts


def _end_after(job: Job, ending: Ending) -> EndReason | None:
    """Why the job ends with this attempt; None when it is to be tried again."""
    if ending.reason in CRASHES:
        return "crashes" if job.crashes + 1 >= job.max_crashes else None
    if ending.reason in UNCOUNTED:
        return None
    if ending.permanent:
        return "permanent"
    return "max_attempts" if job.attempts >= job.max_attempts else None


def _sane(delay_s: float) -> float:
    """Whatever a processor asked for, a wait that `later` can add."""
    return min(delay_s, DELAY_S_MAX) if delay_s > 0 else 0.0  # NaN is not above 0 either


def _require_running(job: Job, token: int) -> None:
    if job.lease is None or job.lease.token != token:
        running = f"attempt {job.attempt} runs" if job.lease else f"the job is {job.status}"
        raise FencedError(f"attempt with token {token} is over: {running}")


def _words(ending: Ending) -> Json:
    words = {"error": _cut(ending.error)}
    if ending.traceback is not None:
        words["traceback"] = _cut(ending.traceback, keep_end=True)
    return words


def _cut(text: str, *, keep_end: bool = False) -> str:
    """At most ERROR_TEXT_BYTES_MAX bytes of UTF-8, whatever the text holds; of a traceback the end
    matters.
    """
    encoded = text.translate(_CONTROLS).encode("utf-8", errors="replace")
    part = encoded[-ERROR_TEXT_BYTES_MAX:] if keep_end else encoded[:ERROR_TEXT_BYTES_MAX]
    return part.decode("utf-8", errors="ignore")


def _event(
    type_: str, now: Timestamp, data: Any, meta: Json, private: Json | None = None
) -> NewEvent:
    return NewEvent(type_, now, data, private, meta)
