"""A whole service on a socket, in this process: the log in files, the real application, uvicorn
within limits that the caller chooses. For clients that behave as no library does.

A server in a process of its own is `server`'s matter; one with a tiny application is `peer`'s.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from service.http import Door, Limits, config_of
from service.server import BACKLOG, _Server
from service.settings import Settings
from service.wiring import Service, running

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Served:
    """It listens on `port` of 127.0.0.1."""

    service: Service
    server: _Server
    port: int

    async def lives(self) -> None:
        """Raise AssertionError unless somebody else is served."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(LIVEZ)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer[:300]
        writer.close()

    def connections(self) -> int:
        """How many there are, as the server knows."""
        return len(self.server.server_state.connections)


@asynccontextmanager
async def served(root: Path, limits: Limits, seed: int, **settings: int) -> AsyncIterator[Served]:
    """A service that runs nothing, with kind `work` beside the built-in ones.

    An AssertionError comes out as it is, once the service has stopped.
    """
    told = Settings(store=f"file:{root}", work=False, remote_kinds=("work",), seed=seed, **settings)
    started = asyncio.Event()
    broken: AssertionError | None = None
    async with running(told, owner="a trial") as service:
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
            server = _Server(config_of(service.app, Door(limits, dice=Random(seed))), started.set)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await started.wait()
            try:
                yield Served(service, server, listener.getsockname()[1])
            except AssertionError as error:
                broken = error
            finally:
                service.hold_nothing()
                server.should_exit = True
                await serving
    if broken is not None:
        raise broken
