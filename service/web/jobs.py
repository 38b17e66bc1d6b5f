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
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from eventstore import clock
from eventstore.store import POSITION_MAX
from eventstore.timestamp import Timestamp, later
from projections.job import Status
from projections.search import QUERY_CHARACTERS_MAX
from projections.table import PAGE_MAX, Filter
from service.access import Scope
from service.admission import Admission
from service.commands import Options
from service.jobs import Created, Jobs
from service.processors import (
    KIND,
    MAX_ATTEMPTS_MAX,
    TIMEOUT_S_MAX,
    Processor,
    Registry,
    UnfitPayloadError,
)
from service.web import problems, samples
from service.web.access import owner
from service.web.body import BODY_PROBLEMS, json_value
from service.web.document import JobDocument, Time, location
from service.web.gate import meta
from service.web.headers import idempotency_key, prefer_wait
from service.web.job import JOB_HEADERS, WRITE_PROBLEMS, is_finished, job_answer
from service.web.listed import Page, written_page
from service.web.operation import PER_KIND, Body, Operation, Reply
from service.web.problems import Invalid, ProblemError
from service.web.query import MinPosition, pairs, read_query, time
from service.web.reach import reach
from service.web.validation import invalid_body
from service.web.waits import Waits

DELAY_S_MAX = 315_576_000  # ten years: a longer appointment is a slip of the unit
KIND_CHARACTERS_MAX = 64  # of an unknown kind, said back

_OF_CREATION: Final = ("Idempotency-Replayed", "Preference-Applied", "Content-Location")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{2,32}")
_POSITION = re.compile(rb"[1-9][0-9]{0,18}")


class CreateQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a new job. Durations are seconds; a larger `priority` goes first."""

    max_attempts: (
        Annotated[
            int, Meta(ge=1, le=MAX_ATTEMPTS_MAX, description="How many attempts it may have.")
        ]
        | UnsetType
    ) = UNSET
    run_at: (
        Annotated[Time, Meta(description="Do not start it before, and at most ten years from now.")]
        | UnsetType
    ) = UNSET
    delay: (
        Annotated[
            float,
            Meta(ge=0, le=DELAY_S_MAX, description="The same, in seconds from now."),
        ]
        | UnsetType
    ) = UNSET
    priority: Annotated[int, Meta(ge=-100, le=100, description="The larger goes first.")] = 0
    timeout: (
        Annotated[
            float,
            Meta(gt=0, le=TIMEOUT_S_MAX, description="How long an attempt may take, in seconds."),
        ]
        | UnsetType
    ) = UNSET
    expires_at: (
        Annotated[Time, Meta(description="Begin no attempt from then on: fail it, as expired.")]
        | UnsetType
    ) = UNSET


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs to list. `created_after` and `created_before` leave out the instant itself; `q` is
    words that all must occur in the job, the last of each term begun at least. `count` asks how
    many there are in all. With `min_position` the answer waits until the log was read so far.
    """

    status: (
        Annotated[str, Meta(description="Only those.", extra_json_schema={"enum": list(Status)})]
        | UnsetType
    ) = UNSET
    kind: (
        Annotated[
            str,
            Meta(description="Only those.", extra_json_schema={"pattern": f"^{KIND.pattern}$"}),
        ]
        | UnsetType
    ) = UNSET
    created_after: (
        Annotated[Time, Meta(description="Only those created later, not at the instant.")]
        | UnsetType
    ) = UNSET
    created_before: (
        Annotated[Time, Meta(description="Only those created earlier, not at the instant.")]
        | UnsetType
    ) = UNSET
    q: (
        Annotated[
            str,
            Meta(
                max_length=QUERY_CHARACTERS_MAX,
                description="Only those with all these words, or beginnings of words: in the id,"
                " the kind, the payload, or the last error.",
            ),
        ]
        | UnsetType
    ) = UNSET
    held: Annotated[
        bool, Meta(description="Only those that wait for somebody to retry or cancel them.")
    ] = False
    count: Annotated[bool, Meta(description="Say how many there are in all.")] = False
    min_position: MinPosition = 0
    limit: Annotated[
        int, Meta(ge=1, le=PAGE_MAX, description="How many there are on a page, at most.")
    ] = 50
    cursor: (
        Annotated[str, Meta(description="Where the page before ended: its `Link` has it.")]
        | UnsetType
    ) = UNSET


