"""A service without a worker, and a client that speaks HTTP to it in process, on virtual time.

Everything is real but the store, which is in memory, and the socket: requests go through the whole
application by ASGI. Attempts are made by hand (`start`, `complete`, `fail`), so that a test says
what happens to a job and when. `projecting=False` leaves the read model behind until `project`.

What a worker makes of jobs is `world`'s matter.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx2
from starlette.applications import Starlette

from eventstore import clock
from eventstore.errors import StoreError
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from eventstore.offload import Inline
from eventstore.store import EventStore
from projections.board import JobBoard
from projections.job import Job
from projections.projector import Projector
from projections.table import MEMORY, JobTable
from service import commands
from service.access import Keyring
from service.admission import Admission
from service.backoff import DEFAULT
from service.commands import Ending
from service.due import DueWork
from service.jobs import Jobs
from service.kinds import Kinds
from service.processors import Processor, Registry
from service.processors.email import email_processor
from service.processors.email.simulated import SimulatedTransport
from service.web.access import Access
from service.web.app import Parts, build_app
from service.web.health import Health
from service.web.waits import Waits

LOG_ID = "1f" * 16
LEASE_S = 30.0
URL = "http://localhost:8080"
ACTOR = "local:tester"
WORKER = {"actor": "worker:w-test"}
EMAIL = {  # with a sender, so that nothing is filled in
    "to": "ada@example.com",
    "subject": "Hello",
    "from": "jobs@joblog.example",
    "body": "How are you?",
}


@dataclass(frozen=True, slots=True)
class RunningService:
    """The parts of a service, and a client of it."""

    log: EventLog
    projector: Projector
    jobs: Jobs
    kinds: Kinds
    board: JobBoard
    app: Starlette
    http: httpx2.AsyncClient

    async def post(self, **options: Any) -> str:
        """A new e-mail job; its id."""
        answer = await self.http.post("/jobs/email", params=options, json=EMAIL)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def start(self, job_id: str) -> Job:
        """A worker claims the job."""
        return await self.jobs.execute(
            job_id,
            lambda job: commands.start(
                job, now=clock.now(), worker="w-test", epoch=1, lease_s=30, meta=WORKER
            ),
        )

    async def complete(self, job_id: str, result: Any = None) -> Job:
        """An attempt that succeeds."""
        token = _token(await self.start(job_id))
        return await self.jobs.execute(
            job_id,
            lambda job: commands.complete(
                job, token=token, now=clock.now(), duration_s=0.5, result=result, meta=WORKER
            ),
        )

    async def fail(self, job_id: str, ending: Ending) -> Job:
        """An attempt that fails, to be tried again in a minute if at all."""
        job = await self.start(job_id)
        return await self.jobs.fail(
            job, token=_token(job), ending=ending, duration_s=0.5, meta=WORKER, retry_after_s=60
        )

    async def project(self) -> None:
        """Bring the read model up to date, where nothing else does."""
        if events := await self.log.read(self.projector.position):
            self.projector.apply(events)


class AllWell:
    """A service whose every part works."""

    def checks(self) -> dict[str, str | None]:
        """See Health."""
        return {"log": None, "worker": None}


@asynccontextmanager
async def running_service(
    *processors: Processor,
    store: EventStore | None = None,
    free_bytes: int = 1_000,
    max_pending: int = 100_000,
    health: Health | None = None,
    allowed_hosts: Iterable[str] = (),
    held_max: int = 100,
    keyring: Keyring | None = None,
    projecting: bool = True,
    seed: int = 1,
) -> AsyncIterator[RunningService]:
    """A service with kind `email` and these; it takes work while `free_bytes` is at least 1,000 and
    at most `max_pending` jobs would be open.
    """
    dice = Random(seed)
    log = EventLog(store or MemoryStore(log_id=LOG_ID), dice=dice)
    table = JobTable(MEMORY, log_id=LOG_ID)
    board = JobBoard()
    projector = Projector(log, board, table, offload=Inline())
    admission = Admission(
        log,
        free_bytes=lambda: free_bytes,
        min_free_bytes=1_000,
        open_jobs=lambda: len(board),
        max_pending=max_pending,
    )
    parts = _parts(log, board, projector, admission, dice, processors, health, held_max)
    app = build_app(
        parts,
        access=Access(keyring or Keyring(), local=ACTOR),
        allowed_hosts=allowed_hosts,
        dice=dice,
    )
    await projector.catch_up()
    following = [asyncio.create_task(projector.follow())] if projecting else []
    try:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
            yield RunningService(log, projector, parts.jobs, parts.kinds, board, app, client)
    finally:
        for task in following:
            await _stopped(task)
        await projector.flush()
        table.close()


def _parts(
    log: EventLog,
    board: JobBoard,
    projector: Projector,
    admission: Admission,
    dice: Random,
    processors: Sequence[Processor],
    health: Health | None,
    held_max: int,
) -> Parts:
    due = DueWork(board, admission)
    projector.listen(due.wake)
    mail = SimulatedTransport(seed=1, failure_rate=0, latency_s=0)
    return Parts(
        log=log,
        projector=projector,
        jobs=Jobs(log, projector, dice=dice),
        kinds=Kinds(log, projector),
        registry=Registry(email_processor(mail, backoff=DEFAULT), *processors),
        admission=admission,
        due=due,
        health=health or AllWell(),
        waits=Waits(held_max),
        offload=Inline(),
        lease_s=LEASE_S,
    )


async def _stopped(task: asyncio.Task[None]) -> None:
    """Cancelled, and again: Python 3.11's `wait_for` swallows what comes with a wake-up."""
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    with suppress(asyncio.CancelledError, StoreError):
        await task


def _token(job: Job) -> int:
    assert job.lease is not None
    return job.lease.token
