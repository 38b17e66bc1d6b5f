"""Builders of events and jobs: one for each type of event, one for a job in each state.

A builder makes what somebody wants recorded (`NewEvent`), timed in seconds after NOON and with data
that a test need not care about; `record` gives such events their places in one stream, as a store
would. So a test names what it is about and nothing else:

    record(job_created(priority=7), attempt_started(10), job_completed(12))

The data are written out here and not made by `service.commands`, which they are to test. Nothing
here checks anything, and nothing follows the state machine but `HISTORIES`, `HELD`, `CANCELLING`
and `random_life`.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final, get_args

from eventstore.event import Event, Head, NewEvent, prepare, recorded
from eventstore.timestamp import Timestamp, later
from projections.events import BackoffPolicy, FailureReason
from projections.job import Job, Status, fold
from projections.kind import Kind, evolve_kind, stream_of

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


def cancel_requested(seconds: float = 0, *, reason: str | None = None) -> NewEvent:
    """Not wanted any more, while an attempt runs."""
    return NewEvent("CancelRequested", at(seconds), {}, {"reason": reason} if reason else None)


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


def job_held(seconds: float = 0, *, attempt: int = 1) -> NewEvent:
    """Nobody knows whether it was done: a person decides."""
    return NewEvent("JobHeld", at(seconds), {"attempt": attempt})


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


def kind_paused(
    seconds: float = 0, *, cause: str = "operator", reason: str | None = None, meta: Any = None
) -> NewEvent:
    """No more jobs of a kind begin."""
    private = {"reason": reason} if reason else None
    return NewEvent("KindPaused", at(seconds), {"cause": cause}, private, meta or {})


def kind_resumed(seconds: float = 0, *, reason: str | None = None, meta: Any = None) -> NewEvent:
    """They begin again."""
    private = {"reason": reason} if reason else None
    return NewEvent("KindResumed", at(seconds), {}, private, meta or {})


def kind_limited(
    seconds: float = 0,
    *,
    concurrency: int | None = None,
    rate: tuple[int, float] | None = None,
    meta: Any = None,
) -> NewEvent:
    """So many at a time, so many in so many seconds."""
    paced = rate and {"count": rate[0], "per_s": rate[1]}
    data = {"concurrency": concurrency, "rate": paced}
    return NewEvent("KindLimited", at(seconds), data, None, meta or {})


BUILDERS: Final[dict[str, Callable[..., NewEvent]]] = {
    "JobCreated": job_created,
    "AttemptStarted": attempt_started,
    "LeaseRenewed": lease_renewed,
    "CancelRequested": cancel_requested,
    "AttemptFailed": attempt_failed,
    "JobCompleted": job_completed,
    "JobHeld": job_held,
    "JobFailed": job_failed,
    "JobCancelled": job_cancelled,
    "JobRetried": job_retried,
}

KIND_BUILDERS: Final[dict[str, Callable[..., NewEvent]]] = {
    "KindPaused": kind_paused,
    "KindResumed": kind_resumed,
    "KindLimited": kind_limited,
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

HELD: Final = (
    job_created(),
    attempt_started(10),
    attempt_failed(20, reason="unknown"),
    job_held(20),
)
CANCELLING: Final = (job_created(), attempt_started(10), cancel_requested(15))


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


def kind_folded(*new: NewEvent, name: str = "email") -> Kind:
    """The kind that these events make."""
    kind = Kind(name)
    for event in record(*new, stream=stream_of(name)):
        kind = evolve_kind(kind, event)
    return kind


def random_life(dice: Random, steps_max: int = 25) -> list[NewEvent]:
    """Some life that a job may lead: any number of failures, doubts, crashes, cancellations,
    expiries and retries.
    """
    life = _Life(dice)
    for _ in range(dice.randrange(steps_max + 1)):
        life.step()
    return life.events


class _Life:
    """A job's life until now, and what may come next: its state has the name of a row of NEXT."""

    NEXT: Final = {
        "pending": ["start", "start", "start", "cancel", "retry", "expire"],
        "processing": ["renew", "complete", "fail", "fail", "fail", "give_up", "doubt", "ask"],
        "cancelling": ["renew", "complete", "obey"],
        "held": ["cancel", "retry", "expire"],
        "completed": [],
        "failed": ["retry"],
        "cancelled": ["retry"],
    }

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._seconds, self._attempt, self._state = 0.0, 0, "pending"
        self._expires = dice.random() < 0.3
        chosen = {"expires_at": at(7200)} if self._expires else {}
        chosen |= {"facts": {"message_id": "<1@x>"}} if dice.random() < 0.3 else {}
        payload, priority = {"n": dice.randrange(100)}, dice.randrange(-2, 3)
        self.events = [job_created(0, payload=payload, priority=priority, **chosen)]

    def step(self) -> None:
        """Something happens to it, if anything can."""
        self._seconds += self._dice.choice([0.0, US, 0.25, 3.7, 3600.0])
        if choices := self.NEXT[self._state]:
            getattr(self, self._dice.choice(choices))()

    def start(self) -> None:
        self._attempt += 1
        self._go("processing", attempt_started(self._seconds, attempt=self._attempt))

    def cancel(self) -> None:
        self._go("cancelled", job_cancelled(self._seconds, reason=self._words() or None))

    def retry(self) -> None:
        self._expires = self._expires and self._state == "pending"
        allowance = self._dice.randrange(1, 9)
        self._go("pending", job_retried(self._seconds, max_attempts=allowance))

    def expire(self) -> None:
        if self._expires:
            self._go("failed", self._failed("expired"))

    def renew(self) -> None:
        self._go(self._state, lease_renewed(self._seconds, attempt=self._attempt))

    def complete(self) -> None:
        end = job_completed(self._seconds, attempt=self._attempt, result=self._words())
        self._go("completed", end)

    def fail(self) -> None:
        self._go("pending", self._attempt_failed(retry_at=at(self._seconds + 5)))

    def give_up(self) -> None:
        self._go("failed", self._attempt_failed(), self._failed("max_attempts"))

    def doubt(self) -> None:
        held = job_held(self._seconds, attempt=self._attempt)
        self._go("held", self._attempt_failed(reason="unknown"), held)

    def ask(self) -> None:
        self._go("cancelling", cancel_requested(self._seconds, reason=self._words() or None))

    def obey(self) -> None:
        self._go("cancelled", self._attempt_failed(), job_cancelled(self._seconds))

    def _go(self, state: str, *new: NewEvent) -> None:
        self._state = state
        self.events += new

    def _attempt_failed(self, **known: Any) -> NewEvent:
        said = {
            "reason": self._dice.choice(get_args(FailureReason)),
            "error": self._words(),
            "traceback": self._dice.choice([None, "Traceback …"]),
            **self._dice.choice([{}, {"accepted": [self._dice.randrange(3)]}, {"refused": [3, 4]}]),
            **self._dice.choice([{}, {"facts": {"code": 451}}]),
        }
        return attempt_failed(self._seconds, attempt=self._attempt, **said | known)

    def _failed(self, reason: str) -> NewEvent:
        return job_failed(self._seconds, attempt=self._attempt, reason=reason)

    def _words(self) -> str:
        return self._dice.choice(["", "no luck", "Übel ☠", "line\nline"])
