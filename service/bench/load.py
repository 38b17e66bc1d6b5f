"""The load generator: HTTP over raw sockets, in a process of its own, so cheap that the server is
what is measured.

Requests are encoded beforehand. An answer is read as far as its status and its length, and any
status but the expected one ends the run. Each connection has one request in flight. Two ways:

- *closed*: each connection sends as soon as it was answered, so the rate is what the server takes;
- *open* (`rate`): the time of every request is fixed beforehand, and its latency counts from there,
  so a server that stalls is charged for everybody who would have come meanwhile. The times are
  whole ticks of the system's interval timer: an event loop's own timers are as late as a tick is
  long, and to wait without sleeping would take the server's second core;
- *streams* (`follow`): each connection sends one request and reads what comes, until the end.

Orders come in on stdin, what was done of each goes out on stdout, both as JSON. `generate` is the
caller's side. It counts its own CPU time: above BUSY of a core it was the limit and not the server.
"""

import asyncio
import math
import re
import resource
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any, cast

import msgspec
from uvicorn.loops.auto import auto_loop_factory

from eventstore import clock
from service.bench.measured import MeasurementError
from service.bench.process import Server, command, environment

BUSY = 0.9  # of a core
LATE_S = 30.0  # for the last answers
TICK_S = 0.001

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Order(msgspec.Struct, kw_only=True, frozen=True):
    """What to send, and for how long. `requests` are sent in turn, again and again."""

    address: tuple[str, int]
    requests: tuple[bytes, ...]
    status: int
    connections: int
    warm_s: float
    seconds: float
    rate: float | None = None  # requests a second; None: as fast as answers come
    follow: bool = False


class Done(msgspec.Struct, frozen=True):
    """What happened in the measured time, in seconds."""

    answers: int
    seconds: float
    latencies: list[float]
    cpu_s: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    @property
    def was_limit(self) -> bool:
        """Whether the generator was busier than it may be."""
        return self.cpu_s > BUSY * self.seconds


