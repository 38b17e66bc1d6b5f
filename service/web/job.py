"""`/jobs/{id}`: one job. Look at it, wait for it, cancel it, try it again.

    GET  /jobs/{id}          the job, or 304 for who has it already; held under `Prefer: wait`
    POST /jobs/{id}/cancel   not wanted any more
    POST /jobs/{id}/retry    once more, or now

The ETag is the job's revision: `If-None-Match` with `Prefer: wait=N` is a long poll for its next
change, and `If-Match` makes a command act on the job that was seen, or not at all (412): that check
is part of the decision, so nothing can come between.

With `as_of` it is the job as it was, with the ETag that it had. A moment does not move, so a
preference to wait is left alone there.

Its history is in `events`. What a command may do is decided by `service.commands`, not here.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from eventstore.event import STREAM
from projections.job import Job
from projections.moment import as_it_was
from service.access import Scope
from service.jobs import Jobs
from service.refusals import JobNotFoundError
from service.web import problems, samples
from service.web.body import BODY_PROBLEMS, json_body_or
from service.web.document import JobDocument, document
from service.web.gate import meta, request_id
from service.web.headers import Tags, etag, if_match, if_none_match, prefer_wait
from service.web.operation import (
    Body,
    Endpoint,
    NoQuery,
    Operation,
    Reply,
)
from service.web.query import MinPosition, moment, read_query
from service.web.reach import reach
from service.web.waits import Waits
from service.web.whole import WHOLE, Exchange

ID_CHARACTERS_MAX = 64  # of an id that cannot be one, said back

JOB_HEADERS: Final = ("ETag", "Log-Position")
WRITE_PROBLEMS: Final = (  # whatever writes to the log may end in these
    problems.NOT_WRITTEN,
    problems.OUTCOME_UNKNOWN,
    problems.STORE_FAILED,
    problems.STOPPING,
)

_encode = msgspec.json.Encoder().encode
_REVALIDATE: Final = "private, no-cache"
_JOB_LINES: Final = (
    "content-type: application/json\r\ncontent-length: %d\r\n"
    f'etag: "%d"\r\nlog-position: %d\r\ncache-control: {_REVALIDATE}\r\n'
)


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be said with a command: why, for the log."""

    reason: Annotated[str, Meta(max_length=500, description="Why, for the log.")] | None = None


class ShowQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The job as it was at a moment: `as_of` is a position of the log, or a time. With
    `min_position` the answer waits until the log was read so far.
    """

    as_of: (
        Annotated[
            str, Meta(description="As it was then: at a time (RFC 3339), or a position of the log.")
        ]
        | UnsetType
    ) = UNSET
    min_position: MinPosition = 0


_REQUESTED: Final = Reply(
    status=202,
    about="An attempt runs and is asked to stop; one that completes all the same has won.",
    type=JobDocument,
    headers=JOB_HEADERS,
    example=samples.STOPPING,
)


def _done(then: JobDocument) -> Reply:
    return Reply(status=200, about="Done.", type=JobDocument, headers=JOB_HEADERS, example=then)


class JobResource:
    """One job."""

    def __init__(self, jobs: Jobs, waits: Waits) -> None:
        self._jobs = jobs
        self._waits = waits

    def operations(self) -> list[Operation]:
        """What is served."""
        return [
            self._looking(),
            self._command_on(
                "cancel", self.cancel, "Cancel a job.",
                "A pending job ends at once. A running attempt is asked to stop, and abandoned if"
                " it does not in time; if it completes first, it has completed. To cancel twice is"
                " to cancel once.",
                {"reason": "the customer has left"}, _done(samples.CANCELLED), _REQUESTED,
            ),
            self._command_on(
                "retry", self.retry, "Try a job again, or now.",
                "A failed, cancelled or held job is opened again, its attempts counted anew. One"
                " that waits for its next attempt begins it now.",
                {"reason": "the mail server is back"}, _done(samples.RETRIED),
            ),
        ]  # fmt: skip

    def _looking(self) -> Operation:
        return Operation(
            name="getJob",
            method="GET",
            path="/jobs/{id}",
            endpoint=self.show,
            summary="Look at a job, or wait for it.",
            scope=Scope.READ,
            about=(
                "With `Prefer: wait=N` the answer is held until the job has ended, or, with"
                " `If-None-Match` too, until it is not as you know it: a long poll that"
                " misses nothing. When the time is over, the answer is the job as it is. With"
                " `as_of` it is the job as it was then, which is there at once."
            ),
            query=ShowQuery,
            headers=("If-None-Match", "Prefer"),
            sample={"Prefer": "wait=10"},
            replies=(
                Reply(
                    status=200,
                    about="The job.",
                    type=JobDocument,
                    headers=(*JOB_HEADERS, "Preference-Applied"),
                    example=samples.COMPLETED,
                ),
                Reply(
                    status=304,
                    about="It is as you know it.",
                    headers=(*JOB_HEADERS, "Preference-Applied"),
                ),
            ),
            problems=(
                problems.NOT_FOUND,
                problems.INVALID,
                problems.INVALID_HEADER,
                problems.TOO_MANY_WAITING,
                problems.NOT_REACHED,
            ),
        )

    def _command_on(
        self,
        name: str,
        endpoint: Endpoint,
        summary: str,
        about: str,
        said: dict[str, str],
        *replies: Reply,
    ) -> Operation:
        return Operation(
            name=f"{name}Job",
            method="POST",
            path=f"/jobs/{{id}}/{name}",
            endpoint=endpoint,
            summary=summary,
            about=about,
            scope=Scope.WRITE,
            headers=("If-Match",),
            body=Body(type=Command, required=False, example=said),
            replies=replies,
            problems=(
                *BODY_PROBLEMS, problems.INVALID_HEADER, problems.NOT_FOUND, problems.NOT_ALLOWED,
                problems.PRECONDITION_FAILED, *WRITE_PROBLEMS,
            ),
        )  # fmt: skip

    async def show(self, request: Request) -> Response:
        """The job: at once, or when it has changed (from what the client has) or ended; or as it
        was.
        """
        job_id = path_id(request)
        query = read_query(request, ShowQuery)
        known, wait_s = if_none_match(request), prefer_wait(request)
        then = None if query.as_of is UNSET else moment("as_of", query.as_of)
        await reach(self._jobs, self._waits, query.min_position)
        if then is not None:  # what was does not change: there is nothing to wait for
            return _shown(as_it_was(await self._jobs.history(job_id), then), known, {})

        def news(job: Job) -> bool:
            return is_finished(job) if known is None else not known.match(job.rev)

        if not wait_s:
            job = await self._jobs.get(job_id)
        else:
            async with self._waits.place():
                job = await self._jobs.wait_until(job_id, news, timeout_s=wait_s)
        if job is None:
            raise JobNotFoundError(job_id)
        return _shown(
            job, known, {} if wait_s is None else {"Preference-Applied": f"wait={wait_s}"}
        )

    async def cancel(self, request: Request) -> Response:
        """Cancel the job: at once, or ask the attempt that runs to stop (202)."""
        job_id, command = await _command(request)
        job = await self._jobs.cancel(
            job_id, reason=command.reason, if_rev=if_match(request), meta=meta(request)
        )
        return job_answer(job, 202 if job.is_open else 200)

    async def retry(self, request: Request) -> Response:
        """Try the job again."""
        job_id, command = await _command(request)
        job = await self._jobs.retry(
            job_id, reason=command.reason, if_rev=if_match(request), meta=meta(request)
        )
        return job_answer(job)


class _JobAnswer(Response):
    """A job as an answer. Starlette makes a header of texts, field by field; this one is made as
    lines, for it is the answer to nearly every request, and given as a whole where a server can
    take it so.
    """

    def __init__(self, job: Job, status: int, headers: dict[str, str]) -> None:
        self.status_code = status
        self.background = None
        self.body = _encode(document(job))
        self._lines = _JOB_LINES % (len(self.body), job.rev, job.pos)
        for name, value in headers.items():
            self._lines += f"{name.lower()}: {value}\r\n"

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        exchange: Exchange | None = scope.get(WHOLE)
        if exchange is not None:
            lines = f"{self._lines}x-request-id: {request_id(scope)}\r\n"
            if exchange.answer(self.status_code, lines.encode("latin-1"), bytes(self.body)):
                return
        fields = (line.partition(b": ") for line in self._lines.encode("latin-1").splitlines())
        self.raw_headers = [(name, value) for name, _, value in fields]
        await super().__call__(scope, receive, send)


def job_answer(job: Job, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A job as an answer."""
    return _JobAnswer(job, status, headers or {})


def is_finished(job: Job) -> bool:
    """Whether nothing more will happen to the job by itself: it ended, or waits for a person."""
    return not job.is_open or job.held_at is not None


def _shown(job: Job, known: Tags | None, headers: dict[str, str]) -> Response:
    """The job, or that the client has it."""
    if known is not None and known.match(job.rev):
        return Response(status_code=304, headers=_headers(job) | headers)
    return job_answer(job, 200, headers)


def _headers(job: Job) -> dict[str, str]:
    return {"ETag": etag(job.rev), "Log-Position": str(job.pos), "Cache-Control": _REVALIDATE}


def path_id(request: Request) -> str:
    """The job's id. Raises JobNotFoundError for what no id looks like."""
    job_id = str(request.path_params["id"])
    if not STREAM.fullmatch(job_id):
        raise JobNotFoundError(job_id[:ID_CHARACTERS_MAX])
    return job_id


async def _command(request: Request) -> tuple[str, Command]:
    job_id = path_id(request)
    read_query(request, NoQuery)
    return job_id, await json_body_or(request, Command, Command())
