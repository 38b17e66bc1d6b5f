"""An `Offload` that counts what it is given: so a test sees what is done elsewhere than on the
event loop, and what is not.

It runs calls at once, as `Inline` does.
"""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Counting:
    """Blocking calls at once, counted."""

    def __init__(self) -> None:
        self.calls = 0

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call`."""
        self.calls += 1
        return call()

    def close(self) -> None:
        """Nothing was put off."""
