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
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Scope

from eventstore.errors import NotWritten, OutcomeUnknown, StoreClosed, StoreFailed, TooLarge
from projections.moment import NotYetError
from projections.projector import NotFlushedError
from service.actions import PartlyDoneError
from service.admission import RETRY_AFTER_S, IntakeClosedError
from service.batch import PartlyCreatedError
from service.commands import FencedError, NotAllowedError
from service.refusals import (
    JobNotFoundError,
    KeyReusedError,
    NeverBeginsError,
    NotReachedError,
    PreconditionFailedError,
)

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A sort of problem. `name` is the end of its `type`; `about` says what it means and who must
    act; `headers` may come with the answer.
    """

    name: str
    status: int
    title: str
    about: str = ""
    headers: tuple[str, ...] = ()


MALFORMED = Kind(
    "malformed-request", 400, "This is not a request of HTTP",
    "What arrived cannot be read as HTTP, so nothing was done and the connection is closed. Whoever"
    " wrote the client, or runs the proxy between, must mend it.",
)  # fmt: skip
INVALID_JSON = Kind(
    "invalid-json", 400, "The body is not acceptable JSON",
    "The body is malformed, or is JSON that readers disagree about: a member given twice, half a"
    " surrogate pair, NaN, an integer beyond 2^53, nesting over 64. `detail` has the byte. Whoever"
    " wrote the client must mend what it sends; nothing was recorded.",
)  # fmt: skip
INVALID_HEADER = Kind(
    "invalid-header", 400, "A header cannot be understood",
    "A condition or an idempotency key that cannot be read is refused and not ignored, because who"
    " sent it relies on it. Mend the header that `detail` names; nothing was recorded.",
)  # fmt: skip
INVALID_CURSOR = Kind(
    "invalid-cursor", 400, "The cursor is not one of ours",
    "Cursors are made by the server: follow the `Link` of the page before as it is, and begin"
    " anew without a `cursor` if it is lost.",
)  # fmt: skip
INCOMPLETE_BODY = Kind(
    "incomplete-body", 400, "The body did not arrive whole",
    "The connection ended before the body did. Nothing was recorded; send the request again.",
)  # fmt: skip
UNAUTHENTICATED = Kind(
    "unauthenticated", 401, "A token is needed",
    "This server was given tokens, and the request brought none of them. Send"
    " `Authorization: Bearer` and a token; the operator makes one with `joblog token`.",
    ("WWW-Authenticate",),
)  # fmt: skip
INSUFFICIENT_SCOPE = Kind(
    "insufficient-scope", 403, "The token is not good for this",
    "The token is known but lacks the scope that `detail` names. Use another token, or have the"
    " operator give this one that scope. Nothing was done.",
    ("WWW-Authenticate",),
)  # fmt: skip
CROSS_SITE = Kind(
    "cross-site", 403, "The order came from another site's page",
    "A browser says that a page of another site, or of another port, sent this. Nothing was done: a"
    " page that somebody happens to look at shall not cancel, pause or post. Programs and the"
    " server's own pages are not meant; a page of yours must ask through a server of yours.",
)  # fmt: skip
NOT_FOUND = Kind(
    "not-found", 404, "Not found",
    "There is nothing at this path, or no job of this id and never was, or no such kind: `detail`"
    " says which. Jobs are never deleted, so an id that is not found was never given out.",
)  # fmt: skip
METHOD_NOT_ALLOWED = Kind(
    "method-not-allowed", 405, "The method is not allowed here",
    "The path exists and answers other methods, which `Allow` names. Mend the client.",
    ("Allow",),
)  # fmt: skip
NOT_ACCEPTABLE = Kind(
    "not-acceptable", 406, "There is no such representation",
    "None of the media types in `Accept` can be had here; `detail` names those that can.",
)  # fmt: skip
BODY_TIMEOUT = Kind(
    "body-timeout", 408, "The body took too long to arrive",
    "The whole body must be here in time; `detail` says how long. Nothing was recorded: send it"
    " again over a better connection, or in smaller pieces.",
)  # fmt: skip
NOT_ALLOWED = Kind(
    "not-allowed", 409, "The job's state does not permit this",
    "A job that has completed cannot be cancelled, one that is due already cannot be retried:"
    " `detail` says in which state it is. Look at the job again and decide anew.",
)  # fmt: skip
FENCED = Kind(
    "fenced", 409, "The claim was lost",
    "The token is not that of the job's running attempt: the lease ended, the job was cancelled, or"
    " the attempt has ended already. Whatever the worker has done is not wanted any more; it should"
    " drop it and claim again.",
)  # fmt: skip
PRECONDITION_FAILED = Kind(
    "precondition-failed", 412, "The job is not at that revision",
    "The job has moved on since the revision that `If-Match` names, so nothing was done. Get the"
    " job again, and repeat the command if it is still wanted.",
    ("ETag",),
)  # fmt: skip
TOO_LARGE = Kind(
    "too-large", 413, "Too large",
    "The body is over the limit, or the event it would become is longer than a line of the log may"
    " be (65,535 bytes). Nothing was recorded. Send less: a reference to large data, say, in place"
    " of the data.",
)  # fmt: skip
URI_TOO_LONG = Kind(
    "uri-too-long", 414, "The address is too long",
    "Path and query together are over the limit in `detail`. Put less into the query.",
)  # fmt: skip
UNSUPPORTED_MEDIA_TYPE = Kind(
    "unsupported-media-type", 415, "The content type is not supported",
    "Say `Content-Type: application/json` (or another that `Accept-Post` names), and send the body"
    " without a content coding.",
    ("Accept-Post", "Accept-Encoding"),
)  # fmt: skip
WRONG_HOST = Kind(
    "wrong-host", 421, "This server does not answer for that host",
    "The `Host` of the request is neither this machine's own name nor one the server was told to"
    " answer for: so a web page that points its own name at this machine gets nothing. Call it by"
    " another name, or have its operator add this one with `--allow-host`.",
)  # fmt: skip
INVALID = Kind(
    "invalid", 422, "The request is not valid",
    "The body or the query can be read but does not say what it must. `errors` has each fault with"
    " a pointer: `#/to` is a member of the body, `?limit` a parameter of the query. Mend them and"
    " send it again; nothing was recorded.",
)  # fmt: skip
KEY_REUSED = Kind(
    "idempotency-key-reused", 422, "The idempotency key belongs to another request",
    "This key was used before, for a request with another body or other options. Nothing was"
    " recorded. Use a new key for every new job, and the old one only to repeat the same request.",
)  # fmt: skip
HEADER_TOO_LARGE = Kind(
    "header-too-large", 431, "The header is too large",
    "The header of the request has more bytes or more fields than the limits in `detail`. Send"
    " less; cookies are never needed here.",
)  # fmt: skip
INTERNAL = Kind(
    "internal", 500, "The server failed",
    "A fault of the server that nobody foresaw. Its operator finds it in the server's log under the"
    " request's id; whether anything was recorded is not known, so repeat with an idempotency key.",
)  # fmt: skip
INTAKE_CLOSED = Kind(
    "intake-closed", 503, "No new work is taken at the moment",
    "There is too little room on the disk, or too much work waits already: `detail` says which."
    " Reading goes on. Ask again after `Retry-After`; if it lasts, the operator must make room.",
    ("Retry-After",),
)  # fmt: skip
NOT_REACHED = Kind(
    "not-reached", 503, "The log was not read that far yet",
    "This node has not yet read the log up to the `min_position` that was asked for; it may be a"
    " moment behind, or the position is of another log. Or what lists are made of could not be"
    " written; single jobs can be read. Ask again after `Retry-After`; if it lasts, the operator"
    " must look at the disk.",
    ("Retry-After",),
)  # fmt: skip
NOT_READY = Kind(
    "not-ready", 503, "The service is not ready",
    "A check fails: `checks` names each and what is wrong with it. Send no traffic here until it is"
    " ready again; the operator must look at the check that fails.",
)  # fmt: skip
NOT_WRITTEN = Kind(
    "not-written", 503, "Nothing was recorded",
    "The log could not be written, and it is certain that nothing was. Ask again after"
    " `Retry-After`; if it lasts, the operator must look at the server's log.",
    ("Retry-After",),
)  # fmt: skip
OUTCOME_UNKNOWN = Kind(
    "outcome-unknown", 503, "Whether it was recorded is not known",
    "The log may or may not hold what was asked for, and it may still come. To repeat the request"
    " with the same `Idempotency-Key` is safe; without one, look first.",
)  # fmt: skip
STORE_FAILED = Kind(
    "store-failed", 503, "The log refuses to be written",
    "A write to the disk failed, and after that nothing the disk says can be relied on: the server"
    " writes no more and ends. What it acknowledged is safe. The operator must look at the disk and"
    " start it again.",
)  # fmt: skip
STOPPING = Kind(
    "stopping", 503, "The service is stopping",
    "It was told to stop, and recorded nothing. Ask again in a moment: it, or its successor.",
)  # fmt: skip
TOO_BUSY = Kind(
    "too-busy", 503, "Too many bodies are arriving at once",
    "The memory for the bodies of all requests is used up. Nothing was done. Send it again after"
    " `Retry-After`, or in smaller pieces.",
    ("Retry-After",),
)  # fmt: skip
TOO_MANY_WAITING = Kind(
    "too-many-waiting", 503, "Too many requests are being held",
    "As many requests wait for an answer as the server will hold. Nothing was done. Ask again after"
    " `Retry-After`, or without waiting.",
    ("Retry-After",),
)  # fmt: skip

KINDS: Final = {each.name: each for each in tuple(vars().values()) if isinstance(each, Kind)}

_UNKNOWN_DETAIL = (
    "the log may or may not hold what was asked for, and it may still come;"
    " to repeat the request with the same Idempotency-Key is safe"
)
_GO_ON = "to repeat the request is safe: it goes on with the others"
_REPEAT = "to repeat the request with the same Idempotency-Key makes those that are missing"


class Invalid(msgspec.Struct, frozen=True):
    """One thing that is wrong, and where."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True):
    """A problem, as RFC 9457 has it. `errors` come with what does not validate, `checks` with what
    is not ready.
    """

    type: Annotated[str, Meta(description="Which sort of problem: for programs, never changes.")]
    title: Annotated[str, Meta(description="The same for people.")]
    status: Annotated[int, Meta(description="The status of the answer.")]
    detail: Annotated[str, Meta(description="What is the matter with this very request.")]
    instance: Annotated[str, Meta(description="The path that was asked for.")]
    errors: list[Invalid] | UnsetType = UNSET
    checks: dict[str, str] | UnsetType = UNSET


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


