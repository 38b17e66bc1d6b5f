"""What holds for every route, from the outside in: a request id, problems, a host, an actor.

Plain ASGI and no more than a wrapped call each, because every request passes through all of it.
Errors are answered here and not in Starlette's own handlers, so that what the other layers raise
(a wrong host, say) is a problem document too, and carries its request id.

| layer        | does |
|--------------|------|
| `RequestIds` | takes the client's `X-Request-Id` or draws one, for every answer and every event |
| `Problems`   | turns errors into problem documents |
| `Hosts`      | refuses other hosts (421): a page that rebinds its name to 127.0.0.1 gets nothing |
| `Callers`    | says who asks, for the log |

Limits on the body are in `body`, where it is read.
"""

import logging
import re
from collections.abc import Iterable
from random import Random

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventstore.event import Json
from service.web import problems
from service.web.problems import ProblemError, answer, problem_of

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:@/\[\]\s]+)(?::[0-9]{0,5})?")

logger = logging.getLogger("joblog.web")


def meta(request: Request) -> Json:
    """What an event that this request causes says of its origin."""
    return {"actor": request.state.actor, "request": request.state.request_id}


class RequestIds:
    """Gives every request an id, and every answer its `X-Request-Id`."""

    def __init__(self, app: ASGIApp, dice: Random) -> None:
        self._app = app
        self._dice = dice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        known = _REQUEST_ID.fullmatch(given) is not None
        request_id = given if known else f"{self._dice.getrandbits(64):016x}"
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


class Problems:
    """Answers every error with its problem document."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Raises only once an answer has begun: then all that is left is to end it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception as error:
            if begun:
                raise
            problem = problem_of(error) or _unexpected(error, scope)
            await answer(problem, scope)(scope, receive, send)


class Hosts:
    """Answers for the hosts it is told, and those of this machine; any port."""

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self._app = app
        self._allowed = frozenset(map(_normal, (*LOCAL_HOSTS, *allowed)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Raises ProblemError for another host."""
        if scope["type"] == "http":
            self._require_known(Headers(scope=scope).getlist("host"))
        await self._app(scope, receive, send)

    def _require_known(self, given: list[str]) -> None:
        found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if found is None or _normal(found[1]) not in self._allowed:
            raise ProblemError(
                problems.WRONG_HOST, "send the Host that the service was set up for, or localhost"
            )


class Callers:
    """Says who asks."""

    def __init__(self, app: ASGIApp, actor: str) -> None:
        self._app = app
        self._actor = actor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            scope["state"]["actor"] = self._actor
        await self._app(scope, receive, send)


def _normal(host: str) -> str:
    """A host as it is compared: without case, an IPv6 address in brackets."""
    return f"[{host.lower()}]" if ":" in host and not host.startswith("[") else host.lower()


def _unexpected(error: Exception, scope: Scope) -> ProblemError:
    request_id = scope["state"]["request_id"]
    place = f"{scope['method']} {scope['path']}"
    logger.error("request %s (%r) failed", request_id, place, exc_info=error)
    return ProblemError(problems.INTERNAL, f"the server's log has more under request {request_id}")