def generate(*orders: Order) -> Iterator[Done]:
    """Have orders carried out, one after the other; what was done of each, as soon as it was.

    Raises MeasurementError.
    """
    process = subprocess.Popen(  # noqa: S603  ourselves
        command(__name__),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is ours to hear first
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        try:
            process.stdin.write(msgspec.json.encode(orders))
            process.stdin.close()
            for line in process.stdout:
                yield msgspec.json.decode(line, type=Done)
            words = process.stderr.read().decode().strip()
        finally:
            process.kill()
    if words:
        raise MeasurementError(f"the load generator: {words}")


def request(
    server: Server, method: str, path: str, body: bytes | None = None, accept: str = "*/*"
) -> bytes:
    """The bytes of a request to a server."""
    host, port = server.address
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", f"Accept: {accept}"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class _Run:
    """One order under way."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._requests = cycle(order.requests)
        self._connections: list[_Connection] = []
        self._idle: deque[_Connection] = deque()
        self._busy = 0
        self._begun = 0.0
        self._planned = math.inf  # when the next request is due, where there is a rate
        self._sent = 0
        self._from = self._until = math.inf  # what is measured
        self.latencies: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def carry_out(self) -> Done:
        """From the first connection to the last answer, which the connections do not outlive."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_error)
        order = self._order
        for _ in range(order.connections):
            await loop.create_connection(lambda: _Connection(self, order), *order.address)
        self._begin()
        await self._for(order.warm_s)
        self._from, cpu = clock.monotonic(), _cpu_s()
        await self._for(order.seconds)
        self._until, cpu = clock.monotonic(), _cpu_s() - cpu
        self._end_if_done()
        async with asyncio.timeout(LATE_S):
            await self.ended
        signal.setitimer(signal.ITIMER_REAL, 0)
        for connection in self._connections:
            connection.close()
        return Done(len(self.latencies), self._until - self._from, self.latencies, cpu)

    def connected(self, connection: "_Connection") -> None:
        """It can be used."""
        self._connections.append(connection)
        self._idle.append(connection)

    def answered(self, connection: "_Connection", since: float) -> None:
        """It can be used again. A closed loop counts answers that came in the measured time, an
        open one those that were due in it.
        """
        now = clock.monotonic()
        if self._from <= (now if self._order.rate is None else since) < self._until:
            self.latencies.append(now - since)
        if self._order.rate is None and now < self._until:
            connection.send(next(self._requests), now)
            return
        self._busy -= 1
        self._idle.append(connection)
        self._send_due(now)

    def fail(self, why: str) -> None:
        """The order cannot be carried out."""
        if not self.ended.done():
            self.ended.set_exception(MeasurementError(why))

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A fault of ours would otherwise look like a server that does not answer."""
        del loop
        self.fail(repr(context.get("exception") or context["message"]))

    def _end_if_done(self) -> None:
        stopped = self._until < math.inf and self._planned >= self._until
        if stopped and (self._busy == 0 or self._order.follow) and not self.ended.done():
            self.ended.set_result(None)

    async def _for(self, seconds: float) -> None:
        await asyncio.wait([self.ended], timeout=seconds)
        if self.ended.done():
            self.ended.result()

    def _begin(self) -> None:
        self._begun = clock.monotonic()
        if self._order.rate is None:
            while self._idle:
                self._send(self._begun)
        else:
            self._planned = self._begun
            asyncio.get_running_loop().add_signal_handler(signal.SIGALRM, self._tick)
            signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)

    def _tick(self) -> None:
        self._send_due(clock.monotonic())

    def _send_due(self, now: float) -> None:
        """Send what is due at a rate, as far as a connection is free."""
        while self._idle and self._planned <= now and self._planned < self._until:
            assert self._order.rate is not None
            self._send(self._planned)
            self._sent += 1
            ticks = math.ceil(self._sent / self._order.rate / TICK_S)
            self._planned = self._begun + ticks * TICK_S
        self._end_if_done()

    def _send(self, since: float) -> None:
        self._busy += 1
        self._idle.popleft().send(next(self._requests), since)


class _Connection(asyncio.Protocol):
    """One kept connection."""

    def __init__(self, run: _Run, order: Order) -> None:
        self._run = run
        self._expected = b"HTTP/1.1 %d" % order.status
        self._follow = order.follow
        self._since = 0.0
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not its children
        self._run.connected(self)

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def send(self, request: bytes, since: float) -> None:
        """Send a request; its latency counts from `since`."""
        self._since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        received = self._received + data if self._received else data
        if not received.startswith(self._expected[: len(received)]):
            self._run.fail(f"not {self._expected!r} but {received[:500]!r}")
        elif self._follow:
            self._received = received[: len(self._expected)]
        elif (missing := _missing(received)) == 0:
            self._received = b""
            self._run.answered(self, self._since)
        elif missing > 0:
            self._received = received
        else:
            self._run.fail(f"more than one answer: {received[:500]!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._run.fail(f"a connection was lost: {exc}")


def _missing(received: bytes) -> int:
    """How many bytes of an answer are still to come, or 1 when it does not say yet."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 1
    found = _LENGTH.search(received, 0, end)
    return end + 4 + (int(found[1]) if found else 0) - len(received)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def latencies_ms(slices: Sequence[Done]) -> list[float]:
    """Of all answers of some slices."""
    return [1000 * latency for done in slices for latency in done.latencies]


def main() -> None:
    """Read orders, carry them out, tell what was done of each in a line."""
    orders = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Order])
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        for order in orders:
            try:
                done = runner.run(_carried_out(order))
            except (MeasurementError, OSError, TimeoutError) as error:
                sys.exit(str(error) or "the last answers do not come")
            sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
            sys.stdout.buffer.flush()


async def _carried_out(order: Order) -> Done:
    return await _Run(order).carry_out()


if __name__ == "__main__":
    main()
