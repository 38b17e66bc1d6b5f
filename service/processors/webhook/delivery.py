"""One POST of a webhook, from the look-up of the name to the beginning of the answer.

No redirects, no cookies, no proxies: this is httpcore's connection pool and not a whole HTTP
client, because whatever a client does by itself would have to be switched off again, and because
only here the network can be replaced by one that is guarded (`network`).

Every step has a time limit, and all of them together have one: a receiver that sends a byte now and
then ends up at that. What went wrong is told with the phase it went wrong in: resolve, connect,
tls, send, receive. Of an answer at most ANSWER_BYTES_MAX bytes are read; the status is what counts,
so a body that breaks off, or never ends, takes nothing away from it.
"""

import asyncio
import ssl
from typing import Any, Final

import httpcore2

from service.processors import AttemptError, Permanent
from service.processors.webhook.guard import Guard
from service.processors.webhook.message import Target
from service.processors.webhook.network import (
    GuardedNetwork,
    RefusedAddressError,
    Resolve,
    Resolver,
    UnresolvedError,
)
from service.processors.webhook.verdict import ANSWER_BYTES_MAX, Answer, DeliveryError

CONNECT_S_MAX = 10.0
IDLE_S = 5.0  # a connection is kept for the next webhook to the same receiver
IDLE_CONNECTIONS_MAX = 20

# What httpcore says as it goes, and the phase that begins with it.
_PHASES: Final = {
    "connection.connect_tcp.started": "connect",
    "connection.start_tls.started": "tls",
    "http11.send_request_headers.started": "send",
    "http11.receive_response_headers.started": "receive",
}


class Delivery:
    """Delivers webhooks over connections that it keeps for a while."""

    def __init__(
        self,
        guard: Guard,
        *,
        timeout_s: float,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._resolver = Resolver()
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or httpcore2.default_ssl_context(),
            max_connections=None,  # the worker's slots are the limit
            max_keepalive_connections=IDLE_CONNECTIONS_MAX,
            keepalive_expiry=IDLE_S,
            network_backend=GuardedNetwork(guard, resolve or self._resolver),
        )

    async def post(self, target: Target, headers: dict[str, str], body: bytes) -> Answer:
        """Send it, and hear what the receiver says. Raises DeliveryError or Permanent."""
        course = _Course()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._exchange(target, headers, body, course)
        except TimeoutError:
            if course.answer is None:
                raise course.failed(f"no answer within {self._timeout_s:g} s") from None
        except RefusedAddressError as error:
            raise Permanent(str(error), facts={"phase": "resolve"}) from error
        except UnresolvedError as error:
            raise DeliveryError(str(error), facts={"phase": "resolve"}) from error
        except _HTTP_ERRORS as error:
            if course.answer is None:
                raise course.failed(_words(error)) from error
        assert course.answer is not None
        return course.answer

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()
        self._resolver.close()

    async def _exchange(
        self, target: Target, headers: dict[str, str], body: bytes, course: "_Course"
    ) -> None:
        connect_s = min(CONNECT_S_MAX, self._timeout_s)
        limits = {"connect": connect_s, "read": self._timeout_s, "write": self._timeout_s}
        url = httpcore2.URL(
            scheme=target.scheme, host=target.host, port=target.port, target=target.path
        )
        sent = {**headers, "Host": target.authority, "Content-Length": str(len(body))}
        async with self._pool.stream(
            "POST",
            url,
            headers=list(sent.items()),
            content=body,
            extensions={"timeout": limits, "trace": course.trace},
        ) as response:
            course.answer = _answer(response)
            read = bytearray()
            async for chunk in response.aiter_stream():
                read += chunk
                course.answer = _answer(response, read[:ANSWER_BYTES_MAX], whole=False)
                if len(read) > ANSWER_BYTES_MAX:
                    return
            course.answer = _answer(response, read)


class _Course:
    """How far one delivery has come."""

    def __init__(self) -> None:
        self.phase = "connect"
        self.answer: Answer | None = None

    async def trace(self, event: str, _: Any) -> None:
        """See httpcore's extension of this name."""
        self.phase = _PHASES.get(event, self.phase)

    def failed(self, why: str) -> AttemptError:
        return DeliveryError(f"{self.phase}: {why}", facts={"phase": self.phase})


_HTTP_ERRORS: Final = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    OSError,  # a lower layer's, where httpcore has no word of its own
)


def _answer(
    response: httpcore2.Response, read: bytes | bytearray = b"", *, whole: bool = True
) -> Answer:
    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    return Answer(
        response.status,
        read.decode(errors="replace"),
        whole,
        headers.get(b"retry-after"),
        headers.get(b"location"),
    )


def _words(error: Exception) -> str:
    """What an error says; some only have a name."""
    return str(error) or type(error).__name__
