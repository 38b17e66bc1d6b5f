"""A reader of server-sent events, in process: it speaks to the application by ASGI, because an
answer that never ends is more than an HTTP client over ASGI waits for.

    async with following(service.app, "/events?after=3") as reader:
        event = await reader.next()

Leaving the block is going away, as a browser does that closes its page. `parsed` is how anybody
reads such a stream, and knows nothing of ours.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from math import inf
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message


class Sent(NamedTuple):
    """A server-sent event; of a comment or a `retry`, the text alone."""

    id: str
    event: str
    data: str
    text: str


class Reader:
    """What was sent so far and not yet looked at."""

    def __init__(self, reads: float) -> None:
        self._reads = reads
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = asyncio.Event()
        self._begun = asyncio.Event()
        self._blocks: asyncio.Queue[Sent] = asyncio.Queue()
        self._rest = b""

    async def begun(self) -> None:
        """Return once the answer has begun."""
        await self._begun.wait()

    async def block(self) -> Sent:
        """The next of whatever is sent."""
        return await self._blocks.get()

    async def next(self) -> Sent:
        """The next event."""
        while not (found := await self.block()).event:
            pass
        return found

    async def events(self, count: int) -> list[Sent]:
        """The next events."""
        return [await self.next() for _ in range(count)]

    @property
    def waiting(self) -> int:
        """How many blocks nobody has looked at."""
        return self._blocks.qsize()

    async def take(self, message: Message) -> None:
        """What the application sends; once nothing is read any more, that takes for ever."""
        self._reads -= 1
        if self._reads < 0:
            await asyncio.Event().wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self._begun.set()
            return
        *whole, self._rest = (self._rest + message["body"]).split(b"\n\n")
        for block in whole:
            self._blocks.put_nowait(parsed(block.decode()))
        if not message.get("more_body", False):
            self.ended.set()


@asynccontextmanager
async def following(
    app: ASGIApp, url: str, *, reads: float = inf, **headers: str
) -> AsyncIterator[Reader]:
    """A reader of this address, until the block ends; of the first so many messages only."""
    reader, gone = Reader(reads), asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    task = asyncio.create_task(app(_scope(url, headers), receive, reader.take))
    try:
        await asyncio.wait(
            [task, asyncio.create_task(reader.begun())], return_when=asyncio.FIRST_COMPLETED
        )
        yield reader
    finally:
        gone.set()
        await task


def parsed(block: str) -> Sent:
    """A block between blank lines."""
    fields = dict(_fields(block))
    return Sent(fields.get("id", ""), fields.get("event", ""), fields.get("data", ""), block)


def _fields(block: str) -> Iterator[tuple[str, str]]:
    for line in block.split("\n"):
        name, _, value = line.partition(": ")
        yield name, value


def _scope(url: str, headers: dict[str, str]) -> dict[str, Any]:
    path, _, query = url.partition("?")
    given = {"host": "localhost", "accept": "text/event-stream"} | {
        name.replace("_", "-").lower(): value for name, value in headers.items()
    }
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("localhost", 8080),
    }
