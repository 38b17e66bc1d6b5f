"""A whole service inside one test: log, projections, worker, and processors that do as told.

`world` is the production assembly (`service.wiring.assembled`) over a store that a test can make
fail, so that what is tested is what runs; on virtual time, so that minutes of backoff and leases
pass at once. `script` makes a processor out of what each attempt shall do.

Not for HTTP, and not for threads or processes: nothing here waits on the real clock.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from eventstore import clock
from eventstore.errors import StoreError
from eventstore.event import Append, Event
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from eventstore.offload import Inline
from eventstore.store import EventStore, Result
from eventstore.timestamp import Timestamp, later, parse, seconds_between
from projections.board import JobBoard
from projections.events import BackoffPolicy
from projections.job import Job
from projections.projector import Projector
from projections.table import MEMORY, JobTable
from service import backoff
from service.attempt import RunningAttempt
from service.claims import Claims, WorkerIdentity
from service.commands import Options
from service.jobs import Jobs
from service.kinds import Kinds
from service.processors import Attempt, Processor, Registry, processor
from service.rescue import Rescue
from service.settings import Settings
from service.testing.loop import START
from service.wiring import Service, assembled
from service.worker import Worker
from tests.support.through import Through

CLIENT = {"actor": "client"}
LEASE_S = 30.0

Verdict: TypeAlias = Callable[[Append], StoreError | None]
Step: TypeAlias = Any  # what one attempt does: an error to raise, a coroutine function, or a result


class Hiccups(Through):
    """A store that fails as told. `refuse` says which appends are not written and what is answered;
    `lose` which are written although the answer is an error. `commits` holds the types of each.
    """

    def __init__(self, store: EventStore) -> None:
        super().__init__(store)
        self.refuse: Verdict = lambda _: None
        self.lose: Verdict = lambda _: None
        self.latency_s = 0.0
        self.commits: list[list[str]] = []

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        """Write what is not refused; answer what is asked for."""
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        refused = [self.refuse(append) for append in batch]
        kept = [append for append, error in zip(batch, refused, strict=True) if error is None]
        written = iter(await self._store.commit(kept))
        self.commits.append([event.type for append in kept for event in append.events])
        results: list[Result] = []
        for append, error in zip(batch, refused, strict=True):
            result = next(written) if error is None else error
            results.append(self.lose(append) or result)
        return results


@dataclass(frozen=True, slots=True)
class World:
    """A service that runs. Its worker is called `worker`, unless the settings say not to work."""

    store: Hiccups
    log: EventLog
    service: Service
    dice: Random

    @property
    def jobs(self) -> Jobs:
        """Commands and queries."""
        return self.service.jobs

    @property
    def worker(self) -> Worker:
        """The service's own worker."""
        assert self.service.worker is not None, "this world does not work"
        return self.service.worker

    async def post(
        self,
        payload: Any = None,
        *,
        kind: str = "work",
        after_s: float = 0.0,
        priority: int = 0,
        max_attempts: int = 3,
        timeout_s: float = 300.0,
        policy: BackoffPolicy = backoff.DEFAULT,
    ) -> str:
        """A new job, due `after_s` from now."""
        run_at = later(clock.now(), after_s)
        options = Options(run_at, priority, max_attempts, timeout_s, policy)
        return (await self.jobs.create(kind, payload, options, meta=CLIENT)).job.id

    async def get(self, job_id: str) -> Job:
        """The job as it is."""
        job = await self.jobs.get(job_id)
        assert job is not None
        return job

    async def ended(self, job_id: str, *, within_s: float = 86_400.0) -> Job:
        """The job once it is neither pending nor processing."""
        job = await self.jobs.wait_until(job_id, lambda job: not job.is_open, timeout_s=within_s)
        assert job is not None
        assert not job.is_open, f"after {within_s} s: {job}"
        return job

    async def events(self, job_id: str, *types: str) -> list[Event]:
        """The job's events, oldest first; of these types only, if any are named."""
        history = await self.jobs.history(job_id)
        return [event for event in history if not types or event.type in types]

    async def types(self, job_id: str) -> list[str]:
        """The types of the job's events, oldest first."""
        return [event.type for event in await self.events(job_id)]

    def claims(self, name: str) -> Claims:
        """The claims of a worker of this name."""
        return Claims(self.jobs, self.service.kinds, WorkerIdentity(name, 1, LEASE_S))

    async def attempt(
        self, job_id: str, processor: Processor, *, name: str = "w"
    ) -> RunningAttempt:
        """An attempt outside of any worker, claimed and not yet begun."""
        claims = self.claims(name)
        claim = await claims.claim(await self.get(job_id))
        return RunningAttempt(claims, processor, claim)

    @asynccontextmanager
    async def another_worker(
        self, *processors: Processor, concurrency: int = 100
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """A second worker over the same log, with projections of its own; gives the task that
        feeds those, so that a test can end it.
        """
        [opened] = await self.log.read(0, 1)
        board, table = JobBoard(), JobTable(MEMORY, log_id=opened.data["log_id"])
        projector = Projector(self.log, board, table, offload=Inline())
        await projector.catch_up()
        jobs, kinds = Jobs(self.log, projector, dice=self.dice), Kinds(self.log, projector)
        epoch = self.service.rescue._epoch
        worker = Worker(
            Claims(jobs, kinds, WorkerIdentity("another", epoch, LEASE_S)),
            board,
            Registry(*processors),
            self.worker._admission,
            concurrency=concurrency,
            threads=False,
        )
        rescue = Rescue(
            jobs,
            board,
            epoch=epoch,
            ours=worker.tokens,
            recording=worker.recording,
            cancel_grace_s=10,
        )
        projector.listen(worker.wake)
        following = asyncio.create_task(projector.follow())
        rescuing = asyncio.create_task(rescue.run())
        working = asyncio.create_task(worker.run())
        try:
            yield following
            await worker.drain(10)
            await working
        finally:
            for task in (rescuing, following):
                task.cancel()
                await asyncio.wait([task])
            await projector.flush()
            table.close()


@asynccontextmanager
async def world(
    *processors: Processor, store: EventStore | None = None, seed: int = 7, **settings: Any
) -> AsyncIterator[World]:
    """A service over `store` (in memory unless given, and closed with it), until the block ends."""
    dice = Random(seed)
    hiccups = Hiccups(store or MemoryStore(log_id=f"{dice.getrandbits(128):032x}"))
    log = EventLog(hiccups, dice=dice)
    told = Settings(**{"store": "memory:", "lease_s": LEASE_S, "threads": False, **settings})
    try:
        async with assembled(log, Registry(*processors), told, dice) as service:
            yield World(hiccups, log, service, dice)
    finally:
        await log.aclose()


def script(*steps: Step, kind: str = "work") -> Processor:
    """A processor whose first attempt does the first step, and so on; the last step is repeated."""

    @processor(kind)
    async def scripted(payload: Any, attempt: Attempt) -> Any:
        step = steps[min(attempt.number, len(steps)) - 1]
        if isinstance(step, BaseException):
            raise step
        return await step(attempt) if callable(step) else step

    return scripted


def takes(seconds: float, result: Any = None) -> Step:
    """A step that takes its time."""

    async def step(_: Attempt) -> Any:
        await asyncio.sleep(seconds)
        return result

    return step


def seconds(time: Timestamp) -> float:
    """Seconds since virtual time began."""
    return seconds_between(parse(START), time)


def elapsed() -> float:
    """Seconds since virtual time began, now."""
    return seconds(clock.now())


def about(type_: str, error: StoreError) -> Verdict:
    """A verdict on the appends that begin with this type of event."""
    return lambda append: error if append.events[0].type == type_ else None
