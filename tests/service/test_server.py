"""The serving process as far as it needs no process: a stop before the start is done.

What a stop does to requests and processors is shown by real ones, in `tests/e2e/test_stop.py`.
"""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from eventstore.errors import StoreLocked
from service import server
from service.access import digest_of
from service.settings import CannotServeError, Settings
from tests.support.loop import elapsed

TOKENS = f"a sha256:{digest_of('a').hex()} admin"


def nothing(url):
    raise AssertionError(f"{url} answers")


async def test_a_stop_during_a_long_start_does_not_wait_for_its_end(monkeypatch):
    left = []

    @asynccontextmanager
    async def running(settings, *, owner):
        try:
            await asyncio.sleep(3600)
            yield
        finally:
            left.append(settings)

    monkeypatch.setattr(server, "running", running)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(2, stop.set)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert await server._run(Settings(), listener, stop, nothing) is None
    assert 2 <= elapsed() < 2.1
    assert len(left) == 1


async def test_a_start_that_fails_says_why(monkeypatch):
    @asynccontextmanager
    async def running(settings, *, owner):
        raise StoreLocked("d/lock", owner)
        yield

    monkeypatch.setattr(server, "running", running)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(StoreLocked, match="serving http://127"),
    ):
        await server._run(Settings(), listener, asyncio.Event(), nothing)


async def test_a_cancellation_that_is_no_stop_goes_on(monkeypatch):
    @asynccontextmanager
    async def running(settings, *, owner):
        await asyncio.sleep(3600)
        yield

    monkeypatch.setattr(server, "running", running)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server._run(Settings(), listener, asyncio.Event(), nothing))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_the_loopback_needs_no_token(host):
    with server._bind(Settings(host=host, port=0)) as listener:
        assert listener.getsockname()[1] > 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "jobs.example", ""])
def test_any_other_address_is_refused_without_tokens(host):
    with pytest.raises(CannotServeError, match="give --tokens-file"):
        server._bind(Settings(host=host, port=0))


@pytest.mark.parametrize(
    "settings", [{"tokens": TOKENS}, {"tokens_file": "tokens"}, {"insecure": True}]
)
def test_with_tokens_any_address_will_do_or_if_it_is_said(settings):
    with server._bind(Settings(host="0.0.0.0", port=0, **settings)) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


INFINITY = server.resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "room", "raised_to"),
    [
        (1024, INFINITY, 4000, 6348),
        (1024, 6348, 4000, 6348),
        (1024, 6347, 3999, 6347),
        (6348, 6348, 4000, None),
        (6347, 6348, 4000, 6348),
        (1024, 4096, 1748, 4096),
        (256, 1024, 256, 1024),
        (INFINITY, INFINITY, 4000, None),
    ],
)
def test_there_are_no_more_connections_than_files_for_them(
    monkeypatch, soft, hard, room, raised_to
):
    raised = []
    monkeypatch.setattr(server.resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(server.resource, "setrlimit", lambda _, limits: raised.append(limits))
    assert server._room_for(Settings(connections_max=4000, concurrency=100)) == room
    assert raised == ([] if raised_to is None else [(raised_to, hard)])
