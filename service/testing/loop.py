"""An event loop on virtual time: where a loop would wait, this one moves the frozen clock to the
next deadline.

freezegun owns the time, and the loop ticks it when it has nothing else to do. So the wall clock,
`time.monotonic` and `loop.time` cannot disagree, a day of backoff takes milliseconds, and the same
test runs through the same instants every time. The idea is trio's
`MockClock(autojump_threshold=0)`.

Three rules make it sound:

- one freeze, and it is the outermost: freezegun takes its settings from the outermost only, so
  `virtual_time` starts it and refuses to run inside another;
- the loop counts from its own start, to the microsecond: beside 1.8e9 seconds since 1970 the
  nanosecond by which asyncio decides what is due is lost in rounding, and a loop at an instant
  equal to a deadline would spin there for ever;
- no other thread: nothing tells the loop that one is at work, so it would jump over it. What is
  meant for a thread (`asyncio.to_thread`, any executor) runs at once, on the loop's own.

When nothing is ready and no timer is set, no wake-up can come any more: that is a `Deadlock`,
reported at once with the places where the tasks wait. When something is ready again and again and
no time passes, that is a `Livelock`. In real time both would be tests that hang.

Not here: faking the clock of what uses sockets, servers or threads of its own. That needs the real
one.
"""

import asyncio
import selectors
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import timedelta
from types import CoroutineType
from typing import Any, TypeVar, TypeVarTuple, Unpack

try:
    from freezegun import freeze_time
    from freezegun.api import FrozenDateTimeFactory, freeze_factories
except ModuleNotFoundError as missing:
    raise ImportError(
        "service.testing needs freezegun: install joblog with its extra `testing`,"
        " or pip install freezegun"
    ) from missing

START = "2026-11-23T12:00:00Z"
TURNS_MAX = 200_000  # of a loop at one instant: a second or two of real time, and no honest work

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MICROSECOND = 1e-6


class Deadlock(Exception):
    """Nothing is ready and no timer is set: nobody can wake these tasks (or a hidden thread could,
    see the module).
    """

    def __init__(self, tasks: "set[asyncio.Task[Any]]") -> None:
        super().__init__(f"nothing is ready and no timer is set: {_places(tasks)}")


class Livelock(Exception):
    """Something is ready again and again, and no time passes: these tasks never wait for long."""

    def __init__(self, tasks: "set[asyncio.Task[Any]]") -> None:
        super().__init__(f"{TURNS_MAX} turns of the loop and no time passed: {_places(tasks)}")


class TimeIsFrozenError(Exception):
    """Somebody froze time before; a virtual loop must own the freeze, as the outermost one."""

    def __init__(self) -> None:
        super().__init__("time is frozen already: one freeze, the outermost, and it must be ours")


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is the frozen clock's, counted from the loop's start."""

    def __init__(self, clock: Any) -> None:
        assert isinstance(clock, FrozenDateTimeFactory), "a clock that ticks by itself"
        self._clock = clock
        self._start = clock()
        self._watching: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        super().__init__(_Jump(self))
        self._clock_resolution = (
            _MICROSECOND / 2
        )  # a deadline is due at its microsecond, not before and not after

    def time(self) -> float:
        """Seconds since the loop was made."""
        return (self._clock() - self._start).total_seconds()

    def jump(self, seconds: float) -> None:
        """Let time pass in one step. What became due in between is due now, and late."""
        self._clock.tick(timedelta(microseconds=max(1, round(seconds / _MICROSECOND))))

    async def idle(self, fits: Callable[[], bool] = lambda: True) -> None:
        """Return at the first instant at which all is done that can be done without waiting, and
        that `fits`; before time moves on.
        """
        waiter = self.create_future()
        self._watching.append((fits, waiter))
        await waiter

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002  whichever it is
        func: Callable[[Unpack[Ts]], T],
        *args: *Ts,
    ) -> "asyncio.Future[T]":
        """At once, on this thread: see the module."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  whoever awaits it gets it, as from a thread
            done.set_exception(error)
        return done

    def wake_those_who_wait_for_idleness(self) -> bool:
        """Now is such an instant: whether anybody waited for it."""
        fitting = [watched for watched in self._watching if watched[0]()]
        for watched in fitting:
            self._watching.remove(watched)
            if not watched[1].done():
                watched[1].set_result(None)
        return bool(fitting)


class _Jump(selectors.DefaultSelector):
    """Instead of waiting, moves the frozen clock to the next deadline."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            self._turn()
            return ready
        self._turns = 0
        if self._loop.wake_those_who_wait_for_idleness():
            return ready
        if timeout is None:
            raise Deadlock(asyncio.all_tasks(self._loop))
        self._loop.jump(timeout)
        return ready

    def _turn(self) -> None:
        self._turns += 1
        if self._turns > TURNS_MAX:
            self._turns = 0
            raise Livelock(asyncio.all_tasks(self._loop))


@contextmanager
def virtual_time(start: str = START) -> Iterator[asyncio.Runner]:
    """Frozen time that begins at `start`, and a runner of coroutines on it."""
    if freeze_factories:
        raise TimeIsFrozenError
    with (
        freeze_time(start) as clock,
        asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner,
        no_silent_failures(runner),
    ):
        yield runner


@contextmanager
def no_silent_failures(runner: asyncio.Runner) -> Iterator[None]:
    """Fail if a task or callback failed where nobody looked; a stock loop only logs it."""
    unseen: list[dict[str, Any]] = []
    runner.get_loop().set_exception_handler(lambda _, context: unseen.append(context))
    yield
    for context in unseen:
        raise AssertionError(context["message"]) from context.get("exception")


def _places(tasks: "set[asyncio.Task[Any]]") -> str:
    return "; ".join(sorted(f"{task.get_name()} waits in {_place(task)}" for task in tasks))


def _place(task: "asyncio.Task[Any]") -> str:
    """The coroutines that a task is in, the outermost first, and the line of the innermost."""
    coroutine: Any = task.get_coro()
    names, line = [], "done"
    while isinstance(coroutine, CoroutineType):
        names.append(coroutine.cr_code.co_qualname)
        if coroutine.cr_frame is not None:
            line = f"{coroutine.cr_code.co_filename}:{coroutine.cr_frame.f_lineno}"
        coroutine = coroutine.cr_await
    return f"{' > '.join(names)} ({line})"
