"""`/jobs`: all jobs. Post one, list them.

    POST /jobs/{kind}   202 once the job is durable, 200 when it ended within `Prefer: wait`
    GET  /jobs          newest first, a page at a time

A payload is checked by the type that the kind's processor declares, and kept as that type writes it
again; everything else about a job is an option in the query. With an `Idempotency-Key` a repeat is
answered from the log: the first answer again, unless it is another request under the same key.

One job is `job`'s matter; which states there are, and what an event means, is not the web's at all.
"""

import base64
import hashlib
import re
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eventstore import clock
from eventstore.timestamp import Timestamp, later
from projections.job import Job, Status
from projections.table import PAGE_MAX, Filter
from service.admission import Admission
from service.commands import Options
from service.jobs import Created, Jobs
from service.processors import KIND, Processor, Registry
from service.web import problems
from service.web.body import json_body
from service.web.document import JobDocument, document, location
from service.web.headers import idempotency_key, prefer_wait
from service.web.job import is_finished, job_answer
from service.web.middleware import meta
from service.web.problems import Invalid, ProblemError
from service.web.query import pairs, read_query, time

DELAY_S_MAX = 315_576_000  # ten years: a longer appointment is a slip of the unit
TIMEOUT_S_MAX = 86_400
KIND_CHARACTERS_MAX = 64  # of an unknown kind, said back
POSITION_MAX = 2**63 - 1  # SQLite's integers end here

_CURSOR = re.compile(r"[A-Za-z0-9_-]{2,32}")
_POSITION = re.compile(rb"[1-9][0-9]{0,18}")


class CreateQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a new job. Durations are seconds; a larger `priority` goes first."""

    max_attempts: Annotated[int, Meta(ge=1, le=100)] | UnsetType = UNSET
    run_at: str | UnsetType = UNSET
    delay: Annotated[float, Meta(ge=0, le=DELAY_S_MAX)] | UnsetType = UNSET
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    timeout: Annotated[float, Meta(gt=0, le=TIMEOUT_S_MAX)] | UnsetType = UNSET


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs to list. `created_after` and `created_before` leave out the instant itself."""

    status: str | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    created_after: str | UnsetType = UNSET
    created_before: str | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 50
    cursor: str | UnsetType = UNSET


class Page(msgspec.Struct, frozen=True):
    """Some jobs of a list."""

    jobs: list[JobDocument]


class JobsResource:
    """All jobs."""

    def __init__(self, jobs: Jobs, registry: Registry, admission: Admission) -> None:
        self._jobs = jobs
        self._registry = registry
        self._admission = admission

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("/jobs", self.page),
            Route("/jobs/{kind}", self.create, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        """Make a job."""
        self._admission.require_open()
        processor = self._processor(request.path_params["kind"])
        query = read_query(request, CreateQuery)
        key = idempotency_key(request)
        wait_s = prefer_wait(request)
        payload = await json_body(request, processor.payload)
        now = clock.now()
        created = await self._jobs.create(
            processor.kind,
            msgspec.to_builtins(payload),
            _options(query, processor, now),
            meta=meta(request),
            now=now,
            key=key,
            fingerprint=None if key is None else _fingerprint(payload, request),
        )
        return await self._created(created, wait_s)

    async def page(self, request: Request) -> Response:
        """List jobs, and link to the next page when there is one."""
        query = read_query(request, ListQuery)
        before = None if query.cursor is UNSET else _position(query.cursor)
        found = await self._jobs.page(_filter(query), before=before, limit=query.limit + 1)
        shown = found[: query.limit]
        headers = {"Cache-Control": "private, no-cache"}
        if len(found) > len(shown):
            headers["Link"] = _next(request, shown[-1])
        body = msgspec.json.encode(Page([document(job) for job in shown]))
        return Response(body, headers=headers, media_type="application/json")

    def _processor(self, kind: str) -> Processor:
        processor = self._registry.get(kind)
        if processor is None:
            known = ", ".join(self._registry.kinds())
            detail = f"there is no kind {kind[:KIND_CHARACTERS_MAX]!r}, but {known}"
            raise ProblemError(problems.NOT_FOUND, detail)
        return processor

    async def _created(self, created: Created, wait_s: int | None) -> Response:
        """The answer: the job as its creation left it; for who waits, as it is in the end."""
        job, status = created.job, 202
        headers = {"Location": location(job.id)}
        if created.replayed:
            headers["Idempotency-Replayed"] = "true"
        if wait_s is not None:
            job = await self._jobs.wait_until(job.id, is_finished, timeout_s=wait_s) or job
            status = 200 if is_finished(job) else 202
            headers["Preference-Applied"] = f"wait={wait_s}"
            headers["Content-Location"] = location(job.id)
        return job_answer(job, status, headers)


def _options(query: CreateQuery, processor: Processor, now: Timestamp) -> Options:
    return Options(
        run_at=_run_at(query, now),
        priority=query.priority,
        max_attempts=processor.max_attempts if query.max_attempts is UNSET else query.max_attempts,
        timeout_s=processor.timeout_s if query.timeout is UNSET else query.timeout,
        backoff=processor.backoff,
    )


def _run_at(query: CreateQuery, now: Timestamp) -> Timestamp:
    if query.run_at is UNSET:
        return later(now, 0 if query.delay is UNSET else query.delay)
    if query.delay is not UNSET:
        raise problems.invalid(Invalid("?delay", "give run_at or delay, not both"))
    run_at = time("run_at", query.run_at)
    if run_at > later(now, DELAY_S_MAX):
        raise problems.invalid(Invalid("?run_at", "more than ten years from now"))
    return run_at


def _fingerprint(payload: Any, request: Request) -> str:
    """What tells this request from another under the same key."""
    said = [payload, sorted(pairs(request))]
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


def _filter(query: ListQuery) -> Filter:
    after, before = query.created_after, query.created_before
    return Filter(
        status=None if query.status is UNSET else _status(query.status),
        kind=None if query.kind is UNSET else _kind(query.kind),
        created_after=None if after is UNSET else time("created_after", after),
        created_before=None if before is UNSET else time("created_before", before),
    )


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError:
        raise problems.invalid(Invalid("?status", f"expected one of {', '.join(Status)}")) from None


def _kind(text: str) -> str:
    if not KIND.fullmatch(text):
        raise problems.invalid(Invalid("?kind", f"no kind can be called so: {KIND.pattern}"))
    return text


def _next(request: Request, last: Job) -> str:
    """The link to the page that follows this job."""
    kept = [(name, value) for name, value in pairs(request) if name != "cursor"]
    query = urlencode([*kept, ("cursor", _cursor(last.created_pos))])
    return f'</jobs?{query}>; rel="next"'


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(b"%d" % position).rstrip(b"=").decode()


def _position(cursor: str) -> int:
    """The position of a cursor that `_cursor` made."""
    if _CURSOR.fullmatch(cursor):
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = int(text) if _POSITION.fullmatch(text) else 0
        if 0 < position <= POSITION_MAX and _cursor(position) == cursor:
            return position
    raise ProblemError(problems.INVALID_CURSOR, "follow the Link of the page before")
