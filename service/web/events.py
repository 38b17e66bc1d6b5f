"""`/events` and `/jobs/{id}/events`: the log, and one job's part of it; to read, or to follow.

    GET /events            the whole log above `after`, a page at a time
    GET /jobs/{id}/events  a job's history, whole

`Accept` says how it is written (`rendering` has the four ways). With `text/event-stream` the answer
goes on as events happen and never ends by itself; a reader that was cut off sends the last id it
has seen, as `Last-Event-ID` or as `after`, and goes on where it was. It is sent no faster than it
reads, and nothing is kept for it.

A page may have fewer events than `limit`, when they are large or a filter passes over many: as long
as there is a `Link` to the next, there may be more. `Log-Position` is where a page ends: who asks
again after it, sees all that came since.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from eventstore.event import STREAM, Event, decode
from eventstore.store import PAGE_MAX
from service.access import Scope
from service.feed import Feed, Wanted
from service.jobs import Jobs
from service.web import problems, samples
from service.web.document import Time
from service.web.headers import acceptable, last_event_id
from service.web.job import path_id
from service.web.operation import CLOUDEVENTS, NDJSON, SSE, Operation, Reply
from service.web.problems import Invalid
from service.web.query import After, MinPosition, pairs, read_query
from service.web.reach import reach
from service.web.rendering import (
    MEDIA_TYPES,
    STREAM_BEGIN,
    CloudEvent,
    cloud_event,
    rendered,
    sent,
)
from service.web.waits import Waits

LIMIT: Final = 100  # of a page, unless asked otherwise

_TYPE: Final = "^[A-Z][A-Za-z0-9]{0,63}$"
_HEADERS: Final = {"Cache-Control": "private, no-cache", "Vary": "Accept"}
_ABOUT: Final = (
    "As `application/x-ndjson` it is the lines of the log, byte for byte. As `text/event-stream` it"
    " goes on as events happen; a reader that was cut off goes on after the `Last-Event-ID` it has"
    " seen, without loss or repeat."
)
_PROBLEMS: Final = (
    problems.TOO_MANY_WAITING,
    problems.INVALID,
    problems.INVALID_HEADER,
    problems.NOT_ACCEPTABLE,
    problems.NOT_REACHED,
)


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events: above a position, of one type, of one stream; `limit` is of a page. With
    `min_position` the answer waits until the log was read so far.
    """

    after: After = 0
    limit: (
        Annotated[int, Meta(ge=1, le=PAGE_MAX, description="How many there are, at most.")]
        | UnsetType
    ) = UNSET
    type: Annotated[str, Meta(pattern=_TYPE, description="Only those.")] | UnsetType = UNSET
    stream: (
        Annotated[
            str,
            Meta(
                pattern=f"^{STREAM.pattern}$", description="Only those: a job's id, `kind-email`."
            ),
        ]
        | UnsetType
    ) = UNSET
    min_position: MinPosition = 0


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of a job's events: above a position. With `min_position` the answer waits until the log
    was read so far.
    """

    after: After = 0
    min_position: MinPosition = 0


class EventLine(msgspec.Struct, frozen=True):
    """An event, as its line in the log has it."""

    pos: Annotated[int, Meta(ge=1, description="Its place in the whole log.")]
    time: Time
    type: Annotated[str, Meta(description="What happened, as `JobCreated`, `AttemptStarted`.")]
    v: Annotated[int, Meta(ge=1, description="The version of the type's `data`.")]
    stream: Annotated[str, Meta(description="What it happened to: a job's id.")]
    rev: Annotated[int, Meta(ge=1, description="Its number in the stream.")]
    data: Annotated[dict[str, Any], Meta(description="The facts.")]
    private: (
        Annotated[
            dict[str, Any],
            Meta(description="Payload, result, the words of errors."),
        ]
        | UnsetType
    ) = UNSET
    meta: Annotated[
        dict[str, Any], Meta(description="Where it came from: the actor, the request.")
    ] = {}


class EventPage(msgspec.Struct, frozen=True):
    """Events in the order of the log."""

    events: list[EventLine]


_RECORDED: Final = [decode(msgspec.json.encode(each)) for each in samples.EVENTS]
_EXAMPLES: Final = {
    NDJSON: b"".join(event.line + b"\n" for event in _RECORDED).decode(),
    CLOUDEVENTS: [cloud_event(event, samples.LOG_ID) for event in _RECORDED],
    SSE: (STREAM_BEGIN + b"".join(sent(_RECORDED))).decode(),
}


class EventStream(StreamingResponse):
    """Server-sent events, held until the reader goes away or the service stops."""

    media_type = SSE

    def __init__(
        self, batches: AsyncIterator[list[Event]], waits: Waits, turn: asyncio.Lock
    ) -> None:
        # Proxies that gather answers (nginx does) must not gather this one.
        headers = {"Cache-Control": "no-store", "Vary": "Accept", "X-Accel-Buffering": "no"}
        super().__init__(_sent(batches, turn), headers=headers)
        self._waits = waits

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """See ASGI. Raises ProblemError when there is no place to wait."""
        async with self._waits.place():
            await super().__call__(scope, receive, send)


class EventsResource:
    """The log, and a job's part of it."""

    def __init__(self, jobs: Jobs, feed: Feed, waits: Waits) -> None:
        self._jobs = jobs
        self._feed = feed
        self._waits = waits
        self._turn = asyncio.Lock()  # to write a part of a stream

    def operations(self) -> list[Operation]:
        """What is served."""
        return [
            Operation(
                name="getEvents",
                method="GET",
                path="/events",
                endpoint=self.all,
                summary="Read the log, or follow it.",
                about=(
                    f"Everything that ever happened, in one order. {_ABOUT} A page may be shorter"
                    " than `limit`: as long as there is a `Link`, there may be more."
                    " `Log-Position` is where it ends."
                ),
                scope=Scope.READ,
                query=EventsQuery,
                headers=("Last-Event-ID",),
                replies=(_reply("A page of events, oldest first.", "Log-Position", "Link"),),
                problems=_PROBLEMS,
            ),
            Operation(
                name="getJobEvents",
                method="GET",
                path="/jobs/{id}/events",
                endpoint=self.of_job,
                summary="Read a job's history, or follow it.",
                about=f"Everything that ever happened to the job, who did it and when. {_ABOUT}",
                scope=Scope.READ,
                query=HistoryQuery,
                headers=("Last-Event-ID",),
                replies=(_reply("Its events, oldest first.", "Log-Position"),),
                problems=(problems.NOT_FOUND, *_PROBLEMS),
            ),
        ]

    async def all(self, request: Request) -> Response:
        """The log."""
        query = read_query(request, EventsQuery)
        media_type = acceptable(request, MEDIA_TYPES)
        wanted = Wanted(query.type or None, query.stream or None)
        seen = last_event_id(request)
        if media_type == SSE and query.limit is not UNSET:
            raise problems.invalid(Invalid("?limit", "a stream of events has no end"))
        await reach(self._jobs, self._waits, query.min_position)
        if media_type == SSE:
            after = query.after if seen is None else seen
            return self._held(request, self._feed.follow(after, wanted))
        limit = LIMIT if query.limit is UNSET else query.limit
        page = await self._feed.page(query.after, limit=limit, wanted=wanted)
        headers = {"Log-Position": str(page.position)}
        if page.more:
            headers["Link"] = _next(request, page.position)
        return await self._whole(page.events, media_type, headers)

    async def of_job(self, request: Request) -> Response:
        """A job's history, oldest first."""
        job_id = path_id(request)
        query = read_query(request, HistoryQuery)
        media_type = acceptable(request, MEDIA_TYPES)
        seen = last_event_id(request)
        await reach(self._jobs, self._waits, query.min_position)
        history = await self._jobs.history(job_id)
        if media_type == SSE:
            after = query.after if seen is None else seen
            return self._held(request, self._feed.follow_job(job_id, after))
        headers = {"Log-Position": str(history[-1].pos)}
        chosen = [event for event in history if event.pos > query.after]
        return await self._whole(chosen, media_type, headers)

    def _held(self, request: Request, batches: AsyncIterator[list[Event]]) -> Response:
        """The stream; who asks for its headers only must not be held."""
        stream = EventStream(batches, self._waits, self._turn)
        return Response(headers=stream.headers) if request.method == "HEAD" else stream

    async def _whole(
        self, events: Sequence[Event], media_type: str, headers: dict[str, str]
    ) -> Response:
        """An answer that ends; other requests go on while a large one is made."""
        parts = []
        for part in rendered(media_type, events, log_id=await self._feed.log_id()):
            parts.append(part)
            await asyncio.sleep(0)
        return Response(b"".join(parts), headers=_HEADERS | headers, media_type=media_type)


def _reply(about: str, *headers: str) -> Reply:
    return Reply(
        status=200,
        about=about,
        type=EventPage,
        types={CLOUDEVENTS: list[CloudEvent]},
        media=MEDIA_TYPES,
        headers=headers,
        example={"events": samples.EVENTS},
        examples=_EXAMPLES,
    )


async def _sent(batches: AsyncIterator[list[Event]], turn: asyncio.Lock) -> AsyncIterator[bytes]:
    yield STREAM_BEGIN
    async for events in batches:
        parts = sent(events)
        while part := await _next_part(parts, turn):
            yield part


async def _next_part(parts: Iterator[bytes], turn: asyncio.Lock) -> bytes:
    """Nothing when there is none. Of all streams, one writes a part in a turn of the event loop:
    many that read what is in memory are ready all at once, and would hold it together.
    """
    async with turn:
        part = next(parts, b"")
        await asyncio.sleep(0)
    return part


def _next(request: Request, after: int) -> str:
    kept = [(name, value) for name, value in pairs(request) if name != "after"]
    return f'</events?{urlencode([("after", after), *kept])}>; rel="next"'
