"""Builders of events and jobs: one for each type of event, one for a job in each state.

A builder makes what somebody wants recorded (`NewEvent`), timed in seconds after NOON and with data
that a test need not care about; `record` gives such events their places in one stream, as a store
would. So a test names what it is about and nothing else:

    record(job_created(priority=7), attempt_started(10), job_completed(12))

The data are written out here and not made by `service.commands`, which they are to test. Nothing
here checks anything, and nothing follows the state machine but `HISTORIES` and `random_life`.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from eventstore.event import Event, Head, NewEvent, prepare, recorded
from eventstore.timestamp import Timestamp, later
from projections.events import BackoffPolicy
from projections.job import Job, Status, fold

NOON: Final[Timestamp] = "2026-11-23T12:00:00.000000Z"
JOB_ID: Final = "01a20ac5-c1eb-7c41-9d2e-5b6a1f0c9e77"
LOG_ID: Final = "00c0ffee" * 4
US: Final = 0.000001
BACKOFF: Final = BackoffPolicy(base_s=5.0, factor=4.0, cap_s=3600.0)
LEASE_S: Final = 30.0


def at(seconds: float) -> Timestamp:
    """So many seconds after noon."""
    return later(NOON, seconds)


def job_created(
    seconds: float = 0, *, payload: Any = None, meta: Any = None, **data: Any
) -> NewEvent:
    """A job, due at once unless told otherwise."""
    facts = {
        "kind": "email",
        "run_at": at(seconds),
        "priority": 0,
        "max_attempts": 3,
        "max_crashes": 5,
        "backoff": BACKOFF,
        "timeout_s": 60.0,
    }
    return NewEvent("JobCreated", at(seconds), facts | data, {"payload": payload}, meta or {})


def attempt_started(seconds: float = 0, *, attempt: int = 1, **data: Any) -> NewEvent:
    """A claim by worker `w`, the first process of its log."""
    until = at(seconds + data.get("lease_s", LEASE_S))
    facts = {"worker": "w", "epoch": 1, "lease_s": LEASE_S, "lease_until": until}
    return NewEvent("AttemptStarted", at(seconds), {"attempt": attempt} | facts | data)


def lease_renewed(seconds: float = 0, *, attempt: int = 1, **data: Any) -> NewEvent:
    """A sign of life."""
    until = at(seconds + data.get("lease_s", LEASE_S))
    facts = {"attempt": attempt, "lease_s": LEASE_S, "lease_until": until}
    return NewEvent("LeaseRenewed", at(seconds), facts | data)


def attempt_failed(
    seconds: float = 0,
    *,
    attempt: int = 1,
    reason: str = "error",
    retry_at: Timestamp | None = None,
    error: str = "no luck",
    traceback: str | None = None,
    **data: Any,
) -> NewEvent:
    """A failure, for good unless there is a `retry_at`."""
    facts = {"attempt": attempt, "reason": reason, "error_class": "ValueError"}
    facts |= {"retry_at": retry_at, "duration_s": 1.5} | data
    words = {"error": error} | ({} if traceback is None else {"traceback": traceback})
    return NewEvent("AttemptFailed", at(seconds), facts, words)


def job_completed(
    seconds: float = 0, *, attempt: int = 1, result: Any = None, **data: Any
) -> NewEvent:
    """The end that everybody hopes for."""
    private = None if result is None else {"result": result}
    facts = {"attempt": attempt, "duration_s": 1.5} | data
    return NewEvent("JobCompleted", at(seconds), facts, private)


def job_failed(seconds: float = 0, *, attempt: int = 1, reason: str = "max_attempts") -> NewEvent:
    """Given up."""
    return NewEvent("JobFailed", at(seconds), {"attempt": attempt, "reason": reason})


def job_cancelled(seconds: float = 0, *, reason: str | None = None) -> NewEvent:
    """Not wanted any more."""
    return NewEvent("JobCancelled", at(seconds), {}, {"reason": reason} if reason else None)


def job_retried(
    seconds: float = 0, *, max_attempts: int = 3, reason: str | None = None, **data: Any
) -> NewEvent:
    """Wanted again, at once unless told otherwise."""
    facts = {"max_attempts": max_attempts, "run_at": at(seconds)} | data
    return NewEvent("JobRetried", at(seconds), facts, {"reason": reason} if reason else None)


BUILDERS: Final[dict[str, Callable[..., NewEvent]]] = {
    "JobCreated": job_created,
    "AttemptStarted": attempt_started,
    "LeaseRenewed": lease_renewed,
    "AttemptFailed": attempt_failed,
    "JobCompleted": job_completed,
    "JobFailed": job_failed,
    "JobCancelled": job_cancelled,
    "JobRetried": job_retried,
}

# A shortest way into each state; None is the state of a job that was never created.
HISTORIES: Final[dict[Status | None, tuple[NewEvent, ...]]] = {
    None: (),
    Status.PENDING: (job_created(),),
    Status.PROCESSING: (job_created(), attempt_started(10)),
    Status.COMPLETED: (job_created(), attempt_started(10), job_completed(20)),
    Status.FAILED: (job_created(), attempt_started(10), attempt_failed(20), job_failed(20)),
    Status.CANCELLED: (job_created(), job_cancelled(10)),
}


def record(*new: NewEvent, stream: str = JOB_ID, pos: int = 1, rev: int = 1) -> list[Event]:
    """These events as recorded in one stream, at consecutive positions and revisions from here."""
    events: list[Event] = []
    for index, event in enumerate(new):
        expected = Head(rev + index - 1, pos + index - 1)
        append = prepare(stream, expected, [event], nonce=f"{pos + index:016x}")
        events += recorded(append, pos=pos + index, time=event.time)
    return events


def follow(job: Job | None, new: NewEvent) -> Event:
    """An event where the stream of this job ends."""
    rev, pos = job.head if job else (0, 0)
    [event] = record(new, stream=job.id if job else JOB_ID, rev=rev + 1, pos=pos + 1)
    return event


def folded(*new: NewEvent, stream: str = JOB_ID, pos: int = 1) -> Job:
    """The job that these events make."""
    job = fold(record(*new, stream=stream, pos=pos))
    assert job is not None
    return job


def job_in(status: Status) -> Job:
    """A job in this state."""
    return folded(*HISTORIES[status])


def pending_job(name: str = JOB_ID, *, pos: int = 1, seconds: float = 0, **data: Any) -> Job:
    """A job that nobody has begun yet."""
    return folded(job_created(seconds, **data), stream=name, pos=pos)


def waiting_job(retry_at: Timestamp, **data: Any) -> Job:
    """A job that failed once and waits for its second attempt."""
    return folded(job_created(**data), attempt_started(10), attempt_failed(20, retry_at=retry_at))


def running_job(**data: Any) -> Job:
    """A job whose first attempt runs since ten seconds after noon. Its token is position 2."""
    return folded(job_created(**data), attempt_started(10))


def random_life(dice: Random, steps_max: int = 25) -> list[NewEvent]:
    """Some life that a job may lead: any number of failures, crashes, cancellations and retries."""
    events = [job_created(0, payload={"n": dice.randrange(100)}, priority=dice.randrange(-2, 3))]
    state, seconds, attempt = "pending", 0.0, 0
    for _ in range(dice.randrange(steps_max + 1)):
        seconds += dice.choice([0.0, US, 0.25, 3.7, 3600.0])
        choice = dice.choice(_STEPS[state])
        attempt += choice == "start"
        new, state = _step(choice, state, seconds, attempt, dice)
        events += new
    return events


_STEPS: Final = {
    "pending": ["start", "start", "start", "cancel", "retry"],
    "processing": ["renew", "complete", "fail", "fail", "fail", "give up"],
    "completed": ["nothing"],
    "failed": ["retry"],
    "cancelled": ["retry"],
}


def _step(
    choice: str, state: str, seconds: float, attempt: int, dice: Random
) -> tuple[list[NewEvent], str]:
    reason = dice.choice(["error", "timeout", "worker_lost", "lease_expired", "released", "config"])
    words = dice.choice(["", "no luck", "Übel ☠", "line\nline"])
    trace = dice.choice([None, "Traceback …"])
    failure = {"attempt": attempt, "reason": reason, "error": words, "traceback": trace}
    return {
        "start": lambda: ([attempt_started(seconds, attempt=attempt)], "processing"),
        "cancel": lambda: ([job_cancelled(seconds, reason=words or None)], "cancelled"),
        "retry": lambda: ([job_retried(seconds, max_attempts=dice.randrange(1, 9))], "pending"),
        "renew": lambda: ([lease_renewed(seconds, attempt=attempt)], "processing"),
        "complete": lambda: ([job_completed(seconds, attempt=attempt, result=words)], "completed"),
        "fail": lambda: ([attempt_failed(seconds, retry_at=at(seconds + 5), **failure)], "pending"),
        "give up": lambda: (
            [attempt_failed(seconds, **failure), job_failed(seconds, attempt=attempt)],
            "failed",
        ),
        "nothing": lambda: ([], state),
    }[choice]()
