"""What a kind of job does: kind -> processor, and what a processor may say.

A processor is a function that is given the payload, decoded into the type it declares, and the
attempt:

    @processor("report", max_attempts=5, timeout=60)
    async def report(payload: ReportRequest, attempt: Attempt) -> dict: ...

The payload type is the request's schema: the same type decodes and validates the body of `POST
/jobs/report` and is described in the API's document. A coroutine function runs on the loop, a plain
`def` in a thread. To return is to complete; to raise is to fail this attempt:

| raise           | the attempt | then |
|-----------------|-------------|------|
| anything        | counts      | again after the backoff, while attempts are left |
| `RetryAfter`    | counts      | again after so many seconds |
| `Permanent`     | counts      | the job fails at once: another attempt would end the same way |
| `Unsure`        | counts      | as it says: again, held for a person, or failed |
| `Misconfigured` | counts not  | the kind is paused until somebody resumes it |

All but the first are `AttemptError`s and may carry `facts`: a few clear members for the log.

A kind may look at a request once more when its job is made, and fix facts for all attempts: that is
`prepare`. A ValueError from it refuses the request, as one from the payload's type does.

The registry is a plain object: a service is built with one, and the built-in kinds are not special.
"""

import inspect
import math
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias, get_type_hints

import msgspec

from eventstore.errors import TooLarge
from eventstore.event import LINE_BYTES_MAX, Json
from eventstore.timestamp import Timestamp, later
from projections.events import BackoffPolicy, Doubt
from service import backoff

KIND = re.compile(r"[a-z][a-z0-9_-]{0,50}")
MAX_ATTEMPTS = 3
MAX_ATTEMPTS_MAX = 100
TIMEOUT_S = 300.0
TIMEOUT_S_MAX = 86_400
NO_FACTS: Final[Json] = {}

_STOPPING: Final = threading.Lock()  # an attempt may be told to stop while its thread asks


class AttemptError(Exception):
    """The attempt failed. `facts` are the kind's own clear words about it, a few short members:
    they go into the log's `data`, so nothing private belongs there.
    """

    def __init__(self, why: str = "", *, facts: Json | None = None) -> None:
        super().__init__(why)
        self.facts = facts


class Permanent(AttemptError):
    """Raise it to fail the job at once: another attempt would end the same way."""


class RetryAfter(AttemptError):
    """Raise it to fail this attempt and say when the next should be. It counts as an attempt."""

    def __init__(self, seconds: float, why: str = "", *, facts: Json | None = None) -> None:
        super().__init__(why or f"asked to be tried again in {seconds:g} s", facts=facts)
        self.seconds = seconds


class Unsure(AttemptError):
    """Raise it when the work may have been done, and may not: the line dropped before the answer.

    `then` says what to make of it: `retry` (it may be done twice), `hold` until somebody decides,
    or `fail`.
    """

    def __init__(self, why: str = "", *, then: Doubt = "retry", facts: Json | None = None) -> None:
        super().__init__(why, facts=facts)
        self.then = then


class Misconfigured(AttemptError):
    """Raise it when no job of this kind can succeed until somebody changes the settings: a refused
    login, say. It pauses the kind and uses up no attempt.
    """


@dataclass(slots=True, kw_only=True)
class Attempt:
    """The attempt a processor works on.

    `token` grows with every attempt of a job: hand it to what should fence. `timeout_s` after
    `started_at`, at `deadline`, the attempt is stopped; a plain function cannot be, and should look
    at `cancelled` now and then. `facts` are what the kind fixed when the job was created.

    A job that consists of parts (the recipients of a message) says by `accepted` and `refused`
    which of them, by index, are settled: what is added there is recorded even when the attempt
    fails, and the next attempt begins with it.
    """

    job_id: str
    number: int
    token: int
    created_at: Timestamp
    started_at: Timestamp
    timeout_s: float
    facts: Json = field(default_factory=dict)
    accepted: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    cancelled: bool = field(default=False, init=False, compare=False)
    _stopped: threading.Event | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def deadline(self) -> Timestamp:
        """When it will be stopped."""
        return later(self.started_at, self.timeout_s)

    @property
    def stopped(self) -> threading.Event:
        """Set once `cancelled` is, for a plain function that has nothing to do but to wait."""
        with _STOPPING:
            if self._stopped is None:
                self._stopped = threading.Event()
                if self.cancelled:
                    self._stopped.set()
            return self._stopped

    def stop(self) -> None:
        """It shall end: the time is over, the job was cancelled, or the worker stops."""
        with _STOPPING:
            self.cancelled = True
            if self._stopped is not None:
                self._stopped.set()


class Prepared(NamedTuple):
    """What a kind makes of a valid request: the payload to keep, and facts fixed for good."""

    payload: Any
    facts: Json = NO_FACTS


class UnfitPayloadError(Exception):
    """The kind does not take this payload: it says why, and ends in the path, ` - at `$.to``."""


Handler: TypeAlias = Callable[[Any, Attempt], Any]
Prepare: TypeAlias = Callable[[Any, str, Timestamp], Prepared]  # payload, job id, now


