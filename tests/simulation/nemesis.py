"""Who breaks things: kills, cuts, stalls, full disks and stepped clocks, at times drawn from the
seed.

Each seed has at least the crashes that it is told; what else happens is what its swarm has on.
Everything it breaks for a while it mends again, at the latest when it is told to `heal`.
"""

import asyncio
from random import Random
from typing import Final

from tests.simulation.faults import Faults
from tests.simulation.loop import Node, SeededLoop
from tests.simulation.machines import Server, Workers
from tests.simulation.storage import FileGround, Ground
from tests.support.faults import FAULTS
from tests.support.simdisk import CAPACITY_BYTES

CLOCK_STEPS_S: Final = (-3600.0, -60.0, -0.5, 0.5, 60.0, 600.0)
CALLS_AHEAD = 12  # to the disk, within which something happens


class Nemesis:
    """See the module."""

    def __init__(
        self, loop: SeededLoop, server: Server, workers: Workers, ground: Ground, faults: Faults,
        dice: Random,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._server = server
        self._workers = workers
        self._ground = ground
        self._faults = faults
        self._dice = dice
        self._furthest_s = 0.0  # of what the wall clocks showed ahead

    async def rage(self, deeds: int, within_s: float, crashes: int) -> None:
        """Do so many things, in about so much time, crashes among them."""
        todo = [self._dice.choice(("power cut", "kill")) for _ in range(crashes)]
        todo += self._dice.choices(self._faults.deeds(), k=deeds)
        self._dice.shuffle(todo)
        for deed in todo:
            await asyncio.sleep(self._dice.expovariate(len(todo) / within_s))
            await self._server.begun.wait()
            self._faults.done(deed)
            await getattr(self, f"_{deed.replace(' ', '_')}")()

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._faults.calm = True
        self._loop.set_back_s = -self._furthest_s
        self._workers.mend()
        self._server.go_on()
        if isinstance(self._ground, FileGround):
            self._ground.disk.capacity = CAPACITY_BYTES
            self._ground.disk._plans = []
            self._ground.disk.cut()

    async def _power_cut(self) -> None:
        """Now, or in the middle of what is written next."""
        if (
            isinstance(self._ground, FileGround)
            and self._server.is_up
            and self._dice.random() < 0.7
        ):
            disk = self._ground.disk
            disk.cut(before=len(disk.journal) + self._dice.randrange(CALLS_AHEAD))
            await asyncio.sleep(10)
            disk.cut()
        self._server.die(power_cut=True)

    async def _kill(self) -> None:
        self._server.die(power_cut=False)

    async def _restart(self) -> None:
        self._server.stop()

    async def _disk_error(self) -> None:
        if isinstance(self._ground, FileGround):
            disk = self._ground.disk
            call = self._dice.choice(("write", "write", "datasync", "create", "syncdir", "rename"))
            fault = self._dice.choice(FAULTS[call])
            disk.fail(call, fault, at=len(disk.journal) + self._dice.randrange(CALLS_AHEAD))

    async def _full_disk(self) -> None:
        if isinstance(self._ground, FileGround):
            disk = self._ground.disk
            disk.capacity -= disk.free("") if not disk._off else 0
            disk.capacity += self._dice.randrange(2_000)
            await asyncio.sleep(self._dice.uniform(1, 20))
            self._ground.disk.capacity = CAPACITY_BYTES

    async def _clock_step(self) -> None:
        self._loop.set_back_s -= self._dice.choice(CLOCK_STEPS_S)
        self._furthest_s = max(self._furthest_s, -self._loop.set_back_s)

    async def _server_stands_still(self) -> None:
        self._server.stand_still()
        await asyncio.sleep(self._dice.choice((0.5, 5, 20, 60)))
        self._server.go_on()

    async def _worker_stands_still(self) -> None:
        node = self._workers.any(self._dice)
        self._loop.stand_still(node)
        await asyncio.sleep(self._dice.choice((2, 20, 60)))
        self._loop.go_on(node)

    async def _worker_is_cut_off(self) -> None:
        node: Node = self._workers.any(self._dice)
        node.cut_off = True
        await asyncio.sleep(self._dice.choice((2, 20, 60)))
        node.cut_off = False

    async def _worker_is_killed(self) -> None:
        self._workers.kill(self._workers.any(self._dice))
