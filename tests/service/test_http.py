"""HTTP on real sockets with small limits: who is late or deaf is cut off, others are served
meanwhile, and a stop waits for none of them.

Nothing is slept through: a test waits for the socket's end, or for an answer.
"""

import asyncio

import pytest

from eventstore import clock
from tests.support.peer import GET, MUCH, POST, SHORT_S, get, running

pytestmark = pytest.mark.real_time


@pytest.mark.parametrize(
    "begun", [b"", b"G", b"GET / HTTP/1.1\r\n", GET[:-2], POST[:-2] % b"/read"]
)
async def test_who_sends_no_whole_header_in_time_is_cut_off(begun: bytes) -> None:
    async with running(header_s=SHORT_S) as server:
        assert await (await server.peer(begun)).rest() == b""
        assert server.app.seen == []
        await server.works()


async def test_who_sends_it_byte_by_byte_is_cut_off_too() -> None:
    async with running(header_s=SHORT_S) as server:
        peer = await server.peer(GET[:-2] + b"Drip: ")
        ended = asyncio.create_task(peer.rest())
        while not ended.done():
            peer.send(b"x")
            await asyncio.wait([ended], timeout=SHORT_S / 10)
        assert await ended == b""


async def test_a_later_request_has_its_own_time_from_its_first_byte() -> None:
    async with running(header_s=SHORT_S) as server:
        peer = await server.peer(GET)
        await peer.answer()
        idle = asyncio.create_task(peer.rest())
        await asyncio.wait([idle], timeout=SHORT_S * 3)
        assert not idle.done()  # between requests it is `idle_s` that counts
        peer.send(GET[:-2])
        assert await idle == b""
        assert server.app.seen == ["/"]


async def test_who_asks_for_nothing_more_is_cut_off() -> None:
    async with running(idle_s=SHORT_S) as server:
        peer = await server.peer(GET)
        assert (await peer.rest()).endswith(b"done\r\n0\r\n\r\n")


async def test_a_body_that_nobody_reads_has_its_time() -> None:
    async with running(body_s=SHORT_S) as server:
        peer = await server.peer(POST % b"/")
        assert (await peer.rest()).endswith(b"done\r\n0\r\n\r\n")
        await server.works()


async def test_a_body_that_drips_after_the_answer_has_its_time_too() -> None:
    async with running(body_s=SHORT_S, idle_s=SHORT_S) as server:
        peer = await server.peer(POST % b"/")
        ended = asyncio.create_task(peer.rest())
        while not ended.done():
            peer.send(b"x")
            await asyncio.wait([ended], timeout=SHORT_S / 10)


async def test_a_body_that_comes_whole_after_the_answer_leaves_the_connection_as_it_was() -> None:
    async with running(body_s=SHORT_S * 5, header_s=SHORT_S) as server:
        peer = await server.peer(POST % b"/")
        await peer.answer()
        peer.send(b"x" * 1000 + GET)
        await peer.answer()
        peer.send(POST % b"/")
        await peer.answer()
        peer.send(b"x" * 1000)  # and then nothing: a request is waited for, as from the first
        assert await peer.rest() == b""


async def test_a_body_is_late_while_its_endpoint_is_at_work_and_the_answer_is_the_end() -> None:
    async with running(body_s=SHORT_S) as server:
        peer = await server.peer(POST % b"/held")
        ended = asyncio.create_task(peer.rest())
        await asyncio.wait([ended], timeout=SHORT_S * 3)
        assert not ended.done()
        server.app.go_on.set()
        assert (await ended).endswith(b"done\r\n0\r\n\r\n")


async def test_a_held_request_is_no_late_one() -> None:
    async with running(header_s=SHORT_S, body_s=SHORT_S, idle_s=SHORT_S) as server:
        peer = await server.peer(get(b"/held"))
        answer = asyncio.create_task(peer.answer())
        await asyncio.wait([answer], timeout=SHORT_S * 3)
        server.app.go_on.set()
        assert b"200 OK" in await answer


async def test_who_does_not_take_its_answer_is_cut_off() -> None:
    async with running(answer_s=SHORT_S) as server:
        await server.deaf_peer(get(b"/much"))
        await server.has_none()
        assert "/much" in server.app.seen


async def test_who_takes_it_slowly_is_not() -> None:
    async with running(answer_s=SHORT_S) as server:
        peer = await server.deaf_peer(get(b"/huge"))
        peer.writer.transport.resume_reading()
        await peer.taking_slowly(MUCH * 7 // 8, for_s=4 * SHORT_S)
        await peer.end_of_answer()
        idle = asyncio.create_task(peer.rest())
        await asyncio.wait([idle], timeout=3 * SHORT_S)
        assert not idle.done()


async def test_who_does_not_take_a_small_answer_is_cut_off_too() -> None:
    """All that is left to do is to close: for ever, if we let it."""
    async with running(answer_s=SHORT_S, idle_s=SHORT_S / 2) as server:
        await server.deaf_peer(get(b"/some"))
        await server.has_none()


async def test_a_request_that_came_with_the_one_before_has_its_time_too() -> None:
    async with running(body_s=SHORT_S) as server:
        peer = await server.peer(GET + POST % b"/")
        await peer.answer()
        await peer.answer()
        assert await peer.rest() == b""


async def test_a_body_that_began_when_another_ended_has_its_own_time() -> None:
    async with running(body_s=1) as server:
        peer = await server.peer(POST % b"/")
        await peer.answer()
        answer = asyncio.create_task(peer.answer())
        await asyncio.wait([answer], timeout=0.7)
        peer.send(b"x" * 1000 + POST % b"/read")
        await asyncio.wait([answer], timeout=0.7)
        peer.send(b"x" * 1000 + GET)
        await answer
        await peer.answer()
        assert server.app.seen == ["/", "http.request", "/read", "/"]


async def test_200_silent_connections_do_not_keep_a_client_waiting() -> None:
    async with running(header_s=1) as server:
        began = clock.monotonic()
        silent = [await server.peer(GET[:-2] if number % 2 else b"") for number in range(200)]
        await server.works()
        assert not any(peer.reader.at_eof() for peer in silent) or clock.monotonic() - began > 1
        assert await asyncio.gather(*(peer.rest() for peer in silent)) == [b""] * 200
        await server.works()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        GET[:-2],
        POST % b"/read",
        POST % b"/",
        get(b"/much"),
        GET,
    ],
)
async def test_a_stop_is_not_held_up(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with running(stop_s=SHORT_S) as server:
        await server.deaf_peer(sent)
        await server.works()
        assert await server.stop() < 4
        assert caplog.records == []


async def test_a_stop_finishes_what_is_under_way() -> None:
    async with running(stop_s=SHORT_S) as server:
        peer = await server.peer(get(b"/held"))
        await server.works()
        asyncio.get_running_loop().call_later(SHORT_S * 3, server.app.go_on.set)
        stopping = asyncio.create_task(server.stop())
        assert (await peer.rest()).endswith(b"done\r\n0\r\n\r\n")
        assert await stopping < 4
