"""Jobs: the only writer of job streams. Load, decide, append where the stream was, again on
conflict.

`execute` is the one loop about concurrency in joblog. It decides on the job as this process last
saw it, which may be a moment old; a conflict, or a refusal based on an old state, makes it read the
stream itself and decide again. So a command is only ever refused, and only ever recorded, on what
the log really holds.

Reading is here too, because a reader wants his own writes: the answers wait for the projector to
reach the last position that this object was given. Who may do what is not decided here, but in
`service.commands`.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from eventstore import clock
from eventstore.errors import Conflict
from eventstore.event import NEW, Event, Head, Json, NewEvent
from eventstore.log import EventLog
from eventstore.timestamp import Timestamp
from projections.job import Job, fold
from projections.projector import Projector
from projections.table import Filter
from service import backoff, commands
from service.commands import Ending, FencedError, NotAllowedError, Options
from service.ids import keyed_job_id, new_job_id

CONFLICTS_MAX = 100  # a stream has a handful of writers; so many in a row is a fault of ours

Decide: TypeAlias = Callable[[Job], list[NewEvent]]


class JobNotFoundError(Exception):
    """There is no job of this id, and never was."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}")
        self.job_id = job_id


class KeyReusedError(Exception):
    """The idempotency key was used before, for a different request."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"this key was used before with another request, which made job {job_id}")
        self.job_id = job_id


class PreconditionFailedError(Exception):
    """The job is at another revision than the caller acts on; nothing was recorded."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"the job has moved on: it is at revision {job.rev} now")
        self.job = job


@dataclass(frozen=True, slots=True)
class Created:
    """A job as its creation left it; `replayed` when the key's first use made it, earlier."""

    job: Job
    replayed: bool


