"""Where blocking calls go: to a thread in production, nowhere in a test on virtual time.

The log syncs to disk and the read models write SQLite, both of which block. `Thread` runs such
calls one after the other on a thread of its own, so that the event loop stays free. `Inline` runs
them at once: a test on a virtual loop has no other thread that could wake it, and the simulated
disk takes no time.

Not a pool: one `Thread` is one queue, so calls handed to it never overlap.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class Offload(Protocol):
    """Runs blocking calls, one at a time, in the order given."""

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` and return what it returns, or raise what it raises."""
        ...

    def close(self) -> None:
        """Finish what was handed over, then stop."""
        ...


class Thread:
    """Blocking calls on one thread of their own."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` on the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Wait for the thread to finish."""
        self._executor.shutdown()


class Inline:
    """Blocking calls at once, on the caller's thread."""

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call`."""
        return call()

    def close(self) -> None:
        """Nothing was put off."""
