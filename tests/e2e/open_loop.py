"""A client that keeps to its plan: at a rate, or as fast as answers come, whatever is answered.

`service.bench.load` measures a server that takes everything, and ends at the first other answer.
This one is for a server that may refuse: it notes each answer's status, and how long it took from
the instant it was due. What is due while all connections are busy waits in the client, at its own
charge; what has not been sent when the time is over never is.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from eventstore import clock

CONNECTIONS = 64
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")


class Said(NamedTuple):
    """An answer. `due_s` is when its request was due, from the beginning."""

    due_s: float
    took_s: float
    status: int
    body: bytes


class OpenLoop:
    """Requests to one server, from `connections` kept connections. `unsent` is when those were due
    for which there was no time.
    """

    def __init__(self, port: int, request: Callable[[], bytes], connections: int) -> None:
        self._port = port
        self._request = request
        self._connections = connections
        self._said: list[Said] = []
        self.unsent: list[float] = []
        self._due: deque[float] = deque()
        self._wake: deque[asyncio.Future[None]] = deque()
        self._over = False

    async def run(self, seconds: float, rate: float | None = None) -> list[Said]:
        """All that was said."""
        self._begun = clock.monotonic()
        each = [asyncio.create_task(self._connection(rate)) for _ in range(self._connections)]
        while (elapsed := clock.monotonic() - self._begun) < seconds:
            if rate is not None:
                self._plan(elapsed, rate)
            await asyncio.sleep(0.002)
        self._over = True
        while self._wake:
            self._wake.popleft().set_result(None)
        await asyncio.gather(*each)
        self.unsent = [*self._due]
        return self._said

    def _plan(self, elapsed: float, rate: float) -> None:
        planned = getattr(self, "_planned", 0)
        self._planned = int(elapsed * rate)
        for number in range(planned, self._planned):
            self._due.append(number / rate)
            if self._wake:
                self._wake.popleft().set_result(None)

    async def _connection(self, rate: float | None) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while not self._over:
            if rate is None:
                due = clock.monotonic() - self._begun
            elif self._due:
                due = self._due.popleft()
            else:
                self._wake.append(asyncio.get_running_loop().create_future())
                await self._wake[-1]
                continue
            writer.write(self._request())
            header = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(header)
            body = await reader.readexactly(int(length[1])) if length else b""
            took = clock.monotonic() - self._begun - due
            self._said.append(Said(due, took, int(header[9:12]), body))
        writer.close()
