"""The serving process as far as it needs no process: a stop before the start is done.

What a stop does to requests and processors is shown by real ones, in `tests/e2e/test_stop.py`.
"""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from eventstore.errors import StoreLocked
from service import server
from service.settings import Settings
from tests.support.loop import elapsed


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
