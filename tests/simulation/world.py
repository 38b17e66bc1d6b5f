"""One seed from beginning to end: a service, workers and clients, some time of trouble, then calm.

In that everything must come to its end; and then the checker looks at what that all came to.
"""

import asyncio
import gc
import hashlib
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple

from service import outcome
from service.settings import Settings
from service.testing.loop import Deadlock, Livelock
from service.web import app
from tests.simulation.checker import Checker, require_none
from tests.simulation.clients import Client, Diary
from tests.simulation.faults import Faults
from tests.simulation.loop import Node, SeededLoop, simulated_time
from tests.simulation.machines import Server, Workers
from tests.simulation.naive import Broken
from tests.simulation.nemesis import Nemesis
from tests.simulation.network import Network
from tests.simulation.storage import Book, FileGround, MemoryGround
from tests.simulation.work import Register, server_kinds, worker_kinds

CLIENTS = 3
DEEDS_OF_A_CLIENT = 11
DEEDS_OF_THE_NEMESIS = 4
CRASHES = 2
TROUBLE_S = 90.0
CALM_S_MAX = 1800.0
LOOK_EVERY_S = 5.0


class Lived(NamedTuple):
    """What a seed came to."""

    digest: str  # of the log, to the byte
    seconds: float
    jobs: int
    events: int
    requests: int
    faults: dict[str, int]
    crashes: int  # of the server


class World:
    """See the module."""

    def __init__(self, seed: int, loop: SeededLoop) -> None:
        def dice(of: str) -> Random:
            return Random(f"{seed} {of}")

        mine = dice("world")
        self.loop = loop
        self.faults = Faults(dice("faults"))
        self.book = Book()
        self.diary = Diary()
        self.network = Network(loop, self.faults, dice("network"))
        settings = Settings(
            store="memory:",
            threads=False,
            concurrency=mine.choice((1, 3, 20)),
            lease_s=mine.choice((6.0, 12.0, 30.0)),
            cancel_grace_s=mine.choice((1.0, 10.0)),
            drain_s=mine.choice((0.0, 5.0)),
        )
        self.server = Server(loop, self.network, self.book, self.faults, settings, dice("server"))
        self.ground: FileGround | MemoryGround
        if mine.random() < 0.7:
            self.ground = FileGround(
                self.book, self.faults, dice("disk"), lambda: self.server.die(power_cut=True)
            )
        else:
            self.ground = MemoryGround(self.book, self.faults, dice("memory"))
        self.server.ground = self.ground
        self.register = Register(self.book, self.ground, self.faults)
        self.server.kinds = lambda: server_kinds(self.register, dice("mail"))
        self.checker = Checker(self.book, self.ground, self.register, self.diary)
        self.server.opened = self.checker.look
        self.workers = Workers(loop, self.network, lambda: worker_kinds(self.register), 2)
        self.nemesis = Nemesis(
            loop, self.server, self.workers, self.ground, self.faults, dice("nemesis")
        )
        self.clients = [
            Client(f"c{n}", loop, self.network, self.ground, self.diary, self.faults, dice(f"c{n}"))
            for n in range(CLIENTS)
        ]

    async def live(self) -> None:
        """Trouble, calm, the end."""
        supervising = asyncio.create_task(self.server.supervise())
        trouble = [
            self.loop.start(client.node, client.run(DEEDS_OF_A_CLIENT, TROUBLE_S), "client")
            for client in self.clients
        ]
        await self.nemesis.rage(DEEDS_OF_THE_NEMESIS, TROUBLE_S, CRASHES)
        self.nemesis.heal()
        await asyncio.gather(*trouble)
        await self._come_to_rest()
        assert self.server.service is not None
        service = self.server.service
        await self.checker.judge_tables(service.projector._table, service.projector, service.log)
        left = await self.workers.end()
        self.server.end()
        await supervising
        require_none(left, self.server.left, self.loop.unseen)
        if isinstance(self.ground, FileGround):
            await self.ground.require_stable()
        self.checker.judge()

    async def _come_to_rest(self) -> None:
        """Until nothing more happens to any job."""
        end = self.loop.time() + CALM_S_MAX
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.server.is_up:  # else a tail may be torn that nobody has cut yet
                self.checker.look()
                if not self.checker.unrested:
                    return
                await self._resume()
            if self.loop.time() > end:
                jobs = [(job.id, job.kind, job.status, job.due) for job in self.checker.unrested]
                raise Broken(f"{CALM_S_MAX} s after the last trouble there is work left: {jobs}")

    async def _resume(self) -> None:
        """What is paused goes on. An attempt that began in trouble may yet pause its kind."""
        for name, kind in self.checker.log.kinds.items():
            if kind.paused:
                await self.clients[0].ask("POST", f"/kinds/{name}/resume")


def live(seed: int) -> Lived:
    """One seed. Raises AssertionError for a broken promise."""
    with _quiet(), simulated_time(f"{seed} loop") as loop:
        try:
            story = loop.start(Node("operator"), _lived(seed, loop), "seed")
            world = loop.run_until_complete(story)
        except (Deadlock, Livelock) as stuck:
            raise Broken(str(stuck)) from stuck
        return Lived(
            hashlib.sha256(world.ground.content()).hexdigest(),
            loop.time(),
            len(world.checker.log.jobs),
            len(world.checker.log.lines),
            world.diary.requests,
            dict(world.faults.counts),
            world.server.crashes,
        )


async def _lived(seed: int, loop: SeededLoop) -> World:
    world = World(seed, loop)
    _morgue.append(world)
    await world.live()
    return world


_morgue: list[Any] = []  # worlds that ended, and with them the coroutines of processes that died


def bury() -> None:
    """Let the dead go. What their coroutines do in their `finally` blocks interests nobody."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with _silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asyncio.set_event_loop(None)  # else what they begin now makes itself one, which stays
            _morgue.clear()
            while gc.collect():  # a `finally` block that awaits keeps its own alive until the next
                pass
    finally:
        sys.unraisablehook = hook


@contextmanager
def _silence() -> Iterator[None]:
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)


class _NoContract:
    """In place of the API's description, which takes as long to make as a life to simulate."""

    def __init__(self, *_: Any) -> None:
        pass

    def operations(self) -> list[Any]:
        """None."""
        return []


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of what goes wrong on purpose; without the collector: what it would end, and
    when, is not in the seed; and without the frames of tracebacks: neither is where joblog lies.
    """
    contract, collecting = app.ContractResource, gc.isenabled()
    frames = outcome._frames_of_the_processor
    app.ContractResource = _NoContract
    outcome._frames_of_the_processor = lambda _: None
    gc.disable()
    try:
        with _silence():
            yield
    finally:
        app.ContractResource = contract
        outcome._frames_of_the_processor = frames
        if collecting:
            gc.enable()
