"""`/jobs/{id}`: one job. Look at it, wait for it, read its history, cancel it, try it again.

    GET  /jobs/{id}          the job, or 304 for who has it already; held under `Prefer: wait`
    GET  /jobs/{id}/events   its history, as JSON or as the lines of the log
    POST /jobs/{id}/cancel   not wanted any more
    POST /jobs/{id}/retry    once more, or now

The ETag is the job's revision: `If-None-Match` with `Prefer: wait=N` is a long poll for its next
change, and `If-Match` makes a command act on the job that was seen, or not at all (412): that check
is part of the decision, so nothing can come between.

What a command may do is decided by `service.commands`, not here.
"""

from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eventstore.event import STREAM, Event, canonical
from projections.job import Job
from service.jobs import JobNotFoundError, Jobs
from service.web.body import json_body_or
from service.web.document import document
from service.web.headers import acceptable, etag, if_match, if_none_match, prefer_wait
from service.web.middleware import meta
from service.web.query import read_query

JSON = "application/json"
NDJSON = "application/x-ndjson"
ID_CHARACTERS_MAX = 64  # of an id that cannot be one, said back

_REVALIDATE: Final = {"Cache-Control": "private, no-cache"}


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There are no parameters."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be said with a command: why, for the log."""

    reason: Annotated[str, Meta(max_length=500)] | None = None


class JobResource:
    """One job."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("/jobs/{id}", self.show),
            Route("/jobs/{id}/events", self.events),
            Route("/jobs/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/jobs/{id}/retry", self.retry, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The job: at once, or when it has changed (from what the client has) or ended."""
        job_id = _id(request)
        read_query(request, NoQuery)
        known, wait_s = if_none_match(request), prefer_wait(request)

        def news(job: Job) -> bool:
            return is_finished(job) if known is None else not known.match(job.rev)

        if wait_s is None:
            job = await self._jobs.get(job_id)
        else:
            job = await self._jobs.wait_until(job_id, news, timeout_s=wait_s)
        if job is None:
            raise JobNotFoundError(job_id)
        headers = {} if wait_s is None else {"Preference-Applied": f"wait={wait_s}"}
        if known is not None and known.match(job.rev):
            return Response(status_code=304, headers=_headers(job) | headers)
        return job_answer(job, 200, headers)

    async def events(self, request: Request) -> Response:
        """The job's history, oldest first."""
        job_id = _id(request)
        read_query(request, NoQuery)
        media_type = acceptable(request, (JSON, NDJSON))
        history = await self._jobs.history(job_id)
        headers = {"Log-Position": str(history[-1].pos), "Vary": "Accept", **_REVALIDATE}
        return Response(_RENDERED[media_type](history), headers=headers, media_type=media_type)

    async def cancel(self, request: Request) -> Response:
        """Cancel the job."""
        job_id, command = await _command(request)
        job = await self._jobs.cancel(
            job_id, reason=command.reason, if_rev=if_match(request), meta=meta(request)
        )
        return job_answer(job)

    async def retry(self, request: Request) -> Response:
        """Try the job again."""
        job_id, command = await _command(request)
        job = await self._jobs.retry(
            job_id, reason=command.reason, if_rev=if_match(request), meta=meta(request)
        )
        return job_answer(job)


def job_answer(job: Job, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A job as an answer."""
    body = msgspec.json.encode(document(job))
    return Response(body, status, _headers(job) | (headers or {}), media_type=JSON)


def is_finished(job: Job) -> bool:
    """Whether nothing more will happen to the job by itself."""
    return not job.is_open


def _headers(job: Job) -> dict[str, str]:
    return {"ETag": etag(job.rev), "Log-Position": str(job.pos), **_REVALIDATE}


def _id(request: Request) -> str:
    """The job's id. Raises JobNotFoundError for what no id looks like."""
    job_id = str(request.path_params["id"])
    if not STREAM.fullmatch(job_id):
        raise JobNotFoundError(job_id[:ID_CHARACTERS_MAX])
    return job_id


async def _command(request: Request) -> tuple[str, Command]:
    job_id = _id(request)
    read_query(request, NoQuery)
    return job_id, await json_body_or(request, Command, Command())


def _as_json(history: list[Event]) -> bytes:
    return b'{"events":[' + b",".join(canonical(event.line) for event in history) + b"]}"


def _as_lines(history: list[Event]) -> bytes:
    return b"".join(event.line + b"\n" for event in history)


_RENDERED: Final[dict[str, Callable[[list[Event]], bytes]]] = {JSON: _as_json, NDJSON: _as_lines}
