"""The processes: a server in one life after another, and workers on other machines.

A life is what `joblog serve` runs, from the opening of the log to its seal; a supervisor starts the
next one a while after the last is over, however that came. Nothing is carried over but what is on
the disk.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from eventstore.errors import StoreCorrupt, StoreError
from service.http import ANSWER_GRACE_S
from service.processors import Processor, Registry
from service.remote import RemoteLedger, RemoteWorker
from service.settings import Settings
from service.wiring import Service, assembled
from tests.simulation.faults import Faults
from tests.simulation.loop import Node, SeededLoop
from tests.simulation.naive import Broken
from tests.simulation.network import Network, RemoteClient
from tests.simulation.storage import Book, Ground, WatchedLog

DOWN_S = (0.1, 3.0, 400.0, 2000.0)  # between two lives


class Server:
    """See the module. `found` is called with every life that begins."""

    def __init__(
        self,
        loop: SeededLoop,
        network: Network,
        book: Book,
        faults: Faults,
        settings: Settings,
        dice: Random,
    ) -> None:
        self._loop = loop
        self._network = network
        self._book = book
        self._faults = faults
        self._settings = settings
        self._dice = dice
        self._ending = False
        self._stop = asyncio.Event()
        self._crashed = asyncio.Event()
        self.node = Node("no server yet")
        self.ground: Ground
        self.kinds: Callable[[], list[Processor]]
        self.opened: Callable[[], Any] = lambda: None
        self.service: Service | None = None
        self.lives = self.crashes = 0
        self.begun = asyncio.Event()
        self.left: list[str] = []  # what lives left undone that ended in good order

    @property
    def is_up(self) -> bool:
        """Whether there is a life."""
        return self.service is not None

    async def supervise(self) -> None:
        """Start it again and again."""
        while not self._ending:
            await self._live()
            if not self._ending:
                down_s = 0.1 if self._faults.calm else self._dice.choice(DOWN_S)
                await asyncio.sleep(self._dice.uniform(0, down_s))

    async def _live(self) -> None:
        self.lives += 1
        self.node = node = Node(f"server {self.lives}")
        self._stop, self._crashed = asyncio.Event(), asyncio.Event()
        life = self._loop.start(node, self._serve(), "life")
        crash = asyncio.create_task(self._crashed.wait())
        await asyncio.wait([life, crash], return_when=asyncio.FIRST_COMPLETED)
        crash.cancel()
        if not node.dead:
            self._is_over(life)

    def _is_over(self, life: "asyncio.Task[None]") -> None:
        """It ended by itself: in good order, or because its log failed it."""
        self._gone()
        error = life.exception()
        if error is None:
            self.left += undone(self.node)
        elif not _is_of_the_disk(error):
            self._loop.fail(Broken(f"a life ended with {error!r}"))
        self._loop.kill(self.node)
        self.ground.crash(power_cut=False)

    async def _serve(self) -> None:
        dice = Random(self._dice.getrandbits(64))
        store = await self.ground.open(dice)
        self.opened()
        log = WatchedLog(
            store, dice=dice, book=self._book, loop=self._loop, head=await store.head()
        )
        try:
            async with assembled(log, Registry(*self.kinds()), self._settings, dice) as service:
                service.projector.listen(lambda: log.knows(service.projector.position))
                self.service = service
                self._network.listen(self.node, service)
                self.begun.set()
                try:
                    await self._stop.wait()
                finally:  # told to stop, or the service failed: as in `service.server`
                    service.hold_nothing()
                    await self._network.close(ANSWER_GRACE_S)
        finally:
            await log.aclose()

    def die(self, *, power_cut: bool) -> None:
        """Here and now. If there is no life, there is nothing to end."""
        if self.node.dead or self._crashed.is_set():
            return
        self.crashes += 1
        self._loop.kill(self.node)
        self._gone()
        self.ground.crash(power_cut=power_cut)
        self._crashed.set()

    def _gone(self) -> None:
        self._network.hang_up()
        self.service = None
        self.begun.clear()

    def stop(self) -> None:
        """As on SIGTERM."""
        self._stop.set()

    def end(self) -> None:
        """As on SIGTERM, and nobody starts it again."""
        self._ending = True
        self._stop.set()

    def stand_still(self) -> None:
        """Nothing of it runs."""
        self._loop.stand_still(self.node)

    def go_on(self) -> None:
        """It does again."""
        self._loop.go_on(self.node)


class Workers:
    """The workers on other machines."""

    def __init__(
        self, loop: SeededLoop, network: Network, kinds: Callable[[], list[Processor]], number: int
    ) -> None:
        self._loop = loop
        self._network = network
        self._kinds = kinds
        self._started = 0
        self._workers: dict[Node, tuple[RemoteWorker, asyncio.Task[None]]] = {}
        for _ in range(number):
            self._begin()

    def any(self, dice: Random) -> Node:
        """One of them."""
        return dice.choice(list(self._workers))

    def kill(self, node: Node) -> None:
        """It is gone; another takes its place."""
        if node in self._workers:
            self._loop.kill(node)
            self._network.forget(node)
            del self._workers[node]
            self._begin()

    def mend(self) -> None:
        """All of them run, and reach the server."""
        for node in self._workers:
            node.cut_off = False
            self._loop.go_on(node)

    async def end(self) -> list[str]:
        """As on SIGTERM; what is left undone then."""
        left = []
        for node, (worker, running) in self._workers.items():
            worker.stop()
            await asyncio.wait([running])
            await self._loop.start(node, worker.drain(10), "drain")
            left += undone(node)
        return left

    def _begin(self) -> None:
        self._started += 1
        node = Node(f"worker-{self._started}")
        node.context.run(self._make, node)

    def _make(self, node: Node) -> None:
        ledger = RemoteLedger(RemoteClient(self._network, node), worker=node.name)
        worker = RemoteWorker(ledger, Registry(*self._kinds()), ["far", "work"], concurrency=3)
        self._workers[node] = worker, self._loop.start(node, worker.run(), node.name)


def undone(node: Node) -> list[str]:
    """The tasks of a node that ended in good order, and are still there, or failed unseen."""
    left = [f"on {node} there is still {task!r}" for task in node.tasks if not task.done()]
    unseen = [task for task in node.tasks if task.done() and task._log_traceback]
    return left + [f"on {node} nobody saw how this ended: {task!r}" for task in unseen]


def _is_of_the_disk(error: BaseException) -> bool:
    """A process may end for it; but not for what it finds to be damaged."""
    if isinstance(error, BaseExceptionGroup):
        return any(_is_of_the_disk(each) for each in error.exceptions)
    return isinstance(error, StoreError | OSError) and not isinstance(error, StoreCorrupt)
