"""A receiver of webhooks on a socket of this machine: keeps what it is sent, answers as told.

It speaks HTTP by hand, because half of what it does no server would do: hang, hang up, send a byte
now and then, never stop, redirect, speak something else. What it got is in `requests`, how often
somebody connected in `connections`. Not a check of anything.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

Behaviour: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]

HOST = "127.0.0.1"


class Request(NamedTuple):
    """What came in. Names of headers are in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Where it listens, and what it was sent."""

    port: int
    behaviour: Behaviour
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        """Its address, in plain HTTP."""
        return f"http://{HOST}:{self.port}/hooks?for=joblog"


@asynccontextmanager
async def receiving(
    behaviour: Behaviour, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver that does this after every request."""
    receiver = Receiver(0, behaviour)
    # A behaviour may wait for nothing, and the loop itself holds a waiting task only weakly: once
    # its connection is gone, such a task would be collected in the middle of somebody's test.
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        try:
            while request := await _request(reader):
                receiver.requests.append(request)
                await receiver.behaviour(writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(connected, HOST, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in serving:
            task.cancel()
        for ended in await asyncio.gather(*serving, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _request(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").strip().split("\r\n")
    pairs = (each.split(":", 1) for each in fields)
    headers = {name.lower(): value.strip() for name, value in pairs}
    return Request(line, headers, await reader.readexactly(int(headers["content-length"])))


def answers(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answers properly."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in named.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} Whatever", *lines, f"Content-Length: {len(body)}"])
    return sends(head.encode() + b"\r\n\r\n" + body)


def sends(raw: bytes) -> Behaviour:
    """Sends this, whatever it is."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return behave


def hangs_up(after: bytes = b"") -> Behaviour:
    """Sends this, and is gone."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(after)
        await writer.drain()
        writer.close()

    return behave


def never_ends(head: bytes, piece: bytes, *, pause_s: float) -> Behaviour:
    """Sends a head, then pieces, until the other side has had enough."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return behave
