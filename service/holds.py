"""Answers that are held back, for a while or until something happens; and that all of them end when
we stop.

    async with holds.hold(5):
        await something        # ended after 5 s, or at once when the service stops

What is awaited inside is cancelled at the end of its time; the code after the block goes on and
looks at what there is. So nobody who holds an answer needs to know about stopping, and a stop waits
for nobody. How many answers may be held at a time is not decided here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Holds:
    """All the answers that are held back."""

    def __init__(self) -> None:
        self._held: set[asyncio.Timeout] = set()
        self.ended = False

    @asynccontextmanager
    async def hold(self, seconds: float) -> AsyncIterator[None]:
        """For so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self.ended else seconds) as limit:
                self._held.add(limit)
                try:
                    yield
                finally:
                    self._held.remove(limit)

    def end(self) -> None:
        """End them all, and those to come."""
        self.ended = True
        now = asyncio.get_running_loop().time()
        for limit in self._held:
            if not limit.expired():
                limit.reschedule(now)
