"""Somebody else on the event loop, who counts the turns that he gets: what gives way is seen by
that, and needs no clock.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """How many were taken."""

    def __init__(self) -> None:
        self.taken = 0


@asynccontextmanager
async def counting_turns() -> AsyncIterator[Turns]:
    """Take each turn that there is, for the length of an `async with`."""
    turns = Turns()

    async def take() -> None:
        while True:
            turns.taken += 1
            await asyncio.sleep(0)

    taking = asyncio.create_task(take())
    try:
        yield turns
    finally:
        taking.cancel()
