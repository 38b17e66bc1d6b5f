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
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random, SystemRandom

from eventstore.errors import NotWritten
from eventstore.file.disk import SystemDisk
from eventstore.log import EventLog
from eventstore.offload import Inline, Offload, Thread
from eventstore.open import open_store
from projections.board import JobBoard
from projections.projector import Projector
from projections.table import MEMORY, JobTable
from service.access import Keyring
from service.admission import Admission
from service.catalogue import catalogue
from service.claims import Claims, WorkerIdentity
from service.due import DueWork
from service.health import ServiceHealth
from service.jobs import Jobs
from service.kinds import Kinds
from service.processors import Registry
from service.rescue import Rescue
from service.settings import Settings
from service.tokens import read_tokens
from service.version import VERSION
from service.web.access import Access
from service.web.app import Application, Parts, build_app
from service.web.waits import Waits
from service.worker import Worker


@dataclass(frozen=True, slots=True)
class Service:
    """A running service. `app` is its HTTP side."""

    log: EventLog
    projector: Projector
    jobs: Jobs
    kinds: Kinds
    due: DueWork
    worker: Worker | None
    rescue: Rescue
    app: Application
    keyring: Keyring
    dice: Random

    def hold_nothing(self) -> None:
        """We are stopping: no new claims, and whoever is held gets an answer."""
        if self.worker is not None:
            self.worker.stop()
        self.due.stop()
        self.jobs.hold_nothing()


@dataclass(frozen=True, slots=True)
class _Ground:
    """What all parts stand on."""

    log: EventLog
    board: JobBoard
    projector: Projector
    registry: Registry
    settings: Settings
    dice: Random
    epoch: int
    root: str | None  # the log's directory, where it has one


@asynccontextmanager
async def running(settings: Settings, *, owner: str = "") -> AsyncIterator[Service]:
    """A service without a socket: for `serve`, and for whoever drives it in process."""
    seed = SystemRandom().getrandbits(64) if settings.seed is None else settings.seed
    dice = Random(seed)  # noqa: S311  ids and jitter, not secrets
    keyring = Keyring(read_tokens(settings))
    async with catalogue(settings) as registry:
        store = await open_store(settings.store, dice=dice, owner=owner)
        log = EventLog(store, dice=dice)
        try:
            async with assembled(log, registry, settings, dice, keyring) as service:
                yield service
        finally:
            await log.aclose()


@asynccontextmanager
async def assembled(
    log: EventLog,
    registry: Registry,
    settings: Settings,
    dice: Random,
    keyring: Keyring | None = None,
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
    reading: Offload = Thread("reading") if settings.threads else Inline()
    board = JobBoard()
    projector = Projector(log, board, table, offload=offload)
    try:
        await projector.catch_up()
        ground = _Ground(log, board, projector, registry, settings, dice, epoch, root)
        service = _service(ground, keyring or Keyring(), reading)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(projector.follow(), name="projector")
            rescuing = tasks.create_task(service.rescue.run(), name="rescue")
            if service.worker is not None:
                tasks.create_task(service.worker.run(), name="worker")
            yield service
            if service.worker is not None:
                await service.worker.drain(settings.drain_s)
            rescuing.cancel()
            with suppress(NotWritten):  # a full disk: the log is as sound without its seal
                await log.seal(epoch)
            await projector.reached(await log.head())
            following.cancel()
        await projector.flush()
    finally:
        reading.close()
        offload.close()
        table.close()


def _service(ground: _Ground, keyring: Keyring, reading: Offload) -> Service:
    """The parts of a service, none of them at work yet."""
    log, board, projector, settings = ground.log, ground.board, ground.projector, ground.settings
    jobs = Jobs(log, projector, dice=ground.dice)
    kinds = Kinds(log, projector)
    admission = _admission(ground)
    due = DueWork(board, admission)
    projector.listen(due.wake)
    worker = _worker(ground, Claims(jobs, kinds, _identity(ground)), admission)
    rescue = Rescue(
        jobs,
        board,
        epoch=ground.epoch,
        ours=worker.tokens if worker else set,
        recording=worker.recording if worker else set,
        cancel_grace_s=settings.cancel_grace_s,
    )
    parts = Parts(
        log=log,
        projector=projector,
        jobs=jobs,
        kinds=kinds,
        registry=ground.registry,
        admission=admission,
        due=due,
        health=ServiceHealth(admission, worker, board, ground.registry),
        waits=Waits(settings.held_max),
        offload=reading,
        lease_s=settings.lease_s,
    )
    app = build_app(
        parts,
        access=Access(keyring, local=f"local:{_user()}"),
        allowed_hosts=[settings.host, *settings.allowed_hosts],
        dice=ground.dice,
    )
    return Service(log, projector, jobs, kinds, due, worker, rescue, app, keyring, ground.dice)


def _admission(ground: _Ground) -> Admission:
    root, board = ground.root, ground.board
    return Admission(
        ground.log,
        free_bytes=(lambda: SystemDisk().free(root)) if root else None,
        min_free_bytes=ground.settings.min_free_bytes,
        open_jobs=lambda: len(board),
        max_pending=ground.settings.max_pending,
    )


def _identity(ground: _Ground) -> WorkerIdentity:
    name = f"w-{ground.dice.getrandbits(16):04x}"
    return WorkerIdentity(name, ground.epoch, ground.settings.lease_s)


def _worker(ground: _Ground, claims: Claims, admission: Admission) -> Worker | None:
    """None in a process that only takes jobs."""
    if not ground.settings.work:
        return None
    worker = Worker(
        claims,
        ground.board,
        ground.registry,
        admission,
        concurrency=ground.settings.concurrency,
        threads=ground.settings.threads,
    )
    ground.projector.listen(worker.wake)
    return worker


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return str(os.getuid())
