"""The service that a test has in its hand: what it can be asked and told, as plain calls.

Everything is real but the store, the socket and the time: requests go through the whole
application, jobs through the production worker, on a virtual loop that stands still between two
calls. Work is done in `drain` and `advance` only, so that a job just posted is `pending` until the
test says otherwise, and a test reads from top to bottom.

The manual for users is the package's docstring.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from eventstore import clock
from eventstore.event import Event
from eventstore.timestamp import timestamp
from service.processors import Processor
from service.settings import Settings
from service.testing.call import Answer, Refused, call
from service.testing.failure import FailedAttempt, failed_attempts
from service.testing.loop import START, VirtualLoop, virtual_time
from service.testing.passing import drained, passed
from service.testing.process import Process
from service.web.document import JobDocument

PROBLEMS_FROM = 400  # the statuses of answers that refuse

T = TypeVar("T")

logger = logging.getLogger("joblog.testing")


class RunningLoopError(Exception):
    """A coroutine cannot hold this service: there is a loop already, and it would block that."""

    def __init__(self) -> None:
        super().__init__("an event loop is running here: make this test a plain `def`")


class _Page(msgspec.Struct, frozen=True):
    jobs: list[JobDocument]


class InMemoryService:
    """See the package. `service(…)` makes one."""

    def __init__(self, runner: asyncio.Runner, process: Process) -> None:
        self._runner = runner
        self._process = process
        self._noted = 0  # the position up to which failures were noted
        self.errors: list[FailedAttempt] = []

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromisoformat(clock.now())

    def post(self, kind: str, payload: Any, *, key: str | None = None, **options: Any) -> str:
        """Post a job; its id. Raises Refused where the API would refuse it.

        `options` are those of the query: `delay`, `run_at`, `expires_at`, `max_attempts`,
        `priority`, `timeout`; a time or a duration may be a `datetime` or a `timedelta`. `key` is
        an idempotency key.
        """
        query = urlencode({name: _text(value) for name, value in options.items()})
        headers = {} if key is None else {"Idempotency-Key": key}
        target = f"/jobs/{quote(kind, safe='')}?{query}"
        answer = self._asked("POST", target, msgspec.json.encode(payload), headers)
        return str(answer.json["id"])

    def job(self, job_id: str) -> JobDocument:
        """The job as `GET /jobs/{id}` gives it. Raises Refused (404) when there is none."""
        return _document(self._asked("GET", _path(job_id)))

    def jobs(self, *, status: str | None = None, kind: str | None = None) -> list[JobDocument]:
        """All jobs, or those of a status or a kind; the newest first."""
        wanted = {"status": status, "kind": kind}
        query = urlencode({name: value for name, value in wanted.items() if value is not None})
        found: list[JobDocument] = []
        target: str | None = f"/jobs?{query}"
        while target is not None:
            answer = self._asked("GET", target)
            found += msgspec.json.decode(answer.body, type=_Page).jobs
            target = _next(answer)
        return found

    def history(self, job_id: str) -> list[Event]:
        """The job's events, oldest first. Raises JobNotFoundError when there is none."""
        return self._run(self._process.service.jobs.history(job_id))

    def cancel(self, job_id: str, reason: str | None = None) -> JobDocument:
        """Cancel a job. Raises Refused (409) where its state does not permit it."""
        return _document(self._asked("POST", f"{_path(job_id)}/cancel", _because(reason)))

    def retry(self, job_id: str, reason: str | None = None) -> JobDocument:
        """Open a job that ended, or let a waiting one run now. Raises Refused (409) where its state
        does not permit it.
        """
        return _document(self._asked("POST", f"{_path(job_id)}/retry", _because(reason)))

    def http(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any call of the API; its answer, whatever the status. `target` is a path and may have a
        query; `body` is sent as JSON, and bytes as they are.
        """
        sent = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        return self._run(call(self._process.service.app, method, target, sent, headers or {}))

    def drain(self) -> None:
        """Run all that is due, to its end. While processors sleep, time passes; jobs that wait for
        a later time stay. Raises StillRunningError when it comes to no end.
        """
        self._work(drained(self._process))

    def advance(self, time: float | timedelta) -> None:
        """Let exactly this time pass (seconds, or a timedelta); what becomes due runs. An attempt
        that is under way at its end still is: `drain` lets it end.
        """
        seconds = time.total_seconds() if isinstance(time, timedelta) else time
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds:g} s")
        self._work(passed(self._process, seconds))

    def kill(self) -> None:
        """The process dies here, without a word, and another begins over the same log: attempts
        under way are `worker_lost`, and tried again after their backoff.
        """
        self._run(self._process.die_and_rise())

    def kill_at_outcome(self) -> None:
        """The process shall die at the worst moment: when the next attempt has done its work, and
        nothing was recorded of that. Another begins at once.
        """
        self._process.store.die_at_outcome()

    def _work(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._process.work(on=True)
        try:
            self._run(coroutine)
        finally:
            self._process.work(on=False)

    def _asked(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        answer = self.http(method, target, body, headers)
        if answer.status >= PROBLEMS_FROM:
            raise Refused(f"{method} {target.partition('?')[0]}", answer)
        return answer

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Let the loop run until this is done."""
        return self._runner.run(self._noting(coroutine))

    async def _noting(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result, once the attempts that failed meanwhile are noted."""
        try:
            return await self._process.watched(coroutine)
        finally:
            while events := await self._process.store.read(self._noted):
                self._noted = events[-1].pos
                for failed in failed_attempts(events):
                    logger.warning("%s", failed)
                    self.errors.append(failed)


@contextmanager
def service(
    *processors: Processor, start: str = START, seed: int = 1, concurrency: int = 100
) -> Iterator[InMemoryService]:
    """A service with these kinds of jobs, in memory, at `start`; time is frozen until the end."""
    for each in processors:
        if not isinstance(each, Processor):
            raise TypeError(f"{each!r} is not a processor: it lacks its @processor(…)")
    _refuse_a_running_loop()
    settings = Settings(store="memory:", concurrency=concurrency)
    with virtual_time(start) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        dice = Random(seed)  # noqa: S311  ids and jitter: the same in every run
        process = Process(loop, processors, settings, dice)
        runner.run(process.watched(process.begin()))
        try:
            yield InMemoryService(runner, process)
        finally:
            runner.run(process.watched(process.end()))


def _refuse_a_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RunningLoopError


def _path(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"


def _because(reason: str | None) -> dict[str, str] | None:
    return None if reason is None else {"reason": reason}


def _text(value: Any) -> str:
    """An option as the query has it."""
    if isinstance(value, datetime):
        return timestamp(value)
    return str(value.total_seconds() if isinstance(value, timedelta) else value)


def _document(answer: Answer) -> JobDocument:
    return msgspec.json.decode(answer.body, type=JobDocument)


def _next(answer: Answer) -> str | None:
    """Where the next page is."""
    link = answer.headers.get("link", "")
    return link[1 : link.index(">")] if link else None