class Jobs:
    """Commands and queries."""

    def __init__(self, log: EventLog, projector: Projector, *, dice: Random) -> None:
        self._log = log
        self._projector = projector
        self._dice = dice
        self._seen = 0  # the last position this object was given
        self._stopping = False

    async def create(
        self,
        kind: str,
        payload: Any,
        options: Options,
        *,
        meta: Json,
        now: Timestamp | None = None,
        owner: str = "-",
        key: str | None = None,
        fingerprint: str | None = None,
    ) -> Created:
        """Make a job, durably. With a `key`, at most one for this owner, kind and key.

        Raises KeyReusedError when the key's first use had another fingerprint, and what
        `EventLog.append` raises.
        """
        now = now or clock.now()
        job_id = new_job_id(now, self._dice) if key is None else keyed_job_id(owner, kind, key)
        events = commands.create(
            kind=kind, payload=payload, options=options, now=now, meta=meta, fingerprint=fingerprint
        )
        try:
            recorded = await self._append(job_id, NEW, events)
        except Conflict:
            assert key is not None, "a fresh id cannot be taken"
            return await self._first_answer(job_id, fingerprint)
        return Created(_folded(recorded), replayed=False)

    async def cancel(
        self,
        job_id: str,
        *,
        meta: Json,
        reason: str | None = None,
        if_rev: Collection[int] | None = None,
    ) -> Job:
        """See commands.cancel; with `if_rev`, only at one of these revisions.

        Raises JobNotFoundError, NotAllowedError, PreconditionFailedError.
        """
        return await self._change(job_id, commands.cancel, meta=meta, reason=reason, if_rev=if_rev)

    async def retry(
        self,
        job_id: str,
        *,
        meta: Json,
        reason: str | None = None,
        if_rev: Collection[int] | None = None,
    ) -> Job:
        """See commands.retry; with `if_rev`, only at one of these revisions.

        Raises JobNotFoundError, NotAllowedError, PreconditionFailedError.
        """
        return await self._change(job_id, commands.retry, meta=meta, reason=reason, if_rev=if_rev)

    async def fail(
        self,
        job: Job,
        *,
        token: int,
        ending: Ending,
        duration_s: float,
        meta: Json,
        retry_after_s: float | None = None,
        if_rev: Collection[int] | None = None,
    ) -> Job:
        """Record that an attempt failed, with a drawn delay or the one asked for.

        With `if_rev`, only at one of these revisions. Raises FencedError, PreconditionFailedError.
        """

        def decide(job: Job) -> list[NewEvent]:
            _require_rev(job, if_rev)
            failures = max(1, commands.failures_after(job, ending.reason))
            drawn = backoff.delay_s(job.backoff, failures, self._dice)
            return commands.fail(
                job,
                token=token,
                now=clock.now(),
                ending=ending,
                duration_s=duration_s,
                delay_s=drawn if retry_after_s is None else retry_after_s,
                meta=meta,
            )

        return await self.execute(job.id, decide, known=job)

    async def execute(self, job_id: str, decide: Decide, *, known: Job | None = None) -> Job:
        """Decide about a job and record what was decided; return the job as that leaves it.

        `known` is the job as the caller last saw it. Raises JobNotFoundError, what `decide` raises,
        and what `EventLog.append` raises.
        """
        job = known or self._projector.get(job_id)
        fresh = False
        for _ in range(CONFLICTS_MAX):
            if job is None:
                job, fresh = await self._load(job_id), True
            try:
                events = decide(job)
                if events:
                    return _folded(await self._append(job_id, job.head, events), job)
                if fresh:
                    return job
                job = None
            except Conflict:
                job, fresh = None, False
            except (FencedError, NotAllowedError, PreconditionFailedError):
                if fresh:
                    raise
                job = None
        raise AssertionError(f"{CONFLICTS_MAX} conflicts in a row on {job_id}")

    async def get(self, job_id: str) -> Job | None:
        """The job as it is; None when there never was one."""
        await self._projector.reached(self._seen)
        return self._projector.get(job_id)

    async def page(self, wanted: Filter, *, before: int | None = None, limit: int) -> list[Job]:
        """Jobs, newest first, created at positions below `before`."""
        await self._projector.reached(self._seen)
        return await self._projector.page(wanted, before=before, limit=limit)

    async def history(self, job_id: str) -> list[Event]:
        """All events of a job, oldest first. Raises JobNotFoundError."""
        events = await self._log.read_stream(job_id)
        if not events or events[0].type != "JobCreated":
            raise JobNotFoundError(job_id)
        self._note(events)
        return events

    async def wait_until(
        self, job_id: str, reached: Callable[[Job], bool], *, timeout_s: float
    ) -> Job | None:
        """The job once it is as wanted, or as it is after `timeout_s`; None when there never was
        one.
        """
        job = await self.get(job_id)
        try:
            async with asyncio.timeout(timeout_s):
                while job is not None and not reached(job) and not self._stopping:
                    await self._projector.moved(job_id)
                    job = await self.get(job_id)
        except TimeoutError:
            pass
        return job

    def hold_nothing(self) -> None:
        """We are stopping: whoever waits in `wait_until`, or will, gets what there is."""
        self._stopping = True
        self._projector.wake_watchers()

    async def _change(
        self,
        job_id: str,
        command: Callable[..., list[NewEvent]],
        *,
        meta: Json,
        reason: str | None,
        if_rev: Collection[int] | None,
    ) -> Job:
        def decide(job: Job) -> list[NewEvent]:
            _require_rev(job, if_rev)
            return command(job, now=clock.now(), reason=reason, meta=meta)

        return await self.execute(job_id, decide)

    async def _append(self, job_id: str, expected: Head, events: list[NewEvent]) -> list[Event]:
        recorded = await self._log.append(job_id, expected, *events)
        self._note(recorded)
        return recorded

    def _note(self, events: list[Event]) -> None:
        """What was given out once, later answers must know too."""
        self._seen = max(self._seen, events[-1].pos)

    async def _load(self, job_id: str) -> Job:
        return _folded(await self.history(job_id))

    async def _first_answer(self, job_id: str, fingerprint: str | None) -> Created:
        """What the key's first use was answered: the job as its creation left it."""
        events = await self.history(job_id)
        job = _folded(events[:1])
        if job.fingerprint != fingerprint:
            raise KeyReusedError(job_id)
        return Created(job, replayed=True)


def _require_rev(job: Job, if_rev: Collection[int] | None) -> None:
    if if_rev is not None and job.rev not in if_rev:
        raise PreconditionFailedError(job)


def _folded(events: list[Event], job: Job | None = None) -> Job:
    folded = fold(events, job)
    assert folded is not None
    return folded
