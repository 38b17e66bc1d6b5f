"""Long work on the event loop, done in slices so that everybody else has his turn.

Ten thousand events to encode take a fifth of a second, and for that long nobody would be answered,
no lease renewed. Work that is a loop over small steps asks `breathe()` between them: it gives way
once SLICE_S have passed, and costs next to nothing before. What is one long step (a parser's single
call) cannot be sliced; that is what an `Offload` is for.
"""

import asyncio

from eventstore import clock

SLICE_S = 0.001  # what waits for others takes several turns, and each of them a slice of ours


class Pace:
    """The slices of one piece of work."""

    def __init__(self) -> None:
        self._since = clock.monotonic()

    async def breathe(self) -> None:
        """Let others have their turn, if it is time."""
        if clock.monotonic() >= self._since + SLICE_S:
            await asyncio.sleep(0)
            self._since = clock.monotonic()
