"""The body of a request: received within limits, read as strict JSON, checked against its type.

In this order, so that the cheapest refusal comes first: the content type (415), the size (413, from
Content-Length before a byte is read, and counted while they arrive for who does not say or lies),
the time it may take (408), the JSON (400), the type (422). A connection whose body we gave up on is
closed with the answer: what follows on it would be the rest of that body.

Bodies are never streamed to anyone and never kept: an event's line is at most 64 KiB, so what is
larger would be refused in the end anyway.
"""

import asyncio
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request

from service.web import problems, strictjson
from service.web.problems import ProblemError
from service.web.validation import invalid_body

BODY_BYTES_MAX = 1024 * 1024
BODY_S_MAX = 30.0  # from when we begin to read
JSON = "application/json"

T = TypeVar("T")

_CLOSE: Final = {"Connection": "close"}


async def json_body(request: Request, type_: Any) -> Any:
    """The body, of this type. Raises ProblemError."""
    _require_json(request)
    return _typed(await _received(request), type_)


async def json_body_or(request: Request, type_: type[T], default: T) -> T:
    """The body, of this type; the default when there is none. Raises ProblemError."""
    raw = await _received(request)
    if not raw:
        return default
    _require_json(request)
    found: T = _typed(raw, type_)
    return found


def _typed(raw: bytes, type_: Any) -> Any:
    if not raw:
        raise ProblemError(problems.INVALID_JSON, "the body is empty")
    try:
        return msgspec.convert(strictjson.parse(raw), type_)
    except strictjson.NotStrictJsonError as error:
        raise ProblemError(problems.INVALID_JSON, str(error)) from error
    except msgspec.ValidationError as error:
        raise problems.invalid(invalid_body(error)) from error


def _require_json(request: Request) -> None:
    given = ", ".join(request.headers.getlist("content-type"))
    if given.partition(";")[0].strip().lower() != JSON:
        detail = f"send {JSON}, not {given[:100]!r}" if given else f"send Content-Type: {JSON}"
        raise ProblemError(problems.UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept-Post": JSON})
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise ProblemError(
            problems.UNSUPPORTED_MEDIA_TYPE,
            f"send the body as it is, not with Content-Encoding: {coding[:100]}",
            headers={"Accept-Encoding": "identity"},
        )


async def _received(request: Request) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > BODY_BYTES_MAX:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            return await _counted(request)
    except TimeoutError:
        detail = f"the body must be here within {BODY_S_MAX:g} s"
        raise ProblemError(problems.BODY_TIMEOUT, detail, headers=_CLOSE) from None


async def _counted(request: Request) -> bytes:
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > BODY_BYTES_MAX:
            raise _too_large()
    return bytes(received)


def _too_large() -> ProblemError:
    detail = f"a body is at most {BODY_BYTES_MAX} bytes"
    return ProblemError(problems.TOO_LARGE, detail, headers=_CLOSE)
