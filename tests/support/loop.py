"""An event loop on virtual time: where a loop would wait, this one moves the frozen clock to the
next deadline.

freezegun owns the time, and the loop ticks it when it has nothing else to do. So the wall clock,
`time.monotonic` and `loop.time` cannot disagree, a day of backoff takes milliseconds, and the same
test runs through the same instants every time. The idea is trio's
`MockClock(autojump_threshold=0)`.

Three rules make it sound:

- one freeze, and it is the outermost: freezegun takes its settings from the outermost only, so
  `run_virtual` starts it and refuses to run inside another;
- the loop counts from its own start, to the microsecond: beside 1.8e9 seconds since 1970 the
  nanosecond by which asyncio decides what is due is lost in rounding, and a loop at an instant
  equal to a deadline would spin there for ever;
- no other thread: nothing tells the loop that one is at work, so it would jump over it. `Inline`
  stands in for `Thread`.

When nothing is ready and no timer is set, no wake-up can come any more: that is a `Deadlock`,
reported at once with the places where the tasks wait. In real time it would be a test that hangs.

Not here: faking the clock of tests that use sockets, servers or threads. Those run with `run_real`,
on the real one.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import CoroutineType
from typing import Any, TypeVar

from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory, freeze_factories

T = TypeVar("T")

START = "2026-11-23T12:00:00Z"
REAL_TIMEOUT_S = 60.0  # a test in real time that hangs, hangs no longer than this

_MICROSECOND = 1e-6


class Deadlock(Exception):
    """Nothing is ready and no timer is set: nobody can wake these tasks (or a hidden thread could,
    see the module).
    """

    def __init__(self, tasks: "set[asyncio.Task[Any]]") -> None:
        places = sorted(f"{task.get_name()} waits in {_place(task)}" for task in tasks)
        super().__init__("nothing is ready and no timer is set: " + "; ".join(places))


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is the frozen clock's, counted from the loop's start."""

    def __init__(self, clock: Any) -> None:
        assert isinstance(clock, FrozenDateTimeFactory), "a clock that ticks by itself"
        self._clock = clock
        self._start = clock()
        super().__init__(_Jump(self, clock))
        self._clock_resolution = (
            _MICROSECOND / 2
        )  # a deadline is due at its microsecond, not before and not after

    def time(self) -> float:
        """Seconds since the loop was made."""
        return (self._clock() - self._start).total_seconds()


class _Jump(selectors.DefaultSelector):
    """Instead of waiting, moves the frozen clock to the next deadline."""

    def __init__(self, loop: VirtualLoop, clock: FrozenDateTimeFactory) -> None:
        super().__init__()
        self._loop = loop
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Deadlock(asyncio.all_tasks(self._loop))
        self._clock.tick(timedelta(microseconds=max(1, round(timeout / _MICROSECOND))))
        return ready


def run_virtual(
    main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]], start: str = START
) -> T:
    """Run a coroutine (or what makes one) to its end on virtual time that begins at `start`."""
    assert not freeze_factories, "one freeze, the outermost: time is frozen already"
    with (
        freeze_time(start) as clock,
        asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner,
        _no_silent_failures(runner),
    ):
        return runner.run(main() if callable(main) else main)


def run_real(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on a stock loop and the real clock."""

    async def limited() -> T:
        async with asyncio.timeout(REAL_TIMEOUT_S):
            return await main()

    with asyncio.Runner() as runner, _no_silent_failures(runner):
        return runner.run(limited())


def elapsed() -> float:
    """Seconds since the running loop began; without what adding up floats leaves."""
    return round(asyncio.get_running_loop().time(), 6)


@contextmanager
def _no_silent_failures(runner: asyncio.Runner) -> Iterator[None]:
    """Fail if a task or callback failed where nobody looked; a stock loop only logs it."""
    unseen: list[dict[str, Any]] = []
    runner.get_loop().set_exception_handler(lambda _, context: unseen.append(context))
    yield
    for context in unseen:
        raise AssertionError(context["message"]) from context.get("exception")


def _place(task: "asyncio.Task[Any]") -> str:
    """The innermost line of the coroutine that a task runs, and its function."""
    coroutine = task.get_coro()
    while isinstance(coroutine, CoroutineType) and isinstance(coroutine.cr_await, CoroutineType):
        coroutine = coroutine.cr_await
    frame = getattr(coroutine, "cr_frame", None)
    if frame is None:
        return repr(coroutine)
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
