"""The HTTP API put together: every resource's routes, behind the gate that holds for all of them.

A path that is there answers another method with 405 and all its methods in `Allow`; every other
path is 404, with a trailing slash too: a redirect would be a second name for the same thing.

Nothing here listens on a socket; `service.server` does.
"""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from eventstore.log import EventLog
from eventstore.offload import Offload
from projections.projector import Projector
from service.admission import Admission
from service.due import DueWork
from service.feed import Feed
from service.jobs import Jobs
from service.kinds import Kinds
from service.processors import Registry
from service.web.access import Access
from service.web.actions import ActionsResource
from service.web.batch import BatchResource
from service.web.body import Bodies
from service.web.claims import ClaimsResource
from service.web.contract import ContractResource
from service.web.events import EventsResource
from service.web.gate import Gate
from service.web.health import Health, HealthResource
from service.web.job import JobResource
from service.web.jobs import JobsResource
from service.web.kinds import KindsResource
from service.web.operation import Endpoint, Operation
from service.web.stats import StatsResource
from service.web.waits import Waits

REMEMBERED_MAX = 1_000  # requests' methods and paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the API stands on: everything that its resources ask."""

    log: EventLog
    projector: Projector
    jobs: Jobs
    kinds: Kinds
    registry: Registry
    admission: Admission
    due: DueWork
    health: Health
    waits: Waits
    offload: Offload  # takes what is long to read
    lease_s: float  # of remote workers' claims


def operations_of(parts: Parts) -> list[Operation]:
    """Every call there is: those of the resources, and the contract that describes them all."""
    resources = (
        JobsResource(parts.jobs, parts.registry, parts.admission, parts.waits),
        BatchResource(parts.jobs, parts.registry, parts.admission, offload=parts.offload),
        JobResource(parts.jobs, parts.waits),
        EventsResource(parts.jobs, Feed(parts.log, parts.projector, parts.jobs.holds), parts.waits),
        ActionsResource(parts.jobs),
        ClaimsResource(
            parts.jobs,
            parts.kinds,
            parts.registry,
            parts.due,
            parts.waits,
            lease_s=parts.lease_s,
        ),
        KindsResource(parts.kinds, parts.registry),
        StatsResource(parts.jobs, parts.projector, parts.log, parts.waits),
        HealthResource(parts.health),
    )
    calls = [each for resource in resources for each in resource.operations()]
    return [*calls, *ContractResource(calls, parts.registry).operations()]


class _Found(NamedTuple):
    """Where a request goes."""

    endpoint: Endpoint
    path_params: dict[str, Any]


class Application:
    """The API as an ASGI application: the routes are Starlette's, what is behind them is called
    here. `bodies` is the room for the bodies of all requests.

    Starlette's router asks one route after the other. Most requests are for a few paths, so what
    was found for those is remembered.
    """

    def __init__(
        self, routes: Sequence[Route], bodies: Bodies, *, hosts: Iterable[str], dice: Random
    ) -> None:
        self.routes = routes
        self.bodies = bodies
        self._gate = Gate(self._answer, hosts=hosts, dice=dice)
        self._remembered: dict[tuple[str, str], _Found] = {}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """See ASGI."""
        scope["app"] = self
        return self._gate(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["method"], scope["path"]
        found = self._remembered.get(asked) or self._remember(asked, self._find(scope))
        scope["path_params"] = found.path_params
        response = await found.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> _Found:
        """Raises HTTPException: 404, or 405 with all methods that the path has."""
        methods: set[str] = set()
        for route in self.routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                return _Found(route.endpoint, child["path_params"])
            if match is Match.PARTIAL:
                methods |= route.methods or set()
        if methods:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
        raise HTTPException(404)

    def _remember(self, asked: tuple[str, str], found: _Found) -> _Found:
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[asked] = found
        return found


def build_app(
    parts: Parts, *, access: Access, allowed_hosts: Iterable[str], dice: Random
) -> Application:
    """The application. `allowed_hosts` are names it answers to beside this machine's own.

    `access` guards every operation. `dice` draw the ids of requests that bring none.
    """
    routes = [
        Route(each.path, access.guarding(each), methods=[each.method], name=each.name)
        for each in operations_of(parts)
    ]
    return Application(routes, Bodies(offload=parts.offload), hosts=allowed_hosts, dice=dice)
