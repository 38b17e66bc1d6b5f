"""What holds for every request: an id, limits, a host, and a problem document for every error.

One plain ASGI callable, because every request passes through all of it, and reads its header once.
Errors are answered here and not in Starlette's own handlers, so that what is refused before a route
is found (a wrong host, say) is a problem document too, and carries its request id.

| in this order | |
|---------------|-|
| request id    | the client's `X-Request-Id` or a new one, for every answer and every event |
| sizes         | what is too long is refused before it is looked at (414, 431) |
| host          | others are refused (421): a page that rebinds its name to 127.0.0.1 gets nothing |
| origin        | a browser's order from another site's page is refused (403): forms go anywhere |
| problems      | whatever is raised further in becomes the answer |

Limits on the body are in `body`, where it is read; who may make a call is `access`'s matter.
"""

import logging
import re
from collections.abc import Iterable
from itertools import chain
from random import Random

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventstore.event import Json
from service.web import problems
from service.web.headers import given
from service.web.problems import ProblemError, answer, problem_of

URL_BYTES_MAX = 8 * 1024  # what proxies let through, and RFC 9110 asks for
HEADER_BYTES_MAX = 16 * 1024
FIELDS_MAX = 100
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
OWN_PAGE = frozenset({"same-origin", "none"})
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:@/\[\]\s]+)(?::[0-9]{0,5})?")

logger = logging.getLogger("joblog.web")


def meta(request: Request) -> Json:
    """What an event that this request causes says of its origin."""
    state = request.scope["state"]
    return {"actor": state["actor"], "request": state["request_id"]}


def request_id(scope: Scope) -> str:
    """The id of a request, which every answer says."""
    found: str = scope["state"]["request_id"]
    return found


class Gate:
    """Lets requests in to an application. It answers for the hosts it is told, and those of this
    machine, on any port; `dice` draw the ids of requests that bring none.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], dice: Random) -> None:
        self._app = app
        self._hosts = frozenset(map(_normal, (*LOCAL_HOSTS, *hosts)))
        self._dice = dice
        self._last_host: list[str] = []  # that was let in: mostly the next one's too

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Raises only once an answer has begun: then all that is left is to end it."""
        scope.setdefault("state", {})["request_id"] = self._request_id(scope)
        begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal begun
            if not begun:
                begun = True
                said = b"x-request-id", request_id(scope).encode()
                message["headers"] = [*message.get("headers", ()), said]
            await send(message)

        try:
            _require_short(scope)
            self._require_known(given(scope, b"host"))
            if scope["method"] not in SAFE_METHODS:
                _require_own_page(scope)
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if begun:
                raise
            problem = problem_of(error) or _unexpected(error, scope)
            await answer(problem, scope)(scope, receive, send_with_id)

    def _request_id(self, scope: Scope) -> str:
        values = given(scope, b"x-request-id")
        if values and _REQUEST_ID.fullmatch(values[0]):
            return values[0]
        return f"{self._dice.getrandbits(64):016x}"

    def _require_known(self, hosts: list[str]) -> None:
        """Raise ProblemError for another host, for two, and for none."""
        if hosts == self._last_host and hosts:
            return
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None or _normal(found[1]) not in self._hosts:
            raise ProblemError(
                problems.WRONG_HOST, "send the Host that the service was set up for, or localhost"
            )
        self._last_host = hosts


def _require_short(scope: Scope) -> None:
    path = scope.get("raw_path") or scope["path"].encode(errors="replace")
    if len(path) + len(scope["query_string"]) > URL_BYTES_MAX:
        detail = f"path and query have at most {URL_BYTES_MAX} bytes"
        raise ProblemError(problems.URI_TOO_LONG, detail)
    fields: list[tuple[bytes, bytes]] = scope["headers"]
    size = len(b": \r\n") * len(fields) + sum(map(len, chain.from_iterable(fields)))
    if size > HEADER_BYTES_MAX or len(fields) > FIELDS_MAX:
        detail = f"a header has at most {HEADER_BYTES_MAX} bytes and {FIELDS_MAX} fields"
        raise ProblemError(problems.HEADER_TOO_LARGE, detail)


def _require_own_page(scope: Scope) -> None:
    """Raise ProblemError for an order that a browser sends on behalf of another site's page.

    It says so: by `Sec-Fetch-Site`, or where that is not sent (over plain HTTP) by `Origin`. Who is
    no browser sends neither.
    """
    site, origin = given(scope, b"sec-fetch-site"), given(scope, b"origin")
    if site:
        own = OWN_PAGE.issuperset(site)
    else:
        hosts = [each.partition("://")[2] for each in origin]
        own = not origin or hosts == given(scope, b"host")
    if not own:
        raise ProblemError(
            problems.CROSS_SITE, "a page may give orders only to the server that it came from"
        )


def _normal(host: str) -> str:
    """A host as it is compared: without case, an IPv6 address in brackets."""
    return f"[{host.lower()}]" if ":" in host and not host.startswith("[") else host.lower()


def _unexpected(error: Exception, scope: Scope) -> ProblemError:
    request_id = scope["state"]["request_id"]
    place = f"{scope['method']} {scope['path']}"
    logger.error("request %s (%r) failed", request_id, place, exc_info=error)
    return ProblemError(problems.INTERNAL, f"the server's log has more under request {request_id}")
