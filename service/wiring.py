"""One process, put together: store, log, projections, worker, web; started in order, stopped in the
reverse.

Start: the store (which recovers the log and holds its lock), a new epoch, the read model up to the
log's end, then everything that runs for ever, under one task group: when one of them fails, say
because the disk did, all of them stop, and whoever runs the service learns why.

Stop: attempts get `drain_s`, then are given back; the read model is flushed, the log sealed, the
lock let go. Sockets and signals are `service.server`'s.
"""

import asyncio
import getpass
import importlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random, SystemRandom

from starlette.applications import Starlette

from eventstore.errors import NotWritten
from eventstore.file.disk import SystemDisk
from eventstore.log import EventLog
from eventstore.offload import Inline, Offload, Thread
from eventstore.open import open_store
from projections.board import JobBoard
from projections.events import BackoffPolicy
from projections.projector import Projector
from projections.table import MEMORY, JobTable
from service import backoff
from service.admission import Admission
from service.attempt import WorkerIdentity
from service.jobs import Jobs
from service.processors import Processor, Registry
from service.processors.email import email_processor
from service.processors.email.simulated import SimulatedTransport
from service.settings import Settings
from service.version import VERSION
from service.web.app import build_app
from service.worker import Worker


class CannotServeError(Exception):
    """The settings do not allow to serve; nothing was touched."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service. `app` is its HTTP side."""

    log: EventLog
    projector: Projector
    jobs: Jobs
    worker: Worker | None
    app: Starlette


@asynccontextmanager
async def running(settings: Settings, *, owner: str = "") -> AsyncIterator[Service]:
    """A service without a socket: for `serve`, and for whoever drives it in process."""
    seed = SystemRandom().getrandbits(64) if settings.seed is None else settings.seed
    dice = Random(seed)  # noqa: S311  ids and jitter, not secrets
    registry = build_registry(settings)
    store = await open_store(settings.store, dice=dice, owner=owner)
    log = EventLog(store, dice=dice)
    try:
        async with assembled(log, registry, settings, dice) as service:
            yield service
    finally:
        await log.aclose()


@asynccontextmanager
async def assembled(
    log: EventLog, registry: Registry, settings: Settings, dice: Random
) -> AsyncIterator[Service]:
    """Everything above a store. Tests come in here, with a store of their own."""
    epoch = await log.begin(VERSION)
    # A seeded process that starts again must not draw the nonces of its last life: the store would
    # take the repeat of an old append for the old one.
    dice.seed(f"{dice.getrandbits(64)}:{epoch}")
    [opened] = await log.read(0, 1)
    root = settings.store.removeprefix("file:") if settings.store.startswith("file:") else None
    table = JobTable(f"{root}/jobs.sqlite" if root else MEMORY, log_id=opened.data["log_id"])
    offload: Offload = Thread("table") if root else Inline()
    board = JobBoard()
    projector = Projector(log, board, table, offload=offload)
    try:
        await projector.catch_up()
        service = _service(log, board, projector, registry, settings, dice, epoch, root)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(projector.follow(), name="projector")
            if service.worker is not None:
                tasks.create_task(service.worker.run(), name="worker")
            yield service
            if service.worker is not None:
                await service.worker.drain(settings.drain_s)
            with suppress(NotWritten):  # a full disk: the log is as sound without its seal
                await log.seal(epoch)
            await projector.reached(await log.head())
            following.cancel()
        await projector.flush()
    finally:
        offload.close()
        table.close()


def build_registry(settings: Settings) -> Registry:
    """The built-in kinds, and those of the module in the settings. Raises CannotServeError."""
    transport = SimulatedTransport(
        seed=settings.seed or 0,
        failure_rate=settings.email_failure_rate,
        latency_s=settings.email_latency_s,
    )
    policy = BackoffPolicy({**backoff.DEFAULT, "base_s": settings.backoff_base_s})
    registry = Registry(email_processor(transport, backoff=policy))
    if settings.processors is not None:
        try:
            module = importlib.import_module(settings.processors)
            found = {id(each): each for each in vars(module).values()}  # once, whatever its names
            for each in found.values():
                if isinstance(each, Processor):
                    registry.add(each)
        except Exception as error:
            name = type(error).__name__
            raise CannotServeError(
                f"--processors {settings.processors}: {name}: {error}"
            ) from error
    return registry


def _service(
    log: EventLog,
    board: JobBoard,
    projector: Projector,
    registry: Registry,
    settings: Settings,
    dice: Random,
    epoch: int,
    root: str | None,
) -> Service:
    jobs = Jobs(log, projector, dice=dice)
    free_bytes = (lambda: SystemDisk().free(root)) if root else None
    admission = Admission(log, free_bytes=free_bytes, min_free_bytes=settings.min_free_bytes)
    worker = None
    if settings.work:
        identity = WorkerIdentity(f"w-{dice.getrandbits(16):04x}", epoch, settings.lease_s)
        worker = Worker(
            jobs, board, registry, admission, identity, concurrency=settings.concurrency
        )
        projector.listen(worker.wake)
    app = build_app(
        jobs,
        registry,
        admission,
        Health(admission, worker),
        actor=f"local:{_user()}",
        allowed_hosts=[settings.host, *settings.allowed_hosts],
        dice=dice,
    )
    return Service(log, projector, jobs, worker, app)


@dataclass(frozen=True, slots=True)
class Health:
    """What `/readyz` reports: check -> what is wrong, or None."""

    admission: Admission
    worker: Worker | None

    def checks(self) -> dict[str, str | None]:
        """Ask each part how it is."""
        checks = {"log": self.admission.reason()}
        if self.worker is not None:
            checks["worker"] = self.worker.trouble()
        return checks


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return str(os.getuid())
