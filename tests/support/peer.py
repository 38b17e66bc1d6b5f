"""A server on a real socket with a tiny application, and clients that behave as a test needs.

The server is uvicorn within our limits (`service.http`), the application is none of ours: what it
does depends on the path, so that a test decides when a body is read and an answer ends. Sockets are
given small buffers on demand, so that a client that does not read is noticed soon.

Whole services in processes of their own are `server`'s matter.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random

from starlette.types import Receive, Scope, Send

from eventstore import clock
from service.http import Door, Limits, config_of
from service.server import _Server

LONG = Limits(connections=1000, header_s=50, body_s=50, answer_s=50, idle_s=50, stop_s=50)
SHORT_S = 0.2
DONE = b"done\r\n0\r\n\r\n"
SMALL_BYTES = 4096
MUCH = 2 * 1024 * 1024  # more than a small socket's buffers take
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODIES = {"/begun": b"begun", "/some": b"x" * 32_768, "/huge": b"x" * MUCH}
POST = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


@dataclass
class App:
    """Answers; what else it does depends on the path. `seen` is how requests ended for it."""

    seen: list[str]
    go_on: asyncio.Event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        path = scope["path"]
        if path == "/read":
            await self._read(receive)
        elif path == "/held":
            await self.go_on.wait()
        elif path == "/until-gone":
            while (await receive())["type"] != "http.disconnect":
                pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if path == "/much":
            for _ in range(MUCH // 65536):
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        elif path in BODIES:
            await send({"type": "http.response.body", "body": BODIES[path], "more_body": True})
        if path == "/begun":
            await self._read(receive)
        await send({"type": "http.response.body", "body": b"done"})
        self.seen.append(path)

    async def _read(self, receive: Receive) -> None:
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        self.seen.append(message["type"])


@dataclass
class Peer:
    """A client on a socket."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> bytes:
        """Until what the application says at the end of each answer."""
        return await self.reader.readuntil(DONE)

    async def end_of_answer(self) -> None:
        """The same, of an answer that is long."""
        end = b""
        while not end.endswith(DONE):
            end = (end + await self.reader.read(65536))[-len(DONE) :]

    async def taking_slowly(self, length: int, *, for_s: float) -> None:
        """Take at least so many bytes, in sips that last so long together."""
        sips = 16
        for _ in range(sips):
            taken = 0
            while taken < length / sips:
                taken += len(await self.reader.read(65536))
            swallowed = asyncio.Event()
            asyncio.get_running_loop().call_later(for_s / sips, swallowed.set)
            await swallowed.wait()

    async def rest(self) -> bytes:
        """All that comes until the end of the connection."""
        found = b""
        try:
            while part := await self.reader.read(65536):
                found += part
        except ConnectionResetError:
            pass
        return found


class Running:
    """A server on a socket."""

    def __init__(self, server: _Server, port: int, app: App, serving: asyncio.Task[None]) -> None:
        self.app = app
        self.port = port
        self._server = server
        self._serving = serving
        self._peers: list[Peer] = []

    async def peer(self, sent: bytes = b"") -> Peer:
        """A new connection."""
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port))
        self._peers.append(peer)
        peer.send(sent)
        return peer

    async def deaf_peer(self, sent: bytes) -> Peer:
        """One that takes next to nothing."""
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        deaf.connect(("127.0.0.1", self.port))
        peer = Peer(*await asyncio.open_connection(sock=deaf))
        peer.writer.transport.pause_reading()
        self._peers.append(peer)
        peer.send(sent)
        return peer

    async def has_none(self) -> None:
        """Wait until all connections that have been made are gone."""
        await self.works()
        state = self._server.server_state
        while state.connections or state.tasks:  # noqa: ASYNC110  uvicorn tells nobody
            await asyncio.sleep(0)

    async def works(self) -> None:
        """Somebody else is served."""
        peer = await self.peer(GET)
        assert b"200 OK" in await peer.answer()
        peer.writer.close()
        await peer.writer.wait_closed()

    async def stop(self) -> float:
        """Stop; how long it took."""
        began = clock.monotonic()
        self._server.should_exit = True
        await self._serving
        return clock.monotonic() - began

    async def aclose(self) -> None:
        self.app.go_on.set()
        for peer in self._peers:
            peer.writer.transport.abort()
        await self.stop()


@asynccontextmanager
async def running(**limits: float) -> AsyncIterator[Running]:
    """A server with these limits; all others are long."""
    app, started = App([], asyncio.Event()), asyncio.Event()
    door = Door(replace(LONG, **limits), dice=Random(1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BYTES)  # they inherit it
        port = listener.getsockname()[1]
        server = _Server(config_of(app, door), started.set)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await started.wait()
        service = Running(server, port, app, serving)
        try:
            yield service
        finally:
            await service.aclose()


def get(path: bytes) -> bytes:
    return GET.replace(b"/ ", path + b" ", 1)