def type_of(kind: Kind) -> str:
    """The `type` of a problem, which is the path of the page that explains it."""
    return f"/problems/{kind.name}"


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
        "type": type_of(problem.kind),
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


def _not_reached(error: NotReachedError | NotFlushedError) -> ProblemError:
    return ProblemError(NOT_REACHED, str(error), headers=_retry_after(1))


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
    FencedError: lambda error: ProblemError(FENCED, str(error)),
    NotYetError: lambda error: ProblemError(NOT_FOUND, str(error)),
    NeverBeginsError: lambda error: invalid(Invalid("?expires_at", str(error))),
    NotReachedError: _not_reached,
    NotFlushedError: _not_reached,
    NotAllowedError: lambda error: ProblemError(NOT_ALLOWED, str(error)),
    PreconditionFailedError: _stale,
    KeyReusedError: lambda error: ProblemError(KEY_REUSED, str(error)),
    TooLarge: lambda error: ProblemError(TOO_LARGE, str(error)),
    IntakeClosedError: _closed,
    NotWritten: _not_written,
    PartlyCreatedError: lambda error: ProblemError(OUTCOME_UNKNOWN, f"{error}; {_REPEAT}"),
    PartlyDoneError: lambda error: ProblemError(OUTCOME_UNKNOWN, f"{error}; {_GO_ON}"),
    OutcomeUnknown: lambda _: ProblemError(OUTCOME_UNKNOWN, _UNKNOWN_DETAIL),
    StoreFailed: lambda _: ProblemError(STORE_FAILED, "nothing was recorded; see the server's log"),
    StoreClosed: lambda _: ProblemError(STOPPING, "nothing was recorded; ask again after it"),
    ClientDisconnect: lambda _: ProblemError(INCOMPLETE_BODY, "the client went away"),
    HTTPException: _routing,
}
