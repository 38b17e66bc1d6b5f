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
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from eventstore import clock
from eventstore.errors import Conflict, StoreError, TooLarge
from eventstore.event import NEW, Append, Event, Head, Json, NewEvent, latest
from eventstore.log import EventLog
from eventstore.offload import Offload
from eventstore.store import Result
from eventstore.timestamp import Timestamp
from projections.job import Job, fold
from projections.projector import Projector
from projections.table import Filter
from service import backoff, commands
from service.batch import Batch, BatchCreation, CreatedAll
from service.commands import Ending, FencedError, NotAllowedError, Options
from service.holds import Holds
from service.ids import keyed_job_id, new_job_id
from service.processors import Prepare, as_json, prepared
from service.refusals import (
    JobNotFoundError,
    KeyReusedError,
    NeverBeginsError,
    NotReachedError,
    PreconditionFailedError,
)

REACH_S = 5.0  # how long a reader may wait for a position that he knows of from elsewhere
CONFLICTS_MAX = 100  # a stream has a handful of writers; so many in a row is a fault of ours

Decide: TypeAlias = Callable[[Job], list[NewEvent]]


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
        self.holds = Holds()

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
        prepare: Prepare | None = None,
        offload: Offload | None = None,
    ) -> Created:
        """Make a job, durably. With a `key`, at most one for this owner, kind and key. What the
        kind fixes for good is asked of `prepare`; by way of `offload` when that may take long.

        Raises KeyReusedError when the key's first use had another fingerprint, UnfitPayloadError,
        and what `EventLog.append` raises.
        """
        now = now or clock.now()
        job_id = new_job_id(now, self._dice) if key is None else keyed_job_id(owner, kind, key)
        if options.expires_at is not None:
            await self._require_beginning(options, now, job_id if key else None)
        if offload is None or prepare is None:
            kept = prepared(prepare, payload, job_id, now)
        else:
            kept = await offload.run(lambda: prepared(prepare, payload, job_id, now))
        events = commands.create(
            kind=kind,
            payload=as_json(kept.payload),
            options=options,
            now=now,
            meta=meta,
            fingerprint=fingerprint,
            facts=kept.facts,
        )
        try:
            recorded = await self._log.append(job_id, NEW, *events, fresh=key is None)
        except Conflict:
            assert key is not None, "a fresh id cannot be taken"
            return await self._first_answer(job_id, fingerprint)
        self._note(recorded)
        return Created(self._after(recorded), replayed=False)

    async def create_all(self, batch: Batch) -> CreatedAll:
        """Make many jobs, durably; see `service.batch` for what a key and a crash make of that.

        Raises KeyReusedError when the key's first use had another fingerprint, UnfitItemError,
        ItemTooLargeError, PartlyCreatedError, and what `EventLog.append` raises.
        """
        creation = BatchCreation(batch, self._log, self._projector, dice=self._dice)
        await creation.prepare()
        first_id = creation.job_ids[0] if batch.key else None
        await self._require_beginning(batch.options, batch.now, first_id)
        if batch.key is not None and not await creation.claim():
            await self._first_answer(creation.job_ids[0], batch.fingerprint)
            await creation.recall()
        created = await creation.complete()
        self._seen = max(self._seen, created.pos)
        return created

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

    async def expire(self, job_id: str, *, meta: Json) -> Job:
        """See commands.expire. Raises JobNotFoundError, NotAllowedError."""
        return await self.execute(
            job_id, lambda job: commands.expire(job, now=clock.now(), meta=meta)
        )

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
                    return self._after(await self._append(job_id, job.head, events), job)
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

    async def execute_all(self, jobs: Sequence[Job], decide: Decide) -> list[Job | Exception]:
        """The same about many jobs as the caller last saw them, recorded together: of each, the job
        as that leaves it, or what `execute` raises.
        """
        wanted: list[tuple[str, Head, list[NewEvent]]] = []
        decided: list[Job | None] = []
        for job in jobs:
            try:
                wanted.append((job.id, job.head, decide(job)))
                decided.append(job)
            except (FencedError, NotAllowedError):
                decided.append(None)  # on what may be an old state: decide alone, on the newest
        results = iter(await self._record_all(wanted))
        found = [job and self._outcome(job, next(results)) for job in decided]
        again = [n for n, each in enumerate(found) if each is None or isinstance(each, Conflict)]
        later = await asyncio.gather(
            *(self.execute(jobs[n].id, decide) for n in again), return_exceptions=True
        )
        answers: list[Any] = list(found)
        for n, answer in zip(again, later, strict=True):
            if not isinstance(answer, Job | Exception):
                raise answer
            answers[n] = answer
        return answers

    async def get(self, job_id: str) -> Job | None:
        """The job as it is; None when there never was one."""
        await self._projector.reached(self._seen)
        return self._projector.get(job_id)

    async def page(self, wanted: Filter, *, before: int | None = None, limit: int) -> list[Job]:
        """Jobs, newest first, created at positions below `before`."""
        await self._projector.reached(self._seen)
        return await self._projector.page(wanted, before=before, limit=limit)

    async def count(self, wanted: Filter) -> int:
        """How many jobs are wanted."""
        await self._projector.reached(self._seen)
        return await self._projector.count(wanted)

    @property
    def position(self) -> int:
        """How far the log was read here."""
        return self._projector.position

    async def reach(self, position: int = 0) -> None:
        """Return once reading sees everything up to `position`, and all that this object was given.

        Raises NotReachedError when that takes more than REACH_S.
        """
        wanted = max(position, self._seen)
        if self._projector.position >= wanted:
            return
        async with self.holds.hold(REACH_S):
            await self._projector.reached(wanted)
        if self._projector.position < position:
            raise NotReachedError(position, self._projector.position)

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
        """We are stopping: whoever waits in `wait_until`, is held, or will be, gets what there
        is.
        """
        self._stopping = True
        self._projector.wake_watchers()
        self.holds.end()

    async def _require_beginning(
        self, options: Options, now: Timestamp, keyed_id: str | None
    ) -> None:
        """Raise NeverBeginsError for what would be too late from the start; unless it is the repeat
        of a request that was not.
        """
        first_start = latest(options.run_at, now)
        if options.expires_at is None or options.expires_at > first_start:
            return
        if keyed_id is None or await self.get(keyed_id) is None:
            raise NeverBeginsError(first_start)

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

    async def _record_all(self, wanted: list[tuple[str, Head, list[NewEvent]]]) -> list[Result]:
        appends: list[Append] = []
        for append in await self._log.prepare_all(wanted):
            assert not isinstance(append, TooLarge), "what is decided about many is short"
            appends.append(append)
        results = await self._log.append_all(appends)
        for result in results:
            if isinstance(result, list):
                self._note(result)
        return results

    def _outcome(self, job: Job, result: Result) -> Job | StoreError:
        return self._after(result, job) if isinstance(result, list) else result

    def _after(self, recorded: list[Event], job: Job | None = None) -> Job:
        """The job after what was just recorded: the projector has folded that already, or need not
        do it again.
        """
        last = recorded[-1]
        if self._projector.position >= last.pos:
            known = self._projector.at_hand(last.stream)
            if known is not None and known.rev == last.rev:
                return known
        folded = _folded(recorded, job)
        if len(recorded) == 1:
            self._projector.foresee(last, folded)
        return folded

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
