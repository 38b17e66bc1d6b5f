"""Every error as an answer: `application/problem+json`, RFC 9457.

    {"type": "/problems/not-found", "title": "Not found", "status": 404,
     "detail": "there is no job 01a2…", "instance": "/jobs/01a2…"}

`type` is for programs and never changes; `title` names it for people; `detail` is about this very
request, and `instance` its path. Validation adds `errors`, each with a pointer (RFC 6901) into the
body, `#/to`, or the name of a query parameter, `?limit`.

Code raises: its own errors, or `ProblemError` where the matter is HTTP's alone. One table says
which problem each error is. What is not in the table is a fault of ours: 500, in the server's log
with its traceback and in the answer without.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Scope

from eventstore.errors import NotWritten, OutcomeUnknown, StoreClosed, StoreFailed, TooLarge
from service.admission import RETRY_AFTER_S, IntakeClosedError
from service.commands import NotAllowedError
from service.jobs import JobNotFoundError, KeyReusedError, PreconditionFailedError

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A sort of problem. `name` is the end of its `type`."""

    name: str
    status: int
    title: str


INVALID_JSON = Kind("invalid-json", 400, "The body is not acceptable JSON")
INVALID_HEADER = Kind("invalid-header", 400, "A header cannot be understood")
INVALID_CURSOR = Kind("invalid-cursor", 400, "The cursor is not one of ours")
INCOMPLETE_BODY = Kind("incomplete-body", 400, "The body did not arrive whole")
NOT_FOUND = Kind("not-found", 404, "Not found")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "The method is not allowed here")
NOT_ACCEPTABLE = Kind("not-acceptable", 406, "There is no such representation")
BODY_TIMEOUT = Kind("body-timeout", 408, "The body took too long to arrive")
NOT_ALLOWED = Kind("not-allowed", 409, "The job's state does not permit this")
PRECONDITION_FAILED = Kind("precondition-failed", 412, "The job is not at that revision")
TOO_LARGE = Kind("too-large", 413, "Too large")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "The content type is not supported")
WRONG_HOST = Kind("wrong-host", 421, "This server does not answer for that host")
INVALID = Kind("invalid", 422, "The request is not valid")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The idempotency key belongs to another request")
INTERNAL = Kind("internal", 500, "The server failed")
INTAKE_CLOSED = Kind("intake-closed", 503, "No new work is taken at the moment")
NOT_READY = Kind("not-ready", 503, "The service is not ready")
NOT_WRITTEN = Kind("not-written", 503, "Nothing was recorded")
OUTCOME_UNKNOWN = Kind("outcome-unknown", 503, "Whether it was recorded is not known")
STORE_FAILED = Kind("store-failed", 503, "The log refuses to be written")
STOPPING = Kind("stopping", 503, "The service is stopping")

_UNKNOWN_DETAIL = (
    "the log may or may not hold what was asked for, and it may still come;"
    " to repeat the request with the same Idempotency-Key is safe"
)


class Invalid(msgspec.Struct, frozen=True):
    """One thing that is wrong, and where."""

    pointer: str
    detail: str


class ProblemError(Exception):
    """A request ends with this problem. `headers` go with the answer, `more` into its document."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: tuple[Invalid, ...] = (),
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = dict(more or {})
        if errors:
            self.more["errors"] = errors


def invalid(*errors: Invalid) -> ProblemError:
    """The 422 for these errors."""
    detail = "; ".join(f"{error.pointer}: {error.detail}" for error in errors)
    return ProblemError(INVALID, detail, errors=errors)


def problem_of(error: Exception) -> ProblemError | None:
    """The problem that an error is; None when nobody foresaw it."""
    if isinstance(error, ProblemError):
        return error
    made = next((_TABLE[each] for each in type(error).__mro__ if each in _TABLE), None)
    return None if made is None else made(error)


def answer(problem: ProblemError, scope: Scope) -> Response:
    """The answer that tells of a problem with this request."""
    document = {
        "type": f"/problems/{problem.kind.name}",
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail.encode(errors="replace").decode(),  # half a surrogate pair, say
        "instance": quote(scope["path"], errors="replace"),
        **problem.more,
    }
    body = msgspec.json.encode(document)
    return Response(body, problem.kind.status, problem.headers, media_type=MEDIA_TYPE)


def _stale(error: PreconditionFailedError) -> ProblemError:
    return ProblemError(PRECONDITION_FAILED, str(error), headers={"ETag": f'"{error.job.rev}"'})


def _closed(error: IntakeClosedError) -> ProblemError:
    return ProblemError(INTAKE_CLOSED, str(error), headers=_retry_after(RETRY_AFTER_S))


def _not_written(error: NotWritten) -> ProblemError:
    return ProblemError(NOT_WRITTEN, str(error), headers=_retry_after(RETRY_AFTER_S))


def _routing(error: HTTPException) -> ProblemError:
    """Starlette's router knows two: no such path, and no such method there."""
    kind = METHOD_NOT_ALLOWED if error.status_code == METHOD_NOT_ALLOWED.status else NOT_FOUND
    details = {
        NOT_FOUND: "there is nothing at this path",
        METHOD_NOT_ALLOWED: "this path has other methods, see Allow",
    }
    return ProblemError(kind, details[kind], headers=error.headers)


def _retry_after(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


_TABLE: Final[Mapping[type, Callable[[Any], ProblemError]]] = {
    JobNotFoundError: lambda error: ProblemError(NOT_FOUND, str(error)),
    NotAllowedError: lambda error: ProblemError(NOT_ALLOWED, str(error)),
    PreconditionFailedError: _stale,
    KeyReusedError: lambda error: ProblemError(KEY_REUSED, str(error)),
    TooLarge: lambda error: ProblemError(TOO_LARGE, str(error)),
    IntakeClosedError: _closed,
    NotWritten: _not_written,
    OutcomeUnknown: lambda _: ProblemError(OUTCOME_UNKNOWN, _UNKNOWN_DETAIL),
    StoreFailed: lambda _: ProblemError(STORE_FAILED, "nothing was recorded; see the server's log"),
    StoreClosed: lambda _: ProblemError(STOPPING, "nothing was recorded; ask again after it"),
    ClientDisconnect: lambda _: ProblemError(INCOMPLETE_BODY, "the client went away"),
    HTTPException: _routing,
}
