"""The level `hostile clients`: many that are slow, silent or deaf, on a real socket, at once.

| client | what it does | what becomes of it |
|--------|--------------|--------------------|
| silent | connects and says nothing, or half a header | cut off after `header_s` |
| dripping | sends its body a byte at a time | cut off after `body_s`, or answered 408 |
| idle   | asks once, and keeps the connection | kept: until `idle_s` it does no harm |
| deaf   | asks for the log as a stream, and reads nothing | cut off after `answer_s` |

Ten thousand are idle, where the system permits so many files in a process, which has both ends of
each. Meanwhile somebody else is served, memory is bounded by so much a client, and when the limits
have passed only those are left who may stay. The limits are as documented but for their length.
"""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final
from unittest.mock import patch

from eventstore import clock
from service.http import Limits
from tests.service.web.hostile_requests import Errors
from tests.support.loop import run_real
from tests.support.served import LIVEZ, Served, served
from tests.trials.level import CannotRunError, Figures, Level

IDLE_MAX, IDLE_MIN = 10_000, 500
SLOW = 300
DRIPPING = 30
DEAF = 20
FILES_KEPT = 500
EVENTS = 300  # of some kilobytes each: more than the buffers of a deaf client's connection take
LATE_S: Final = 2.0
GONE_WITHIN_S: Final = 20.0  # for who is late to be gone; a busy machine is late itself
ANSWER_S: Final = 5.0  # for somebody else's answer; it takes milliseconds
CLIENT_BYTES_MAX: Final = 24 * 1024  # with both ends of its connection in this process
DEAF_BYTES_MAX: Final = 1024 * 1024
BYTES_FREE: Final = 16 * 1024 * 1024
LIMITS: Final = Limits(connections=2 * IDLE_MAX, header_s=LATE_S, body_s=LATE_S, answer_s=LATE_S)
GET: Final = LIVEZ.replace(b"Connection: close\r\n", b"")
STREAM: Final = b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
BODY: Final = (
    b"POST /jobs/work HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n"
)


def one_round(seed: int) -> Figures:
    """All of them at once."""
    with (
        TemporaryDirectory() as made,
        patch("service.web.body.BODY_S_MAX", LATE_S),
        _room_for_files() as idle,
    ):
        return run_real(lambda: _one_round(Path(made) / "data", Random(seed), idle))


async def _one_round(root: Path, dice: Random, idle: int) -> Figures:
    with Errors() as errors:
        async with served(root, LIMITS, dice.getrandbits(32)) as there:
            await _some_events(there)
            before = _resident()
            clients = Clients(there.port)
            try:
                await clients.connect(DEAF, STREAM, deaf=True)
                await clients.connect(idle, GET)
                for _ in range(SLOW):
                    await clients.connect(1, dice.choice((b"", b"G", GET[:-2], BODY)))
                    clients.slow += 1
                    clients.drip()
                await _served_meanwhile(there, clients, idle)
                allowed = BYTES_FREE + (idle + SLOW) * CLIENT_BYTES_MAX + DEAF * DEAF_BYTES_MAX
                grown = _resident() - before
                assert grown < allowed, f"{grown:,} bytes for {idle + SLOW + DEAF} clients"
            finally:
                clients.close()
        assert errors.found == []
    return {"idle": idle, "slow": SLOW, "deaf": DEAF}


async def _served_meanwhile(there: Served, clients: "Clients", stay: int) -> None:
    """Raise AssertionError unless others are served until all who are late are gone."""
    until = clock.monotonic() + GONE_WITHIN_S
    while there.connections() != stay:
        since = clock.monotonic()
        assert since < until, f"{there.connections()} connections are left, {stay} may be"
        await there.lives()
        took = clock.monotonic() - since
        assert took < ANSWER_S, f"somebody else waited for {took:.1f} s"
        clients.drip()
        await asyncio.sleep(LATE_S / 20)


class Clients:
    """Sockets that do as little as can be: no loop watches them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._all: list[socket.socket] = []
        self.slow = 0  # of the newest

    async def connect(self, many: int, sent: bytes, *, deaf: bool = False) -> None:
        """So many more, that have sent this; the server is let run meanwhile."""
        for number in range(many):
            client = socket.socket()
            if deaf:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self._port))
            client.send(sent)
            self._all.append(client)
            if number % 100 == 0:
                await asyncio.sleep(0)

    def drip(self) -> None:
        """A byte more from some of those that are late."""
        for client in self._all[-min(DRIPPING, self.slow) :]:
            with suppress(OSError):
                client.send(b"x")

    def close(self) -> None:
        """All of them."""
        for client in self._all:
            client.close()


async def _some_events(there: Served) -> None:
    """A log that is longer than what a connection's buffers take."""
    reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
    body = b'{"text":"%b"}' % (b"x" * 20_000)
    for _ in range(EVENTS):
        writer.write(BODY.replace(b"1000", b"%d" % len(body)) + body)
        header = await reader.readuntil(b"\r\n\r\n")
        assert header.startswith(b"HTTP/1.1 202"), header
        length = int(header.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()


@contextmanager
def _room_for_files() -> Iterator[int]:
    """How many idle clients there may be, with the limit raised for the length of a `with`. Raises
    CannotRunError where it is too few.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * (IDLE_MAX + SLOW + DEAF) + FILES_KEPT
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    idle = min(IDLE_MAX, (max(most, soft) - FILES_KEPT) // 2 - SLOW - DEAF)
    if idle < IDLE_MIN:
        raise CannotRunError(f"a process may have {most} open files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, soft), hard))
    try:
        yield idle
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


LEVEL = Level(
    name="hostile clients",
    breaks="thousands of idle connections, slow headers and bodies, deaf readers of streams",
    proves="others are served, memory is bounded, who is late is cut off and who is not is not",
    leaves="floods from many machines: those are a proxy's matter",
    round=one_round,
    short=1,
    least={"idle": IDLE_MIN, "slow": SLOW, "deaf": DEAF},
    alone=True,
)
