"""The process that serves: a socket, the signals, and uvicorn between them.

SIGTERM or SIGINT: no new claims, answers under way are finished, then the service stops as
`service.wiring` has it; a second signal ends the process at once. When the service fails by itself,
say because the disk did, the process ends too: a supervisor's restart is the one recovery that
reads what is really on the disk.

What is served is put together in `service.wiring`; nothing here knows a job.
"""

import asyncio
import ipaddress
import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext

import uvicorn

from eventstore import clock
from eventstore.errors import StoreError
from service.http import Door, Limits, config_of
from service.interpreter import serving_well
from service.settings import CannotServeError, Settings
from service.tokens import read_tokens
from service.wiring import Service, running

FILES_KEPT = 200  # open files that are no connections: the log, the caches, what kinds open
LEAVE_S = 1.0  # for idle threads to end
BACKLOG = 2048  # connections that may wait to be accepted, uvicorn's own default


logger = logging.getLogger("joblog.serve")


class CannotListenError(Exception):
    """The address cannot be had: somebody else's, or not this machine's. Nothing was touched."""


async def serve(settings: Settings, *, started: Callable[[str], None]) -> bool:
    """Run a whole service until SIGTERM or SIGINT; a second signal ends it at once.

    `started` is called with the URL once it answers. Returns whether everything stopped: False when
    a processor would not, so that the process would wait for it, perhaps for ever, although all
    that matters is done. Raises CannotServeError, CannotListenError, StoreError or OSError.
    """
    threads = set(threading.enumerate())
    lookups = ThreadPoolExecutor(thread_name_prefix="system")  # for names, files, `to_thread`
    asyncio.get_running_loop().set_default_executor(lookups)
    with stop_signals() as stop, _bind(settings) as listener:
        try:
            service = await _run(settings, listener, stop, started)
        except* StoreError as failures:
            raise _first(failures) from None
    deaf = service is not None and service.worker is not None and service.worker.running
    lookups.shutdown(wait=False)
    return not deaf and _have_ended(set(threading.enumerate()) - threads)


def _have_ended(threads: set[threading.Thread]) -> bool:
    """Whether these are gone: idle ones leave as soon as they are told."""
    until = clock.monotonic() + LEAVE_S
    for each in threads:
        each.join(max(0.0, until - clock.monotonic()))
    return not any(each.is_alive() for each in threads)


async def _run(
    settings: Settings,
    listener: socket.socket,
    stop: asyncio.Event,
    started: Callable[[str], None],
) -> Service | None:
    """Start, serve, stop. None when it was told to stop before it had started."""
    url = _url(listener)
    owner = f"process {os.getpid()} on {socket.gethostname()} serving {url}"
    task = asyncio.current_task()
    assert task is not None
    starting = asyncio.create_task(_cancel_when(stop, task))
    try:
        with serving_well() as settled:
            async with running(settings, owner=owner) as service:
                settled()
                starting.cancel()  # from here on a stop is orderly
                limits = Limits(connections=_room_for(settings))
                with _reloading(service, settings):
                    await _serve_http(service, limits, listener, stop, lambda: started(url))
                return service
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        task.uncancel()
        return None
    finally:
        starting.cancel()


async def _cancel_when(stop: asyncio.Event, task: asyncio.Task[object]) -> None:
    """A start may replay a long log: a stop need not wait for that."""
    await stop.wait()
    task.cancel()


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
    service: Service,
    limits: Limits,
    listener: socket.socket,
    stop: asyncio.Event,
    started: Callable[[], None],
) -> None:
    """Answer until told to stop. Claims stop at once, answers under way are finished."""
    server = _Server(config_of(service.app, Door(limits, dice=service.dice)), started)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:  # told to stop, or cancelled because the service failed
        service.hold_nothing()
        server.should_exit = True
        stopping.cancel()
        await serving


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
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


@contextmanager
def _reloading(service: Service, settings: Settings) -> Iterator[None]:
    """SIGHUP reads the file of tokens again; one that is not right changes nothing."""
    if settings.tokens_file is None:
        yield
        return

    def handle() -> None:
        try:
            tokens = read_tokens(settings)
        except CannotServeError as error:
            logger.warning("the tokens stay as they were: %s", error)
        else:
            service.keyring.replace(tokens)
            logger.info("the tokens are read again: %d", len(tokens))

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, handle)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _room_for(settings: Settings) -> int:
    """So many connections, or what the system's limit of open files leaves for them.

    A log that cannot open its next file is worse than a client that cannot connect. The limit is
    raised as far as needed where that is allowed.
    """
    besides = FILES_KEPT + settings.concurrency + BACKLOG  # asyncio accepts so many at once
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.connections_max + besides
    if files == resource.RLIM_INFINITY or files >= wanted:
        return settings.connections_max
    files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return min(settings.connections_max, max(files - besides, files // 4))


def _bind(settings: Settings) -> socket.socket:
    """A socket that listens. Raises CannotServeError for an address that others reach when there
    are no tokens, unless told to.
    """
    if not (settings.guarded or settings.insecure or _is_loopback(settings.host)):
        raise CannotServeError(
            f"{settings.host} can be reached from other machines, and whoever reaches it could do"
            " all: give --tokens-file (joblog token makes one), or bind 127.0.0.1"
        )
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListenError(
            f"cannot listen on {settings.host} port {settings.port}: {reason}"
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
