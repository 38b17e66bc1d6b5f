"""Running a coroutine test: on virtual time, or on the real clock where it must be.

The virtual loop itself is part of the product (`service/testing/loop.py`), because users test their
processors on it; here is only how this suite runs its own coroutines, to their end and with a limit
where time is real.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from service.testing.loop import START, no_silent_failures, virtual_time

T = TypeVar("T")

REAL_TIMEOUT_S = 60.0  # a test in real time that hangs, hangs no longer than this


def run_virtual(
    main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]], start: str = START
) -> T:
    """Run a coroutine (or what makes one) to its end on virtual time that begins at `start`."""
    with virtual_time(start) as runner:
        return runner.run(main() if callable(main) else main)


def run_real(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on the loop that serves, and on the real clock."""

    async def limited() -> T:
        async with asyncio.timeout(REAL_TIMEOUT_S):
            return await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, no_silent_failures(runner):
        return runner.run(limited())


def elapsed() -> float:
    """Seconds since the running loop began; without what adding up floats leaves."""
    return round(asyncio.get_running_loop().time(), 6)
