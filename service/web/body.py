"""The body of a request: received within limits, read as strict JSON, checked against its type.

In this order, so that the cheapest refusal comes first: the content type (415), the size (413, from
Content-Length before a byte is read, and counted while they arrive for who does not say or lies),
the time it may take (408), the JSON (400), the type (422). A connection whose body we gave up on is
closed with the answer: what follows on it would be the rest of that body.

All bodies that are arriving, or wait to be read, share one room in memory: thousands of connections
may each send a little less than its limit and wait. Bytes take their room as they come and give it
back once the body was read, before the request does its work; who finds none is refused (503). A
short body that is here when it is asked for is read on the spot, and its room is free again before
anybody else could want it.

What takes long to read (`strictjson.takes_long`) is read elsewhere than on the event loop: a
megabyte of brackets takes a second. Most bodies take less than it costs to hand them over.

Bodies are never streamed to anyone and never kept: an event's line is at most 64 KiB, so what is
larger would be refused in the end anyway. Only a body of many items has another limit, and is read
by `items`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from eventstore.offload import Offload
from service.web import problems, strictjson
from service.web.headers import given
from service.web.operation import JSON
from service.web.problems import ProblemError
from service.web.validation import invalid_body, typed
from service.web.whole import WHOLE, Exchange

BODY_BYTES_MAX = 1024 * 1024
BODIES_BYTES_MAX = 256 * 1024 * 1024  # of all requests together
BODY_S_MAX = 30.0  # from when we begin to read
RETRY_AFTER_S = 5
BODY_PROBLEMS: Final = (
    problems.INVALID_JSON,
    problems.INCOMPLETE_BODY,
    problems.BODY_TIMEOUT,
    problems.TOO_LARGE,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.INVALID,
    problems.TOO_BUSY,
)

T = TypeVar("T")

_CLOSE: Final = {"Connection": "close"}


class Bodies:
    """The room for the bodies of all requests, and where they are read that take long:
    `app.bodies`.
    """

    def __init__(self, bytes_max: int = BODIES_BYTES_MAX, *, offload: Offload) -> None:
        self.free = bytes_max
        self.offload = offload

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """One body's share of it, for the length of a `with`."""
        share = Share(self)
        try:
            yield share
        finally:
            share.give_back()