@dataclass(frozen=True, slots=True)
class Processor:
    """A kind of job: its payload's type, its function, and the defaults of its jobs.

    Without a `handler` only remote workers run it. `prepare` is called once, when a job is created,
    with the payload, the job's id and the time. `example` is a payload for the API's document.
    """

    kind: str
    payload: Any
    handler: Handler | None
    max_attempts: int = MAX_ATTEMPTS
    timeout_s: float = TIMEOUT_S
    backoff: BackoffPolicy = field(default_factory=lambda: backoff.DEFAULT)
    prepare: Prepare | None = None
    example: Any = None
    about: str = ""
    in_thread: bool = field(init=False)  # it blocks, and so runs in a thread

    def __post_init__(self) -> None:
        """What is said here goes into the log with every job: what could not be read again, or
        never be carried out, is refused with a ValueError.
        """
        blocks = self.handler is not None and not inspect.iscoroutinefunction(self.handler)
        object.__setattr__(self, "in_thread", blocks)
        if not 1 <= self.max_attempts <= MAX_ATTEMPTS_MAX:
            raise ValueError(f"{self.kind}: max_attempts is from 1 to {MAX_ATTEMPTS_MAX}")
        if not (_is_number(self.timeout_s) and 0 < self.timeout_s <= TIMEOUT_S_MAX):
            raise ValueError(f"{self.kind}: the timeout is above 0 and at most {TIMEOUT_S_MAX} s")
        policy: dict[str, Any] = dict(self.backoff)
        names = sorted(BackoffPolicy.__required_keys__)
        sound = all(_is_number(each) and each >= 0 for each in policy.values())
        if sorted(policy) != names or not sound:
            names_told = ", ".join(names)
            raise ValueError(f"{self.kind}: a backoff has {names_told}, numbers of at least 0")

    def call(self, payload: Any, attempt: Attempt) -> Awaitable[Any] | Any:
        """Begin the work: of a coroutine function what is to be awaited, else its result."""
        assert self.handler is not None, f"{self.kind} has no handler here"
        own = msgspec.to_builtins(payload)  # a copy: the job's own is not to be changed
        return self.handler(msgspec.convert(own, self.payload), attempt)


class Registry:
    """The kinds a service knows."""

    def __init__(self, *processors: Processor) -> None:
        self._processors: dict[str, Processor] = {}
        for each in processors:
            self.add(each)

    def add(self, new: Processor) -> None:
        """Take in a kind. Raises ValueError when it is there already."""
        if new.kind in self._processors:
            raise ValueError(f"there are two processors for kind {new.kind!r}")
        self._processors[new.kind] = new

    def get(self, kind: str) -> Processor | None:
        """The processor of a kind; None for an unknown one."""
        return self._processors.get(kind)

    def kinds(self) -> list[str]:
        """The known kinds, in order."""
        return sorted(self._processors)

    def runnable(self) -> list[str]:
        """The kinds that can run in this process, in order."""
        return [kind for kind in self.kinds() if self._processors[kind].handler is not None]

    def __iter__(self) -> Iterator[Processor]:
        return iter(self._processors.values())


def processor(
    kind: str,
    *,
    max_attempts: int = MAX_ATTEMPTS,
    timeout: float = TIMEOUT_S,
    backoff: BackoffPolicy = backoff.DEFAULT,
    prepare: Prepare | None = None,
    example: Any = None,
) -> Callable[[Handler], Processor]:
    """Make a processor of a function; its first parameter's annotation is the payload's type."""

    def made(handler: Handler) -> Processor:
        payload = get_type_hints(handler).get(next(iter(inspect.signature(handler).parameters), ""))
        if payload is None:
            raise TypeError(f"the processor of {kind!r} must say its payload's type")
        return Processor(
            kind=kind_named(kind),
            payload=payload,
            handler=handler,
            max_attempts=max_attempts,
            timeout_s=timeout,
            backoff=backoff,
            prepare=prepare,
            example=example,
            about=inspect.getdoc(handler) or "",
        )

    kind_named(kind)
    return made


def prepared(prepare: Prepare | None, payload: Any, job_id: str, now: Timestamp) -> Prepared:
    """The payload to keep and the facts that its kind fixed. Raises UnfitPayloadError."""
    if prepare is None:
        return Prepared(payload)
    try:
        return prepare(payload, job_id, now)
    except ValueError as error:
        raise UnfitPayloadError(str(error)) from error


def as_json(payload: Any) -> Any:
    """A payload as the log has it. Raises TooLarge for what cannot fit a line, before it is taken
    apart: a megabyte of brackets takes 60 ms, and its length next to nothing.
    """
    size = len(msgspec.json.encode(payload))
    if size > LINE_BYTES_MAX:
        raise TooLarge(size, LINE_BYTES_MAX)
    return msgspec.to_builtins(payload)


def remote_kind(kind: str) -> Processor:
    """A kind that is taken at intake and run by remote workers only; any JSON is a payload."""
    return Processor(kind=kind_named(kind), payload=Any, handler=None, example={})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def kind_named(kind: str) -> str:
    """The name of a kind. Raises ValueError for what is none."""
    if not KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is not a kind: {KIND.pattern}")
    return kind
