"""HTTP on a socket: uvicorn's protocol, and the limits that it lacks, so that a slow or silent
client cannot hold the server.

| limit         | what is counted |
|---------------|-----------------|
| `connections` | all of them; the newest beyond is closed at once |
| `header_s`    | from a connection's first moment, or a later request's, to the header's end |
| `body_s`      | from there to the body's end, whether anybody reads it or not |
| `answer_s`    | for which a client takes not one byte of what waits for it |
| `idle_s`      | between an answer and the next request |
| `stop_s`      | for which a stop waits for a client that is in the way of it |

Who is late is cut off without a word: there is nobody who would read it. Only a body that an
endpoint reads is answered (408), by `web.body`, a moment before it would be cut off here. What is
no HTTP at all never gets to the application, so it is answered here: a problem like all others, and
the end of its connection.

The protocol is uvicorn's over httptools, which is Node's parser: written in C, it is several times
as fast as the one in Python. Limits of size are `web.gate`'s, except for a header that never ends,
which no application would ever see and which that parser would take for ever: it is counted here.
"""

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from random import Random
from typing import Any, Final

import uvicorn
from httptools import HttpParserError, HttpParserUpgrade
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.exchange import Exchange
from service.web import problems
from service.web.gate import HEADER_BYTES_MAX, URL_BYTES_MAX
from service.web.problems import Kind, ProblemError, answer
from service.web.whole import WHOLE

UNFINISHED_BYTES_MAX = URL_BYTES_MAX + HEADER_BYTES_MAX + 1024  # of a header that is still coming
ANSWER_GRACE_S = 5  # for answers under way at a stop; a held long poll ends with it
WARN_EVERY_S = 60.0
FORWARDED: Final = "joblog.forwarded"  # in a scope: a proxy says how it was asked
HTTP_VERSIONS = frozenset({"1.0", "1.1"})
DETAILS: Final = {
    problems.MALFORMED: "what came over this connection cannot be read as HTTP/1.1",
    problems.URI_TOO_LONG: f"path and query have at most {URL_BYTES_MAX} bytes",
    problems.HEADER_TOO_LARGE: f"a header has at most {HEADER_BYTES_MAX} bytes",
}

logger = logging.getLogger("joblog.http")


@dataclass(frozen=True, slots=True)
class Limits:
    """See the module."""

    connections: int = 4000
    header_s: float = 10
    body_s: float = 30
    answer_s: float = 30
    idle_s: float = 65  # longer than a load balancer's 60: let it be the one that hangs up
    stop_s: float = 2


class Door:
    """What all connections of a server share: their limits, and who was turned away.

    `dice` draw the request ids of answers that no application gave.
    """

    def __init__(self, limits: Limits, *, dice: Random) -> None:
        self.limits = limits
        self._dice = dice
        self._warned_at: float | None = None

    def turn_away(self, now: float) -> None:
        """Note that somebody was; in a flood the server's log is not flooded too."""
        if self._warned_at is None or now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            most = self.limits.connections
            logger.warning("there are %d connections: more are closed at once", most)

    def request_id(self) -> str:
        """A new one."""
        return f"{self._dice.getrandbits(64):016x}"


def config_of(app: ASGIApp, door: Door) -> uvicorn.Config:
    """How uvicorn is to serve an application within these limits."""
    config = uvicorn.Config(
        app,
        interface="asgi3",
        proxy_headers=False,  # `Limited` asks for them where there are any
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # what strangers send is no news
        access_log=False,
        server_header=False,
        timeout_keep_alive=door.limits.idle_s,  # type: ignore[arg-type]  # only ever waited for
        timeout_graceful_shutdown=ANSWER_GRACE_S,
    )
    proxied: Any = ProxyHeadersMiddleware(app, config.forwarded_allow_ips)  # type: ignore[arg-type]
    config.http = partial(Limited, door=door, proxied=proxied)  # type: ignore[assignment]
    return config


class Turn(Enum):
    """What a connection waits for."""

    HEADER = auto()
    BODY = auto()
    OURS = auto()  # the request is here, or nothing more may come
    NEXT = auto()  # a request, on a kept connection; uvicorn's own timer counts that


