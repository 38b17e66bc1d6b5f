"""What a kind of job does: kind -> processor, and what a processor may say.

A processor is a coroutine that is given the payload, decoded into the type it declares, and the
attempt:

    @processor("report", max_attempts=5, timeout=60)
    async def report(payload: ReportRequest, attempt: Attempt) -> dict: ...

The payload type is the request's schema: the same type decodes and validates the body of `POST
/jobs/report`. To return is to complete; to raise is to fail this attempt. `Permanent` says that no
further attempt would help, `RetryAfter` when the next one should be. Everything else about
attempts, retries and time-outs is the worker's.

The registry is a plain object: a service is built with one, and the built-in kinds are not special.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, get_type_hints

import msgspec

from projections.events import BackoffPolicy
from service import backoff

KIND = re.compile(r"[a-z][a-z0-9_-]{0,50}")
MAX_ATTEMPTS = 3
TIMEOUT_S = 300.0


class Permanent(Exception):
    """Raise it to fail the job at once: another attempt would end the same way."""


class RetryAfter(Exception):
    """Raise it to fail this attempt and say when the next should be. It counts as an attempt."""

    def __init__(self, seconds: float, why: str = "") -> None:
        super().__init__(why or f"asked to be tried again in {seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt a processor works on. `token` grows with every attempt of a job: hand it to what
    should fence.
    """

    job_id: str
    number: int
    token: int
    created_at: str


Handler: TypeAlias = Callable[[Any, Attempt], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Processor:
    """A kind of job: its payload's type, its coroutine, and the defaults of its jobs."""

    kind: str
    payload: Any
    handler: Handler
    max_attempts: int
    timeout_s: float
    backoff: BackoffPolicy

    async def run(self, payload: Any, attempt: Attempt) -> Any:
        """Do the work; return whatever the coroutine returns."""
        return await self.handler(msgspec.convert(payload, self.payload), attempt)


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

    def __iter__(self) -> Iterator[Processor]:
        return iter(self._processors.values())


def processor(
    kind: str,
    *,
    max_attempts: int = MAX_ATTEMPTS,
    timeout: float = TIMEOUT_S,
    backoff: BackoffPolicy = backoff.DEFAULT,
) -> Callable[[Handler], Processor]:
    """Make a processor of a coroutine function; its first parameter's annotation is the payload's
    type.
    """
    if not KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is not a kind: {KIND.pattern}")

    def made(handler: Handler) -> Processor:
        if not inspect.iscoroutinefunction(handler):
            raise TypeError(f"the processor of {kind!r} must be an async function")
        payload = get_type_hints(handler).get(next(iter(inspect.signature(handler).parameters), ""))
        if payload is None:
            raise TypeError(f"the processor of {kind!r} must say its payload's type")
        return Processor(kind, payload, handler, max_attempts, timeout, backoff)

    return made
