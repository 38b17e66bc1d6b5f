"""The kinds of jobs of a simulation, and the register of who ran what when.

    work    a coroutine; the server's worker and remote ones compete for it
    plain   a plain function
    far     taken by remote workers only
    email   the built-in kind, over a mail server that answers as it likes

What an attempt comes to stands in its payload, step by step; once all is calm everything succeeds.
The register is asked at the beginning of each: it is what the processors really saw, whatever the
log says.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final, NamedTuple

import orjson

from eventstore import clock
from projections.events import BackoffPolicy
from service.processors import (
    Attempt,
    Misconfigured,
    Permanent,
    Processor,
    RetryAfter,
    Unsure,
    processor,
)
from service.processors.email import email_processor
from service.processors.email.mime import Letter
from service.processors.email.transport import left_over
from tests.simulation.faults import Faults
from tests.simulation.loop import HERE, Node
from tests.simulation.storage import Book, Ground

BACKOFF: Final = BackoffPolicy(base_s=1.0, factor=3.0, cap_s=15.0)
KINDS: Final = ("work", "plain", "far", "email")
STEPS: Final = (
    "ok", "ok", "ok 0.2", "ok 3", "ok 20", "ok 60", "raise", "raise 1", "permanent", "later",
    "unsure retry", "unsure hold", "unsure fail", "misconfigured", "deaf", "cancel itself",
)  # fmt: skip
PLAIN_STEPS: Final = tuple(step for step in STEPS if " " not in step and step != "deaf")
REPLIES: Final = ("ok", "ok", "ok 0.2", "raise 1", "permanent", "unsure retry", "ok 60", "deaf")


class Running(NamedTuple):
    """An attempt under way, where, and until when."""

    node: Node | None
    attempt: Attempt
    until: float

    @property
    def was_told_to_stop(self) -> bool:
        """By its worker, or because its time is over: what goes on all the same is deaf."""
        return self.attempt.cancelled or clock.monotonic() >= self.until


class Register:
    """See the module."""

    def __init__(self, book: Book, ground: Ground, faults: Faults) -> None:
        self._book = book
        self._ground = ground
        self.faults = faults
        self.began: dict[tuple[str, int], int] = {}  # job and attempt -> token
        self.delivered: dict[str, int] = {}  # of letters
        self._running: dict[str, list[Running]] = {}
        self.overlaps: list[tuple[str, int, int]] = []  # of a job, two attempts at the same time
        self.broken: list[str] = []  # promises; a processor's own AssertionError is only a failure

    @contextmanager
    def at_work(self, attempt: Attempt) -> Iterator[None]:
        """While a processor has this attempt in hand."""
        node = HERE.get()
        running = Running(node, attempt, clock.monotonic() + attempt.timeout_s)
        others = self._running.setdefault(attempt.job_id, [])
        self._require_durable(attempt)
        self._require_alone(attempt, others)
        others.append(running)
        try:
            yield
        finally:
            others.remove(running)

    def _require_durable(self, attempt: Attempt) -> None:
        which = attempt.job_id, attempt.number
        if which in self.began:
            self.broken.append(f"attempt {which} ran twice")
        self.began[which] = attempt.token
        line = self._book.acknowledged.get(attempt.token)
        started = line and orjson.loads(line)
        if not started or attempt.token > self._ground.head():
            self.broken.append(f"attempt {which} ran before its claim was durable")
        elif (started["type"], started["stream"]) != ("AttemptStarted", attempt.job_id):
            self.broken.append(f"attempt {which} ran by a token that is no claim of it")
        elif started["data"]["attempt"] != attempt.number:
            self.broken.append(f"attempt {which} ran by the token of another attempt")

    def _require_alone(self, attempt: Attempt, others: list[Running]) -> None:
        """Who was told to stop, stands still or is dead does no harm any more."""
        for other in others:
            node = other.node
            if (node and (node.dead or node.still)) or other.was_told_to_stop:
                continue
            self.overlaps.append((attempt.job_id, other.attempt.number, attempt.number))


async def _take(step: str, attempt: Attempt) -> Any:
    """Do as the plan says."""
    what, _, more = step.partition(" ")
    if more and what in ("ok", "raise"):
        await asyncio.sleep(float(more))
    if what == "deaf":
        await _hear_nothing(7.0)
    return _come_to(what, more, attempt)


def _come_to(what: str, more: str, attempt: Attempt) -> Any:
    facts = {"token": attempt.token}
    if what == "raise":
        raise ConnectionError(f"{attempt.token}")
    if what == "permanent":
        raise Permanent("no use", facts=facts)
    if what == "later":
        raise RetryAfter(2.5, facts=facts)
    if what == "unsure":
        raise Unsure("who knows", then=more or "retry", facts=facts)
    if what == "misconfigured":
        raise Misconfigured("a login is refused", facts=facts)
    if what == "cancel":
        raise asyncio.CancelledError
    return {"token": attempt.token, "number": attempt.number}


async def _hear_nothing(seconds: float) -> None:
    """A processor that will not be stopped, for so long."""
    until = asyncio.get_running_loop().time() + seconds
    while (left := until - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


def _step(payload: Any, attempt: Attempt, register: Register) -> str:
    if register.faults.calm:
        return "ok"
    plan = payload["plan"]
    return plan[min(attempt.number, len(plan)) - 1]


def server_kinds(register: Register, dice: Random) -> list[Processor]:
    """What the server knows."""

    @processor("plain", backoff=BACKOFF, timeout=10)
    def plain(payload: dict[str, Any], attempt: Attempt) -> Any:
        with register.at_work(attempt):
            return _come_to(*_step(payload, attempt, register).partition(" ")[::2], attempt)

    email = email_processor(MailServer(register, dice), backoff=BACKOFF)
    far = Processor(kind="far", payload=Any, handler=None, backoff=BACKOFF, timeout_s=20)
    return [_work(register, "work"), plain, email, far]


def worker_kinds(register: Register) -> list[Processor]:
    """What a remote worker knows."""
    return [_work(register, "work"), _work(register, "far")]


def _work(register: Register, kind: str) -> Processor:
    @processor(kind, backoff=BACKOFF, timeout=20)
    async def work(payload: dict[str, Any], attempt: Attempt) -> Any:
        with register.at_work(attempt):
            return await _take(_step(payload, attempt, register), attempt)

    return work


class MailServer:
    """Takes letters, refuses some, and of some nobody knows."""

    timeout_s = 15.0

    def __init__(self, register: Register, dice: Random) -> None:
        self._register = register
        self._dice = dice

    async def __call__(self, letter: Letter, attempt: Attempt) -> dict[str, Any]:
        """See Transport."""
        with self._register.at_work(attempt):
            bad = self._register.faults.hit("a processor misbehaves")
            step = self._dice.choice(REPLIES) if bad else "ok"
            if step.startswith(("ok", "unsure", "deaf")):
                delivered = self._register.delivered
                delivered[attempt.job_id] = delivered.get(attempt.job_id, 0) + 1
            result = await _take(step, attempt)
            attempt.accepted.update(left_over(letter, attempt))
            return result

    async def aclose(self) -> None:
        """See Transport."""
