"""The load generator, in its own process, against tiny servers: what it counts, and what it does
not put up with.

Servers answer from this process. Nothing here says how fast anything was.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.bench.load import Done, Order, generate
from service.bench.measured import MeasurementError

ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello"

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[tuple[str, int]]:
    """A server for the length of an `async with`; where it listens."""

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the generator has gone, as it may
        finally:
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2]


def answering(answer: bytes, seen: list[bytes]) -> Handle:
    """Says the same to every request, and notes its first line."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head.split(b"\r\n")[0])
            writer.write(answer)
            await writer.drain()

    return handle


async def generated(address: tuple[str, int], **more: Any) -> Done:
    """What the generator did in a moment."""
    requests = (b"GET /a HTTP/1.1\r\n\r\n", b"GET /b HTTP/1.1\r\n\r\n")
    order: dict[str, Any] = {
        "address": address,
        "requests": requests,
        "status": 202,
        "connections": 3,
        "warm_s": 0.02,
        "seconds": 0.1,
    }
    [done] = await asyncio.to_thread(lambda: list(generate(Order(**order | more))))
    return done


@pytest.mark.real_time
async def test_it_sends_the_requests_in_turn_and_counts_the_answers() -> None:
    seen: list[bytes] = []
    async with serving(answering(ANSWER, seen)) as address:
        done = await generated(address, connections=1)
    assert 0 < done.answers <= len(seen)
    assert seen[:4] == [b"GET /a HTTP/1.1", b"GET /b HTTP/1.1"] * 2
    assert len(done.latencies) == done.answers
    assert min(done.latencies) > 0
    assert done.cpu_s > 0


@pytest.mark.real_time
async def test_orders_are_carried_out_one_after_the_other_each_on_connections_of_its_own() -> None:
    begun = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        await answering(ANSWER, [])(reader, writer)

    async with serving(handle) as address:
        order = Order(
            address=address, requests=(b"GET / HTTP/1.1\r\n\r\n",), status=202,
            connections=2, warm_s=0.0, seconds=0.05,
        )  # fmt: skip
        first, second = await asyncio.to_thread(lambda: list(generate(order, order)))
    assert begun == 4
    assert first.answers > 0
    assert second.answers > 0


@pytest.mark.real_time
async def test_every_connection_has_one_request_in_flight() -> None:
    flying, most = 0, 0
    all_here = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal flying, most
        while await reader.readuntil(b"\r\n\r\n"):
            flying += 1
            most = max(most, flying)
            if flying == 3:
                all_here.set()
            await all_here.wait()
            flying -= 1
            writer.write(ANSWER)

    async with serving(handle) as address:
        await generated(address)
    assert most == 3


@pytest.mark.real_time
async def test_an_answer_that_comes_in_pieces_is_one_answer() -> None:
    answered = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        while await reader.readuntil(b"\r\n\r\n"):
            for start in range(len(ANSWER)):
                writer.write(ANSWER[start : start + 1])
                await writer.drain()
                await asyncio.sleep(0)
            answered += 1

    async with serving(handle) as address:
        done = await generated(address)
    assert 0 < done.answers <= answered


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nfull", "503 No"),
        (ANSWER + ANSWER, "more than one answer"),
    ],
)
async def test_any_answer_but_the_expected_one_ends_it(answer: bytes, complaint: str) -> None:
    async with serving(answering(answer, [])) as address:
        with pytest.raises(MeasurementError, match=complaint):
            await generated(address)


@pytest.mark.real_time
async def test_a_lost_connection_ends_it() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with serving(handle) as address:
        with pytest.raises(MeasurementError, match="a connection was lost"):
            await generated(address)


@pytest.mark.real_time
async def test_nobody_there_is_told_in_a_line() -> None:
    async with serving(answering(ANSWER, [])) as address:
        pass
    with pytest.raises(MeasurementError, match=r"the load generator: .*refused"):
        await generated(address)


@pytest.mark.real_time
async def test_at_a_rate_all_that_was_due_is_sent_and_counted_though_the_server_stalls() -> None:
    seen: list[bytes] = []
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            seen.append(head)
            await go_on.wait()
            writer.write(ANSWER)

    async with serving(handle) as address:
        asyncio.get_running_loop().call_later(1.0, go_on.set)
        done = await generated(address, rate=100, connections=1, warm_s=0.0, seconds=0.3)
    assert done.answers == pytest.approx(100 * done.seconds, abs=2)
    assert 0 <= len(seen) - done.answers <= 1
    assert done.latencies[0] > done.latencies[-1]


@pytest.mark.real_time
async def test_a_stream_is_read_until_the_time_is_over() -> None:
    begun = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        await reader.readuntil(b"\r\n\r\n")
        begun += 1
        writer.write(b"HTTP/1.1 202 Accepted\r\n\r\n")
        while True:
            writer.write(b"data: x\n\n" * 100)
            await writer.drain()

    async with serving(handle) as address:
        done = await generated(address, follow=True)
    assert begun == 3
    assert done.answers == 0


@pytest.mark.parametrize(("cpu_s", "limit"), [(1.799, False), (1.8, False), (1.801, True)])
def test_above_nine_tenths_of_a_core_the_generator_was_the_limit(cpu_s: float, limit: bool) -> None:
    assert Done(10, 2.0, [0.1] * 10, cpu_s).was_limit is limit
