"""`/kinds`: the kinds of jobs there are, and the rules of their queues.

    GET  /kinds                  all of them, with what holds for each
    POST /kinds/{kind}/pause     no more claims; what runs goes on
    POST /kinds/{kind}/resume    claims again
    PUT  /kinds/{kind}/limits    how many at a time, how many in a time

Every change is an event with its actor on the kind's own stream, `kind-<kind>`, and survives a
restart; to say again what holds changes nothing. How limits are kept is `projections.board`'s.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from projections.events import Rate
from projections.kind import Kind, Pause
from service.access import Scope
from service.kinds import Kinds
from service.processors import Processor, Registry
from service.web import problems
from service.web.body import BODY_PROBLEMS, json_body, json_body_or
from service.web.gate import meta
from service.web.job import WRITE_PROBLEMS, Command
from service.web.jobs import processor_of
from service.web.operation import JSON, Body, NoQuery, Operation, Reply
from service.web.query import read_query

CONCURRENCY_MAX = 10_000
RATE_COUNT_MAX = 1_000_000
RATE_S_MAX = 30 * 86_400


class RateDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `count` starts in any `per_s` seconds, evenly spread."""

    count: Annotated[int, Meta(ge=1, le=RATE_COUNT_MAX)]
    per_s: Annotated[float, Meta(gt=0, le=RATE_S_MAX)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attempts at the same time, and starts in a time; null: no limit. Both are set at once."""

    concurrency: Annotated[int, Meta(ge=1, le=CONCURRENCY_MAX)] | None
    rate: RateDocument | None


class KindDocument(msgspec.Struct, frozen=True):
    """A kind: whether it is paused and its limits, and the defaults of its jobs. A `remote` one is
    run by remote workers only.
    """

    kind: str
    paused: Pause | None
    limits: Limits
    max_attempts: int
    timeout_s: float
    remote: bool


class KindPage(msgspec.Struct, frozen=True):
    """All kinds, by name."""

    kinds: list[KindDocument]


_EXAMPLE = KindDocument("email", None, Limits(10, RateDocument(100, 60)), 3, 60, remote=False)


class KindsResource:
    """Kinds over HTTP."""

    def __init__(self, kinds: Kinds, registry: Registry) -> None:
        self._kinds = kinds
        self._registry = registry

    def operations(self) -> list[Operation]:
        """What is served."""
        return [
            Operation(
                name="listKinds",
                method="GET",
                path="/kinds",
                endpoint=self.page,
                summary="List the kinds of jobs.",
                scope=Scope.READ,
                replies=(
                    Reply(
                        status=200,
                        about="All kinds, by name.",
                        type=KindPage,
                        example=KindPage([_EXAMPLE]),
                    ),
                ),
                problems=(problems.INVALID,),
            ),
            self._change(
                "POST", "pause", self.pause, Command, "Start no more jobs of a kind.",
                {"reason": "the provider is down"},
            ),
            self._change(
                "POST", "resume", self.resume, Command, "Start jobs of a kind again.",
                {"reason": "the provider is back"},
            ),
            self._change(
                "PUT", "limits", self.limit, Limits, "Limit how many jobs of a kind start.",
                {"concurrency": 10, "rate": {"count": 100, "per_s": 60}},
            ),
        ]  # fmt: skip

    def _change(
        self,
        method: str,
        name: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        body: Any,
        summary: str,
        example: Any,
    ) -> Operation:
        return Operation(
            name=f"{name}Kind",
            method=method,
            path=f"/kinds/{{kind}}/{name}",
            endpoint=endpoint,
            summary=summary,
            scope=Scope.ADMIN,
            body=Body(type=body, required=method == "PUT", example=example),
            replies=(
                Reply(status=200, about="So it is now.", type=KindDocument, example=_EXAMPLE),
            ),
            problems=(*BODY_PROBLEMS, problems.NOT_FOUND, *WRITE_PROBLEMS),
        )

    async def page(self, request: Request) -> Response:
        """All kinds."""
        read_query(request, NoQuery)
        kinds = [self._registry.get(name) for name in self._registry.kinds()]
        page = KindPage([_document(self._kinds.get(each.kind), each) for each in kinds if each])
        return Response(msgspec.json.encode(page), media_type=JSON)

    async def pause(self, request: Request) -> Response:
        """Pause a kind."""
        processor = self._processor(request)
        said = await json_body_or(request, Command, Command())
        kind = await self._kinds.pause(processor.kind, meta=meta(request), reason=said.reason)
        return _answer(kind, processor)

    async def resume(self, request: Request) -> Response:
        """Resume a kind."""
        processor = self._processor(request)
        said = await json_body_or(request, Command, Command())
        kind = await self._kinds.resume(processor.kind, meta=meta(request), reason=said.reason)
        return _answer(kind, processor)

    async def limit(self, request: Request) -> Response:
        """Set a kind's limits."""
        processor = self._processor(request)
        limits: Limits = await json_body(request, Limits)
        asked = limits.rate
        rate = None if asked is None else Rate(count=asked.count, per_s=asked.per_s)
        kind = await self._kinds.limit(
            processor.kind, concurrency=limits.concurrency, rate=rate, meta=meta(request)
        )
        return _answer(kind, processor)

    def _processor(self, request: Request) -> Processor:
        read_query(request, NoQuery)
        return processor_of(request, self._registry)


def _answer(kind: Kind, processor: Processor) -> Response:
    return Response(msgspec.json.encode(_document(kind, processor)), media_type=JSON)


def _document(kind: Kind, processor: Processor) -> KindDocument:
    rate = None if kind.rate is None else RateDocument(kind.rate["count"], kind.rate["per_s"])
    return KindDocument(
        kind=processor.kind,
        paused=kind.pause,
        limits=Limits(kind.concurrency, rate),
        max_attempts=processor.max_attempts,
        timeout_s=processor.timeout_s,
        remote=processor.handler is None,
    )
