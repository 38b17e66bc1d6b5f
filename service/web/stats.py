"""`/stats`: how many jobs there are, what waits, how fast it goes, and how far the log was read.

Numbers for people and scripts, at this moment. Counts are of all jobs; latencies of the last
thousand attempts of this process, null before the first. Nothing here says whether that is good.
"""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from eventstore import clock
from eventstore.log import EventLog
from eventstore.timestamp import seconds_between
from projections.job import Status
from projections.projector import Projector
from projections.stats import Latency
from service.access import Scope
from service.jobs import Jobs
from service.web import problems
from service.web.operation import JSON, Operation, Reply
from service.web.query import MinPosition, read_query
from service.web.reach import reach
from service.web.waits import Waits

Count = Annotated[int, Meta(ge=0)]


class StatsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """With `min_position` the answer waits until the log was read so far."""

    min_position: MinPosition = 0


class StatsDocument(msgspec.Struct, frozen=True):
    """How many jobs there are, and how they fare."""

    by_status: dict[Status, Count]
    by_kind: dict[str, dict[Status, Count]]
    due: Annotated[int, Meta(ge=0, description="How many pending jobs' time has come.")]
    oldest_due_s: Annotated[
        float | None, Meta(description="How long the one has been due that is so the longest.")
    ]
    wait_s: Annotated[
        Latency | None, Meta(description="From being due to the start of an attempt.")
    ]
    run_s: Annotated[Latency | None, Meta(description="From an attempt's start to its end.")]
    log_position: Annotated[int, Meta(ge=1, description="Where the log ends.")]
    position: Annotated[int, Meta(ge=0, description="How far it was read: all else is as of then.")]


_EXAMPLE = StatsDocument(
    by_status={Status.PENDING: 3, Status.PROCESSING: 1, Status.COMPLETED: 1204, Status.FAILED: 2},
    by_kind={
        "email": {Status.PENDING: 3, Status.COMPLETED: 1204, Status.FAILED: 2},
        "report": {Status.PROCESSING: 1},
    },
    due=1,
    oldest_due_s=0.004211,
    wait_s=Latency(samples=1000, p50=0.002814, p95=0.006120, p99=0.018877),
    run_s=Latency(samples=1000, p50=0.061204, p95=0.120318, p99=0.480022),
    log_position=3634,
    position=3634,
)


class StatsResource:
    """The numbers."""

    def __init__(self, jobs: Jobs, projector: Projector, log: EventLog, waits: Waits) -> None:
        self._jobs = jobs
        self._waits = waits
        self._projector = projector
        self._log = log

    def operations(self) -> list[Operation]:
        """What is served."""
        return [
            Operation(
                name="getStats",
                method="GET",
                path="/stats",
                endpoint=self.show,
                summary="Count jobs, and see how fast they go.",
                scope=Scope.READ,
                query=StatsQuery,
                replies=(
                    Reply(status=200, about="The numbers.", type=StatsDocument, example=_EXAMPLE),
                ),
                problems=(problems.INVALID, problems.NOT_REACHED, problems.TOO_MANY_WAITING),
            ),
        ]

    async def show(self, request: Request) -> Response:
        """All numbers."""
        query = read_query(request, StatsQuery)
        await reach(self._jobs, self._waits, query.min_position)
        now = clock.now()
        due, oldest = await self._projector.due(now)
        stats = self._projector.stats
        found = StatsDocument(
            by_status=stats.by_status(),
            by_kind=stats.by_kind(),
            due=due,
            oldest_due_s=None if oldest is None else seconds_between(oldest, now),
            wait_s=stats.waits(),
            run_s=stats.runs(),
            log_position=await self._log.head(),
            position=self._projector.position,
        )
        body = msgspec.json.encode(found)
        return Response(body, headers={"Cache-Control": "no-store"}, media_type=JSON)
