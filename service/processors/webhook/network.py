"""The way out: a name is resolved here, and the address that was judged is the one connected to.

A check of a URL before the request would be worth nothing: the name may lead elsewhere by the time
of the connection (DNS rebinding), and `127.0.0.1` has many spellings. So the check is where the
connection is made. httpcore lets its network be replaced; this one resolves the name once, asks the
`Guard` about every address it got, refuses all of them if one is out of bounds, and connects to
those very addresses. TLS above it still verifies the certificate for the name.

Names are looked up by the system's resolver, which blocks, on a few threads of their own: a name
server that hangs holds up nothing else. No proxies, and nothing from the environment.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any, TypeAlias

import anyio
from httpcore2 import (
    SOCKET_OPTION,
    AnyIOBackend,
    AsyncNetworkBackend,
    AsyncNetworkStream,
    ConnectError,
    ConnectTimeout,
)

from service.processors.webhook.guard import Guard

LOOKUPS_MAX = 8  # at a time
ADDRESSES_MAX = 4  # of a name that are tried

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]  # host, port -> addresses


class RefusedAddressError(Exception):
    """The name leads to an address that webhooks may not reach."""

    def __init__(self, host: str, address: str) -> None:
        where = address if host == address else f"{host} is {address}, which"
        hint = "is not public; the operator may allow it with --webhook-allow"
        super().__init__(f"{where} {hint}")


class UnresolvedError(Exception):
    """The name leads nowhere, at least for now."""


class Resolver:
    """The system's resolver."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="names")
        self._busy = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        """The addresses of a host. Raises UnresolvedError."""
        loop = asyncio.get_running_loop()
        self._busy += 1
        asking = loop.run_in_executor(self._threads, _addresses, host, port)
        asking.add_done_callback(self._answered)
        return await asyncio.shield(asking)

    def close(self) -> None:
        """Let go of the threads; of one that waits for a name server, without waiting for it."""
        self._threads.shutdown(wait=self._busy == 0, cancel_futures=True)

    def _answered(self, asking: "asyncio.Future[list[str]]") -> None:
        self._busy -= 1
        if not asking.cancelled():
            asking.exception()  # whoever asked may have gone


class GuardedNetwork(AsyncNetworkBackend):
    """TCP, to where the guard permits."""

    def __init__(self, guard: Guard, resolve: Resolve) -> None:
        self._guard = guard
        self._resolve = resolve
        self._tcp = AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """A connection to one of the host's addresses, the first that answers.

        Raises RefusedAddressError, UnresolvedError, ConnectError, ConnectTimeout.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._permitted(host, port)
        except TimeoutError as error:
            raise ConnectTimeout(f"no address of {host} within {timeout} s") from error
        failure: Exception = ConnectError(f"{host} has no address")
        tried = addresses[:ADDRESSES_MAX]
        share = None if timeout is None else timeout / len(tried)
        for address in tried:
            try:
                return _Stream(
                    await self._tcp.connect_tcp(address, port, share, local_address, socket_options)
                )
            except (ConnectError, ConnectTimeout) as error:
                failure = error
        raise failure

    async def _permitted(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of which may be reached."""
        addresses = await self._resolve(host, port)
        if not addresses:
            raise UnresolvedError(f"{host} has no address")
        for address in addresses:
            if not self._guard.permits(ip_address(address)):
                raise RefusedAddressError(host, address)
        return addresses


class _Stream(AsyncNetworkStream):
    """A stream that is closed when its TLS handshake is cancelled: httpcore closes it only after
    errors.
    """

    def __init__(self, stream: AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnresolvedError(f"{host}: {error.strerror}") from error
    except UnicodeError as error:  # a label that the C library cannot take
        raise UnresolvedError(f"{host} is no name") from error
    return list(dict.fromkeys(str(where[0]) for *_, where in found))
