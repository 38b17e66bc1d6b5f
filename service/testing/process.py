"""The process of a service in memory: it begins, ends in good order, or dies and is followed by the
next over the same log.

A life is the production assembly (`service.wiring.assembled`) in a task of its own. To die is to be
cut off from the store first, and stopped then, so that nothing a dying processor does is recorded;
that its `finally` blocks run at all is the one difference from a `kill -9`. The next life takes the
same steps as in production: a new epoch, the read model from the log, attempts of the last life
`worker_lost`.

When a life fails, say by a fault of joblog's, whoever runs something on its loop gets that error.
Time and the test's own calls are not this module's.
"""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

from eventstore.log import EventLog
from service.processors import Processor, Registry
from service.settings import Settings
from service.testing.loop import VirtualLoop
from service.testing.store import SurvivingStore
from service.wiring import Service, assembled
from service.worker import Worker

DEATH_THROES_MAX = 10  # a task that goes on after so many cancellations will not end

T = TypeVar("T")


class DeafProcessorError(Exception):
    """The process is to die, and tasks of it go on whatever they are told."""

    def __init__(self, tasks: set[asyncio.Task[Any]]) -> None:
        names = ", ".join(sorted(task.get_name() for task in tasks))
        super().__init__(f"cancelled {DEATH_THROES_MAX} times, and still there: {names}")


class _HeldRegistry(Registry):
    """Processors that the worker sees only while `working`."""

    working = False

    def runnable(self) -> list[str]:
        """See Registry."""
        return super().runnable() if self.working else []


class Process:
    """One at a time. All of it happens on `loop`."""

    def __init__(
        self, loop: VirtualLoop, processors: tuple[Processor, ...], settings: Settings, dice: Random
    ) -> None:
        self.loop = loop
        self._registry = _HeldRegistry(*processors)
        self._settings = settings
        self._dice = dice
        self._stop = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[BaseException] = loop.create_future()
        self._spared: set[asyncio.Task[Any]] = set()  # who calls us does not die with us
        self.store = SurvivingStore(log_id=f"{dice.getrandbits(128):032x}")
        self.service: Service

    @property
    def worker(self) -> Worker:
        """Who runs the jobs."""
        assert self.service.worker is not None, "a process of a test works"
        return self.service.worker

    def work(self, *, on: bool) -> None:
        """Whether jobs that are due may begin."""
        self._registry.working = on
        if on:
            self.worker.wake()

    async def begin(self) -> None:
        """Live, until told otherwise."""
        self.store.live_again()
        begun = self.loop.create_future()
        life = self._life = asyncio.create_task(self._live(begun), name="the service")
        life.add_done_callback(self._ended)
        await asyncio.wait([begun, life], return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            life.result()  # why it could not even begin
        await self.loop.idle()

    async def end(self) -> None:
        """As on SIGTERM: attempts under way may finish, or are given back."""
        if self._life is not None and not self._life.done():
            self._stop.set()
            await self._life

    async def die_and_rise(self) -> None:
        """Die here and now, and begin again."""
        self.store.die()
        await self.service.projector.flush()  # or its timer would flush a table that is closed
        for _ in range(DEATH_THROES_MAX):
            for task in self._mortals():
                task.cancel()
            await self.loop.idle()
        if deaf := self._mortals():
            raise DeafProcessorError(deaf)
        await self.begin()

    async def idle(self, fits: Callable[[], bool]) -> None:
        """See VirtualLoop.idle; where the process dies meanwhile, it rises."""
        await self.loop.idle(lambda: self.store.is_dead or fits())
        while self.store.is_dead:
            await self.die_and_rise()
            await self.loop.idle(lambda: self.store.is_dead or fits())

    async def watched(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What it returns; unless the service fails before, then that."""
        caller = asyncio.current_task()
        assert caller is not None
        call = asyncio.create_task(coroutine, name="the test's call")
        self._spared = {caller, call}
        either: set[asyncio.Future[Any]] = {call, self._failure}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not call.done():
            call.cancel()
            await asyncio.wait([call])
            raise self._failure.result()
        return call.result()

    async def _live(self, begun: "asyncio.Future[None]") -> None:
        log = EventLog(self.store, dice=self._dice)
        async with assembled(log, self._registry, self._settings, self._dice) as self.service:
            begun.set_result(None)
            await self._stop.wait()
        await log.aclose()

    def _mortals(self) -> set[asyncio.Task[Any]]:
        return asyncio.all_tasks() - self._spared

    def _ended(self, life: "asyncio.Task[None]") -> None:
        error = None if life.cancelled() else life.exception()
        if error is not None and not self._failure.done():
            self._failure.set_result(error)
