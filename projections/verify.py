"""What a log's events claim, checked against the vocabulary and the state machine: the half of a
verification that knows what events mean. The other half, lines and files, is the store's.

| checked | where the rule is |
|---------|-------------------|
| type and version are known; unknown ones are notes, a newer program's | `events` |
| `data` has the members of its type, and times are times of day that there are | `events` |
| the event may follow: status, attempt numbers, and that a job given up says so | `job` |
| a job ends for a reason that is there: a last attempt, doubt, no cancellation ignored | `events` |
| writers come one after the other, each with the next epoch | `eventstore.log` |

It goes on after each finding. A job whose story it cannot follow any more (a revision is missing,
or an event is not what its type says) is set aside: its later events are checked each for itself,
so that one fault is not reported again and again.

Memory: the jobs that may go on (open, failed, cancelled), without what is private, and the names of
those set aside. Completed jobs are forgotten. Pure: events in, findings out.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from eventstore.event import Event
from eventstore.store import LOG_STREAM
from projections.events import JOB_EVENTS, KIND_EVENTS, LOG_EVENTS, VERSIONS, upcast
from projections.job import TRANSITIONS, Job, Status, evolve
from projections.kind import KIND_STREAM

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_SEQUELS: Final = ("JobFailed", "JobHeld", "JobCancelled")  # of an attempt without another
_NO_SEQUEL: Final = f"no {', '.join(_SEQUELS[:-1])} or {_SEQUELS[-1]} follows"
_TIMES: Final = ("_at", "_until")  # how the names of members that hold a time end


class Finding(NamedTuple):
    """What is amiss with an event; a note is no damage."""

    found: str
    is_note: bool = False


class LifeCycles:
    """Every story so far, as much of it as the next event is judged by."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._aside: set[str] = set()
        self._epoch = 0
        self._given_up: Event | None = None  # the last event, if it was a job's last attempt
        self._ended_by: Event | None = None  # the attempt that the event in hand is the sequel of
        self._noted: set[tuple[str, int]] = set()

    def set_aside(self, stream: str) -> None:
        """What this stream has come to is not known any more."""
        self._jobs.pop(stream, None)
        self._aside.add(stream)

    def check(self, event: Event) -> Iterator[Finding]:
        """What is wrong with the next event of the log."""
        yield from self._ending(event)
        if event.v > VERSIONS.get(event.type, 0):
            yield from self._unknown(event)
            return
        wrong = _wrong(event)
        if wrong is None and event.stream not in self._aside:
            wrong = self._follow(event)
        if wrong is not None:
            self.set_aside(event.stream)
            yield Finding(wrong)

    def _ending(self, event: Event) -> Iterator[Finding]:
        """A job's last attempt and its end are recorded together."""
        last, self._given_up = self._given_up, None
        follows = last is not None and event.pos == last.pos + 1
        sequel = last is not None and event.stream == last.stream and event.type in _SEQUELS
        self._ended_by = last if follows and sequel else None
        if last and follows and not sequel:
            yield Finding(f"position {last.pos} ends job {last.stream}, but {_NO_SEQUEL}")
        if event.type == "AttemptFailed" and event.data.get("retry_at", "") is None:
            self._given_up = event

    def _unknown(self, event: Event) -> Iterator[Finding]:
        """Folds pass an unknown type by; of an unknown version nobody here knows what it does."""
        job = self._jobs.get(event.stream)
        if event.type in VERSIONS:
            self.set_aside(event.stream)
        elif job is not None:
            self._jobs[event.stream] = replace(job, rev=event.rev, pos=event.pos)
        if (event.type, event.v) not in self._noted:
            self._noted.add((event.type, event.v))
            found = f"{event.type} v{event.v} is unknown here and was not checked (noted once)"
            yield Finding(found, is_note=True)

    def _follow(self, event: Event) -> str | None:
        if event.stream == LOG_STREAM:
            return self._follow_log(event)
        if event.type in KIND_EVENTS:
            return None  # each stands for itself: the last one of its sort holds
        return self._follow_job(event)

    def _follow_log(self, event: Event) -> str | None:
        """The log's own stream: opened once, then writer after writer."""
        epoch = event.data.get("epoch")
        if event.type == "LogOpened":
            return None if event.pos == 1 else "LogOpened stands elsewhere than at position 1"
        if event.type == "WriterStarted":
            self._epoch += 1
        if epoch != self._epoch:
            return f"{event.type} of epoch {epoch} where {self._epoch} was due"
        return None

    def _follow_job(self, event: Event) -> str | None:
        """Fold the event into its job; what is wrong if it cannot follow."""
        job = self._jobs.get(event.stream)
        ended = job is None and event.rev > 1  # completed, and so forgotten
        status = Status.COMPLETED if ended else job.status if job else None
        if (status, event.type) not in TRANSITIONS:
            return f"{event.type} cannot follow {status or 'no job'} (job {event.stream})"
        attempt = job.attempt + (event.type == "AttemptStarted") if job else 0
        if event.data.get("attempt", attempt) != attempt:
            return f"{event.type} of attempt {event.data['attempt']} where {attempt} was due"
        if (wrong := _groundless(job, event, self._ended_by)) is not None:
            return f"{wrong} (job {event.stream})"
        self._take_in(evolve(job, replace(event, private=None)))
        return None

    def _take_in(self, job: Job | None) -> None:
        assert job is not None
        if job.status is Status.COMPLETED:
            del self._jobs[job.id]
        else:
            self._jobs[job.id] = replace(job, attempt_log=job.attempt_log[-1:])


def _groundless(job: Job | None, event: Event, ended_by: Event | None) -> str | None:
    """What is wrong with an event that may follow, but not for what was there before it."""
    if event.type == "JobHeld" and (not ended_by or ended_by.data.get("reason") != "unknown"):
        return "JobHeld without an attempt in doubt"
    if event.type == "JobFailed" and not ended_by and event.data["reason"] != "expired":
        return f"JobFailed ({event.data['reason']}) without a last attempt"
    cancelling = job is not None and job.cancel_requested_at is not None
    if event.type == "AttemptFailed" and cancelling and event.data["retry_at"] is not None:
        return "AttemptFailed is to be tried again, although its cancellation was requested"
    return None


def _wrong(event: Event) -> str | None:
    """What is wrong with an event of a known type in itself."""
    if (event.type in LOG_EVENTS) != (event.stream == LOG_STREAM):
        return f"{event.type} does not belong in stream {event.stream}"
    if (event.type in KIND_EVENTS) != event.stream.startswith(KIND_STREAM):
        return f"{event.type} does not belong in stream {event.stream}"
    form = (JOB_EVENTS | KIND_EVENTS | LOG_EVENTS)[event.type]
    data = upcast(event.type, event.v, event.data)
    try:
        msgspec.convert(data, form)
    except msgspec.ValidationError as error:
        return f"{event.type}: {error}"
    times = {name: data.get(name) for name in form.__annotations__ if name.endswith(_TIMES)}
    for name, time in {"time": event.time, **times}.items():
        if time is not None and not _is_timestamp(time):
            return f"{event.type}: {name} is no timestamp: {time!r}"
    return None


def _is_timestamp(text: str) -> bool:
    if not _TIMESTAMP.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:  # a 30th of February
        return False
    return True