class Share:
    """The room that one body has taken."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._size = 0

    def grow(self, size: int) -> None:
        """Take so much more. Raises ProblemError when there is not so much."""
        if size > self._bodies.free:
            detail = "the bodies of other requests take up all the memory there is for them"
            headers = _CLOSE | {"Retry-After": str(RETRY_AFTER_S)}
            raise ProblemError(problems.TOO_BUSY, detail, headers=headers)
        self._bodies.free -= size
        self._size += size

    def give_back(self) -> None:
        """All of it: the body was read."""
        self._bodies.free += self._size
        self._size = 0


class Value(NamedTuple):
    """What was read; and where to go on with it, if that may take long."""

    value: Any
    offload: Offload | None = None


async def json_body(request: Request, type_: Any) -> Any:
    """The body, of this type. Raises ProblemError."""
    return (await json_value(request, type_)).value


async def json_value(request: Request, type_: Any) -> Value:
    """The same, and whether it is a long one."""
    _require_media(request, (JSON,))
    raw = _at_once(request)
    if raw is not None and not strictjson.takes_long(raw):
        return Value(_typed(_not_empty(raw), type_))

    def read(raw: bytes) -> Value:
        offload = request.app.bodies.offload if strictjson.takes_long(raw) else None
        return Value(_typed(_not_empty(raw), type_), offload)

    return await _received(request, read, taken=raw)


async def json_body_or(request: Request, type_: type[T], default: T) -> T:
    """The body, of this type; the default when there is none. Raises ProblemError."""

    def read(raw: bytes) -> T:
        if not raw:
            return default
        _require_media(request, (JSON,))
        found: T = _typed(raw, type_)
        return found

    return await _received(request, read)


class Received(NamedTuple):
    """A body as it came, not empty, and which of the media types it is."""

    media: str
    raw: bytes


@asynccontextmanager
async def body_in(
    request: Request, media: tuple[str, ...], *, bytes_max: int = BODY_BYTES_MAX
) -> AsyncIterator[Received]:
    """The body, which must be in one of these media types. It has its room for the length of an
    `async with`; who keeps it longer keeps what is not counted. Raises ProblemError.
    """
    found = _require_media(request, media)
    _require_announced(request, bytes_max)
    bodies: Bodies = request.app.bodies
    with bodies.share() as share:
        yield Received(found, _not_empty(await _in_time(request, bytes_max, share)))


def _typed(raw: bytes, type_: Any) -> Any:
    try:
        return typed(strictjson.parse(raw), type_)
    except strictjson.NotStrictJsonError as error:
        raise ProblemError(problems.INVALID_JSON, str(error)) from error
    except msgspec.ValidationError as error:
        raise problems.invalid(invalid_body(error)) from error


def _require_media(request: Request, media: tuple[str, ...]) -> str:
    """Which of these the body is written in. Raises ProblemError."""
    said = ", ".join(given(request.scope, b"content-type"))
    found = said if said in media else said.partition(";")[0].strip().lower()
    if found not in media:
        known = " or ".join(media)
        detail = f"send {known}, not {said[:100]!r}" if said else f"send Content-Type: {known}"
        headers = {"Accept-Post": ", ".join(media)}
        raise ProblemError(problems.UNSUPPORTED_MEDIA_TYPE, detail, headers=headers)
    codings = given(request.scope, b"content-encoding")
    if codings and ",".join(codings).lower() not in ("", "identity"):
        raise ProblemError(
            problems.UNSUPPORTED_MEDIA_TYPE,
            f"send the body as it is, not with Content-Encoding: {','.join(codings)[:100]}",
            headers={"Accept-Encoding": "identity"},
        )
    return found


def _at_once(request: Request) -> bytes | None:
    """A body that is here, is soon read, and finds room; most are such. None for any other."""
    exchange: Exchange | None = request.scope.get(WHOLE)
    bodies: Bodies = request.app.bodies
    if exchange is None or bodies.free < strictjson.SHORT_BYTES_MAX:
        return None
    return exchange.take_body(strictjson.SHORT_BYTES_MAX)


async def _received(
    request: Request, read: Callable[[bytes], T], *, taken: bytes | None = None
) -> T:
    """What `read` makes of a body, which then needs its room no longer; `taken`, if it was taken
    already.
    """
    _require_announced(request, BODY_BYTES_MAX)
    bodies: Bodies = request.app.bodies
    share = Share(bodies)
    try:
        if taken is None:
            raw = await _in_time(request, BODY_BYTES_MAX, share)
        else:
            share.grow(len(taken))
            raw = taken
        if strictjson.takes_long(raw):
            return await bodies.offload.run(lambda: read(raw))
        return read(raw)
    finally:
        share.give_back()


def _require_announced(request: Request, bytes_max: int) -> None:
    for length in given(request.scope, b"content-length")[:1]:
        if length.isascii() and length.isdigit() and int(length[:20]) > bytes_max:
            raise _too_large(bytes_max)


def _not_empty(raw: bytes) -> bytes:
    if not raw:
        raise ProblemError(problems.INVALID_JSON, "the body is empty")
    return raw


async def _in_time(request: Request, bytes_max: int, share: Share) -> bytes:
    exchange: Exchange | None = request.scope.get(WHOLE)
    if exchange is not None and exchange.is_here:
        return await _counted(request, bytes_max, share)
    try:
        async with asyncio.timeout(BODY_S_MAX):
            return await _counted(request, bytes_max, share)
    except TimeoutError:
        detail = f"the body must be here within {BODY_S_MAX:g} s"
        raise ProblemError(problems.BODY_TIMEOUT, detail, headers=_CLOSE) from None


async def _counted(request: Request, bytes_max: int, share: Share) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise _too_large(bytes_max)
        share.grow(len(chunk))
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _too_large(bytes_max: int) -> ProblemError:
    detail = f"a body is at most {bytes_max} bytes"
    return ProblemError(problems.TOO_LARGE, detail, headers=_CLOSE)