class JobsResource:
    """All jobs."""

    def __init__(self, jobs: Jobs, registry: Registry, admission: Admission, waits: Waits) -> None:
        self._jobs = jobs
        self._registry = registry
        self._admission = admission
        self._waits = waits

    def operations(self) -> list[Operation]:
        """What is served."""
        return [self._creation(), self._listing()]

    def _listing(self) -> Operation:
        return Operation(
            name="listJobs",
            method="GET",
            path="/jobs",
            endpoint=self.page,
            summary="List jobs, the newest first.",
            about=(
                "Follow `Link` from page to page. A page may be shorter than `limit` when jobs are"
                " large: as long as there is a `Link`, there are more. The pages stay as they are"
                " while jobs come: none is shown twice, and none is left out."
            ),
            scope=Scope.READ,
            query=ListQuery,
            sample={"status": "completed", "limit": 20},
            replies=(
                Reply(
                    status=200,
                    about="A page.",
                    type=Page,
                    headers=("Link",),
                    example=Page([samples.COMPLETED]),
                ),
            ),
            problems=(
                problems.INVALID,
                problems.INVALID_CURSOR,
                problems.NOT_REACHED,
                problems.TOO_MANY_WAITING,
            ),
        )

    def _creation(self) -> Operation:
        return Operation(
            name="createJob",
            method="POST",
            path="/jobs/{kind}",
            endpoint=self.create,
            summary="Post a job of kind `{kind}`.",
            about=(
                "The answer comes once the job is on disk. With an `Idempotency-Key` the"
                " request can be repeated until there is an answer, and makes one job. With"
                " `Prefer: wait=N` the answer is held until the job has ended, well or not."
            ),
            scope=Scope.WRITE,
            query=CreateQuery,
            headers=("Idempotency-Key", "Prefer"),
            sample={"Idempotency-Key": "order-1815"},
            body=Body(type=PER_KIND),
            replies=(
                Reply(
                    status=202,
                    about="The job is durable.",
                    type=JobDocument,
                    headers=("Location", *JOB_HEADERS, *_OF_CREATION),
                    example=samples.PENDING,
                ),
                Reply(
                    status=200,
                    about="The job ended within the time of `Prefer: wait`.",
                    type=JobDocument,
                    headers=("Location", *JOB_HEADERS, *_OF_CREATION),
                    example=samples.COMPLETED,
                ),
            ),
            problems=(
                *BODY_PROBLEMS, problems.INVALID_HEADER, problems.NOT_FOUND,
                problems.KEY_REUSED, *WRITE_PROBLEMS, problems.INTAKE_CLOSED,
                problems.TOO_MANY_WAITING,
            ),
        )  # fmt: skip

    async def create(self, request: Request) -> Response:
        """Make a job; for who waits only where there is a place to wait."""
        wait_s = prefer_wait(request)
        if not wait_s:
            return await self._create(request, wait_s)
        async with self._waits.place():
            return await self._create(request, wait_s)

    async def _create(self, request: Request, wait_s: int | None) -> Response:
        self._admission.require_room()
        processor = processor_of(request, self._registry)
        query = read_query(request, CreateQuery)
        key = idempotency_key(request)
        payload, offload = await json_value(request, processor.payload)
        now = clock.now()
        try:
            with self._admission.room():
                created = await self._jobs.create(
                    processor.kind,
                    payload,
                    options_of(query, processor, now),
                    meta=meta(request),
                    owner=owner(request),
                    now=now,
                    key=key,
                    fingerprint=None if key is None else _fingerprint(payload, request),
                    prepare=processor.prepare,
                    offload=offload,
                )
        except UnfitPayloadError as error:  # as invalid as what its type does not take
            raise problems.invalid(invalid_body(error)) from error
        return await self._created(created, wait_s)

    async def page(self, request: Request) -> Response:
        """List jobs, and link to the next page when there is one."""
        query = read_query(request, ListQuery)
        before = None if query.cursor is UNSET else _position(query.cursor)
        wanted = _filter(query)
        await reach(self._jobs, self._waits, query.min_position)
        found = await self._jobs.page(wanted, before=before, limit=query.limit + 1)
        total = await self._jobs.count(wanted) if query.count else UNSET
        written = await written_page(found, query.limit, total)
        headers = {"Cache-Control": "private, no-cache"}
        if written.more:
            headers["Link"] = _next(request, written.last_pos)
        return Response(written.body, headers=headers, media_type="application/json")

    async def _created(self, created: Created, wait_s: int | None) -> Response:
        """The answer: the job as its creation left it; for who waits, as it is in the end."""
        job, status = created.job, 202
        headers = {"Location": location(job.id)}
        if created.replayed:
            headers["Idempotency-Replayed"] = "true"
        if wait_s is not None:
            job = await self._jobs.wait_until(job.id, is_finished, timeout_s=wait_s) or job
            status = 202 if job.is_open else 200
            headers["Preference-Applied"] = f"wait={wait_s}"
            headers["Content-Location"] = location(job.id)
        return job_answer(job, status, headers)


def processor_of(request: Request, registry: Registry) -> Processor:
    """The processor of the kind in the path. Raises ProblemError."""
    kind: str = request.scope["path_params"]["kind"]
    processor = registry.get(kind)
    if processor is None:
        known = ", ".join(registry.kinds())
        detail = f"there is no kind {kind[:KIND_CHARACTERS_MAX]!r}, but {known}"
        raise ProblemError(problems.NOT_FOUND, detail)
    return processor


def options_of(query: CreateQuery, processor: Processor, now: Timestamp) -> Options:
    """What a query says of a job, or its processor by default. Raises ProblemError."""
    return Options(
        run_at=_run_at(query, now),
        expires_at=None if query.expires_at is UNSET else time("expires_at", query.expires_at),
        priority=query.priority,
        max_attempts=processor.max_attempts if query.max_attempts is UNSET else query.max_attempts,
        timeout_s=processor.timeout_s if query.timeout is UNSET else query.timeout,
        backoff=processor.backoff,
    )


def _run_at(query: CreateQuery, now: Timestamp) -> Timestamp:
    if query.run_at is UNSET:
        return now if query.delay is UNSET else later(now, query.delay)
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
        q=None if query.q is UNSET else query.q,
        held=query.held,
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


def _next(request: Request, last_pos: int) -> str:
    """The link to the page that follows the job that was created there."""
    kept = [(name, value) for name, value in pairs(request) if name != "cursor"]
    query = urlencode([*kept, ("cursor", _cursor(last_pos))])
    return f'</jobs?{query}>; rel="next"'


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(b"%d" % position).rstrip(b"=").decode()


def _position(cursor: str) -> int:
    """The position of a cursor that `_cursor` made."""
    if _CURSOR.fullmatch(cursor) and len(cursor) % 4 != 1:  # no base64 is that long
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = int(text) if _POSITION.fullmatch(text) else 0
        if 0 < position <= POSITION_MAX and _cursor(position) == cursor:
            return position
    raise ProblemError(problems.INVALID_CURSOR, "follow the Link of the page before")