class Limited(HttpToolsProtocol):
    """uvicorn's protocol, with limits."""

    def __init__(self, *args: Any, door: Door, proxied: ASGIApp, **more: Any) -> None:
        super().__init__(*args, **more)
        self._door = door
        self._proxied = proxied  # the application, for what comes through a proxy
        self._limits = door.limits
        self._watched: tuple[Turn, object] = Turn.OURS, None
        self._late: asyncio.TimerHandle | None = None  # when the client's turn is over
        self._stuck: asyncio.TimerHandle | None = None  # while something waits to be taken
        self._untaken = 0
        self._running: RequestResponseCycle | None = None  # the request that is being answered
        self._in_header = self._in_body = False  # of a request that is still coming
        self._begun = 0  # requests of which something came
        self._header_bytes = 0  # of a header that is still coming; at most a read's worth are not
        self._line_ended = False  # the request's first line
        self._refused: Kind | None = None  # what came behind the request that is being answered

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._door.turn_away(self.loop.time())
            transport.close()
            return
        transport.set_write_buffer_limits(high=0)  # to be told of anything that is not taken
        self._watch()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._refused is not None:
            return  # nothing more is wanted of who sent that
        in_header, in_body, begun = self._in_header, self._in_body, self._begun
        self._unset_keepalive_if_required()
        self._parse(data)
        self._watch()
        if self._in_header:
            ours = begun == self._begun if in_header else begun + 1 == self._begun and not in_body
            self._require_short(data if ours else b"")

    def _parse(self, data: bytes) -> None:
        """See uvicorn, which drops what comes behind a request that asks for another protocol."""
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
            except HttpParserError:
                self._refuse(problems.MALFORMED)
                return
            else:
                return

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
        self._in_header = True
        self._begun += 1
        self._header_bytes, self._line_ended = 0, False

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._require_http()
        super().on_headers_complete()
        self._in_header, self._in_body = False, True

    def on_message_complete(self) -> None:
        """See httptools."""
        super().on_message_complete()
        self._in_body = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        scope: Any = cycle.scope
        if FORWARDED in scope:
            app = self._proxied
        scope[WHOLE] = exchange = Exchange(self.transport, cycle)
        cycle.transport = exchange  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """See uvicorn."""
        super().on_response_complete()
        if self._refused is not None and not self.transport.is_closing():
            self.transport.write(self._refusal(self._refused))
            self.transport.close()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True  # uvicorn tells the newest request only
            self._running.message_event.set()
        for timer in (self._late, self._stuck):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """See asyncio: the client does not take what is sent as fast as it is sent."""
        super().pause_writing()
        self._look_again()

    def resume_writing(self) -> None:
        """See asyncio: it has taken all of it."""
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def shutdown(self) -> None:
        """See uvicorn. Answers under way are finished, but not for the deaf and the dawdling."""
        super().shutdown()
        self.loop.call_later(self._limits.stop_s, self._give_up)

    def _refuse(self, kind: Kind) -> None:
        """Answer what is no request, and end the connection; after the answer under way, if any:
        what came behind that request has none.
        """
        running = self._running
        if self._in_body and self.cycle is running:
            if not self.cycle.response_started:
                self.transport.write(self._refusal(kind))
            self.cycle.disconnected = True  # or a second answer would follow
        elif running is not None and not running.response_complete:
            self._refused = kind
            self.pipeline.clear()
            return
        else:
            self.transport.write(self._refusal(kind))
        self.transport.close()

    def _require_http(self) -> None:
        """Raise HttpParserError for what the parser lets through and RFC 9112 does not: another
        version, a request without one Host, a body of which nobody knows the end. Note what a proxy
        says.
        """
        hosts = 0
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                raise HttpParserError("another transfer coding than chunked")
            elif name == b"x-forwarded-proto":
                scope: Any = self.scope
                scope[FORWARDED] = True
        version = self.parser.get_http_version()
        if version not in HTTP_VERSIONS or hosts > 1 or (hosts == 0 and version == "1.1"):
            raise HttpParserError("no HTTP/1.1, or not one Host")

    def _require_short(self, data: bytes) -> None:
        """Refuse a header that has grown too long before its end."""
        self._header_bytes += len(data)
        self._line_ended = self._line_ended or b"\n" in data
        if self._header_bytes > UNFINISHED_BYTES_MAX:
            self._refuse(problems.HEADER_TOO_LARGE if self._line_ended else problems.URI_TOO_LONG)

    def _turn(self) -> Turn:
        if self._in_body:
            return Turn.BODY
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            return Turn.OURS
        idle = self.timeout_keep_alive_task is not None and not self._in_header
        return Turn.NEXT if idle else Turn.HEADER

    def _watch(self) -> None:
        """Count the time of the client's turn, from its beginning."""
        now = self._turn(), self.cycle
        if now == self._watched:
            return
        self._watched = now
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if now[0] is Turn.HEADER:
            self._late = self.loop.call_later(self._limits.header_s, self.transport.close)
        elif now[0] is Turn.BODY:
            self._late = self.loop.call_later(self._limits.body_s, self._end_body)

    def _end_body(self) -> None:
        """No more of this body: after the answer at the latest, which may be on its way."""
        if self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def _look_again(self) -> None:
        self._untaken = self.transport.get_write_buffer_size()
        self._stuck = self.loop.call_later(self._limits.answer_s, self._require_taken)

    def _require_taken(self) -> None:
        """A client that took nothing since the last look does not read."""
        if self.transport.get_write_buffer_size() < self._untaken:
            self._look_again()
        else:
            self.transport.abort()

    def _give_up(self) -> None:
        if self._stuck is not None or self._turn() is Turn.BODY:
            self.transport.abort()

    def _refusal(self, kind: Kind) -> bytes:
        """The bytes of an answer that ends a connection."""
        response = answer(ProblemError(kind, DETAILS[kind]), {"path": ""})
        fields = [
            *self.server_state.default_headers,
            *response.raw_headers,
            (b"x-request-id", self._door.request_id().encode()),
            (b"connection", b"close"),
        ]
        status = f"HTTP/1.1 {kind.status} {kind.title}\r\n".encode()
        header = b"".join(b"%b: %b\r\n" % field for field in fields)
        return status + header + b"\r\n" + bytes(response.body)
