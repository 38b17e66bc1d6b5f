"""The process that serves: a socket, the signals, and uvicorn between them.

SIGTERM or SIGINT: no new claims, answers under way are finished, then the service stops as
`service.wiring` has it; a second signal ends the process at once. When the service fails by itself,
say because the disk did, the process ends too: a supervisor's restart is the one recovery that
reads what is really on the disk.

What is served is put together in `service.wiring`; nothing here knows a job.
"""

import asyncio
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import uvicorn

from eventstore.errors import StoreError
from service.settings import Settings
from service.wiring import CannotServeError, Service, running

ANSWER_GRACE_S = 5  # for answers under way at a stop; a held long poll ends with it
BACKLOG = 2048  # connections that may wait to be accepted, uvicorn's own default


async def serve(settings: Settings, *, started: Callable[[str], None]) -> None:
    """Run a whole service until SIGTERM or SIGINT; a second signal ends it at once.

    `started` is called with the URL once it answers. Raises CannotServeError, StoreError or
    OSError.
    """
    with _signals() as stop, _bind(settings) as listener:
        url = _url(listener)
        owner = f"process {os.getpid()} on {socket.gethostname()} serving {url}"
        try:
            async with running(settings, owner=owner) as service:
                await _serve_http(service, listener, stop, lambda: started(url))
        except* StoreError as failures:
            raise _first(failures) from None


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, telling when it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    # Ours cover the drain too.
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()


async def _serve_http(
    service: Service, listener: socket.socket, stop: asyncio.Event, started: Callable[[], None]
) -> None:
    """Answer until told to stop. Claims stop at once, answers under way are finished."""
    config = uvicorn.Config(
        service.app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=ANSWER_GRACE_S,
    )
    server = _Server(config, started)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    if service.worker is not None:
        service.worker.stop()
    server.should_exit = True
    await serving
    stopping.cancel()


@contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM or SIGINT sets; the second ends the process at once."""
    stop = asyncio.Event()

    def handle() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _bind(settings: Settings) -> socket.socket:
    """A socket that listens. Raises CannotServeError for an address that others reach, unless told
    to.
    """
    if not settings.insecure and not _is_loopback(settings.host):
        raise CannotServeError(
            f"{settings.host} can be reached from other machines, and there is no access control:"
            " bind 127.0.0.1, or say --insecure"
        )
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG
        )
    except OSError as error:
        raise CannotServeError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}"
        ) from error
    # Connections inherit it. asyncio sets it by itself only on sockets that name their protocol;
    # without it every answer on a kept connection waits 40 ms for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _first(group: BaseExceptionGroup[StoreError]) -> StoreError:
    """The failure that ended a service; the others followed from it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, StoreError)
    return error
