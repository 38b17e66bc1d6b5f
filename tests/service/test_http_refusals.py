"""What never becomes a request: one connection too many, and what cannot be read as HTTP.

Such things do not reach the application, so they are seen on real sockets only.
"""

import json
import re
from random import Random
from typing import Any

import pytest

from service.http import UNFINISHED_BYTES_MAX, Door
from tests.support.peer import GET, LONG, POST, get, running

pytestmark = pytest.mark.real_time


def problem(answer: bytes) -> Any:
    """The document of an answer that ends a connection."""
    header, _, body = answer.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 4\d\d [A-Z][A-Za-z ]+\r\n", header)
    fields = dict(line.lower().split(b": ", 1) for line in header.split(b"\r\n")[1:])
    assert fields[b"content-type"] == b"application/problem+json"
    assert fields[b"connection"] == b"close"
    assert int(fields[b"content-length"]) == len(body)
    assert re.fullmatch(rb"[0-9a-f]{16}", fields[b"x-request-id"])
    assert b"date" in fields
    document = json.loads(body)
    assert header.startswith(b"HTTP/1.1 %d " % document["status"])
    return document


async def test_the_newest_connection_beyond_the_limit_is_closed_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(connections=3) as server:
        peers = [await server.peer(GET) for _ in range(3)]
        for peer in peers:
            await peer.answer()
        for _ in range(5):
            assert await (await server.peer(GET)).rest() == b""
        assert [record.message for record in caplog.records] == [
            "there are 3 connections: more are closed at once"
        ]
        peers[0].writer.close()
        await peers[0].rest()
        peers[1].send(GET)
        await peers[1].answer()
        await server.works()


def test_a_flood_is_noted_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    door = Door(LONG, dice=Random(1))
    for now in (0.0, 1.0, 59.9, 60.0, 119.9, 120.0):
        door.turn_away(now)
    assert len(caplog.records) == 3


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00",
        b"hello\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    ],
)
async def test_what_is_no_http_is_400_as_a_problem(sent: bytes) -> None:
    async with running() as server:
        found = problem(await (await server.peer(sent)).rest())
        assert (found["type"], found["status"]) == ("/problems/malformed-request", 400)
        assert server.app.seen == []
        await server.works()


async def test_nonsense_after_a_request_is_400_after_its_answer() -> None:
    async with running() as server:
        peer = await server.peer(GET + b"nonsense\r\n\r\n")
        assert b"200 OK" in await peer.answer()
        assert problem(await peer.rest())["status"] == 400


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"GET /" + b"x" * UNFINISHED_BYTES_MAX, "uri-too-long"),
        (GET[:-2] + b"X: " + b"y" * UNFINISHED_BYTES_MAX, "header-too-large"),
        (GET[:-2] + b"X: y\r\n" * (UNFINISHED_BYTES_MAX // 6), "header-too-large"),
    ],
)
async def test_a_header_that_never_ends_is_refused(sent: bytes, kind: str) -> None:
    async with running() as server:
        found = problem(await (await server.peer(sent)).rest())
        assert found["type"] == f"/problems/{kind}"
        assert server.app.seen == []


CHUNKED = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"


@pytest.mark.parametrize("garbled", [b"zz\r\n", b"1" * UNFINISHED_BYTES_MAX + b"1"])
async def test_a_garbled_body_is_400_and_its_endpoint_hears_that_the_client_is_gone(
    garbled: bytes,
) -> None:
    async with running() as server:
        found = problem(await (await server.peer(CHUNKED % b"/read" + garbled)).rest())
        assert found["type"] == "/problems/malformed-request"
        await server.works()
        assert server.app.seen == ["http.disconnect", "/read", "/"]


async def test_a_garbled_body_after_the_answer_began_ends_the_connection() -> None:
    async with running() as server:
        peer = await server.peer(CHUNKED % b"/begun")
        assert b"begun" in await peer.reader.readuntil(b"begun\r\n")
        peer.send(b"zz\r\n")
        assert await peer.rest() == b""
    async with running() as server:
        peer = await server.peer(CHUNKED % b"/")
        await peer.answer()
        peer.send(b"zz\r\n")
        assert await peer.rest() == b""


@pytest.mark.parametrize("length", [UNFINISHED_BYTES_MAX + 1, 3 * UNFINISHED_BYTES_MAX])
async def test_a_long_body_after_its_answer_is_no_header(length: int) -> None:
    """However it falls into reads: its end, with or without the next request behind it."""
    post = POST.replace(b"1000", b"%d" % length) % b"/"
    async with running() as server:
        peer = await server.peer(post)
        await peer.answer()
        peer.send(b"x" * length)
        peer.send(post)
        await peer.answer()
        peer.send(b"x" * length + GET[:-2])
        await server.works()  # has read it by then
        peer.send(GET[-2:])
        assert b"200 OK" in await peer.answer()
        await server.works()


async def test_a_header_that_never_ends_behind_a_request_is_refused_after_its_answer() -> None:
    async with running() as server:
        peer = await server.peer(get(b"/held") + GET[:-2])
        for _ in range(3):
            peer.send(b"X: y\r\n" * (UNFINISHED_BYTES_MAX // 6))
            await server.works()
        server.app.go_on.set()
        assert b"200 OK" in await peer.answer()
        assert problem(await peer.rest())["type"] == "/problems/header-too-large"


async def test_a_request_hears_that_its_client_is_gone_whatever_came_behind_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as server:
        peer = await server.peer(get(b"/until-gone") + GET)
        await server.works()
        peer.writer.transport.abort()
        await server.has_none()
        while "/until-gone" not in server.app.seen:
            await server.works()
        assert caplog.records == []


async def test_a_request_behind_one_that_asks_for_another_protocol_is_answered() -> None:
    upgrade = GET[:-2] + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    async with running() as server:
        peer = await server.peer(upgrade * 3 + GET)
        for _ in range(4):
            assert b"200 OK" in await peer.answer()
