"""The places of those who wait: how many requests may be held at a time, whatever they wait for.

A held request (a long poll, a stream, a claim) costs a connection and memory for as long as it
likes, and does nothing; so there are so many places for all of them together, and who finds none is
sent away at once (503), before anything is done for him. An endpoint holds a place for as long as
it may have to wait:

    async with waits.place():
        job = await jobs.wait_until(…)

An answer that streams takes its place where it is sent, in `__call__` of its response: until the
first byte has gone out a refusal is still an answer.

Requests that are answered at once need no place; how many connections there may be is
`service.http`'s matter.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.web import problems
from service.web.problems import ProblemError

RETRY_AFTER_S = 5


class Waits:
    """So many places."""

    def __init__(self, places: int) -> None:
        self._free = places

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of them, for the length of an `async with`. Raises ProblemError when there is
        none.
        """
        if self._free <= 0:
            raise ProblemError(
                problems.TOO_MANY_WAITING,
                "as many requests are being held as may be: ask without waiting, or later",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
