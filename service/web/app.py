"""The HTTP API put together: every resource's routes, inside the layers that hold for all of them.

A path that is there answers another method with 405 and all its methods in `Allow`; every other
path is 404, with a trailing slash too: a redirect would be a second name for the same thing.

Nothing here listens on a socket; `service.server` does.
"""

from collections.abc import Iterable
from random import Random

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from service.admission import Admission
from service.jobs import Jobs
from service.processors import Registry
from service.web.health import Health, HealthResource
from service.web.job import JobResource
from service.web.jobs import JobsResource
from service.web.middleware import Callers, Hosts, Problems, RequestIds
from service.web.problems import answer, problem_of


def build_app(
    jobs: Jobs,
    registry: Registry,
    admission: Admission,
    health: Health,
    *,
    actor: str,
    allowed_hosts: Iterable[str],
    dice: Random,
) -> Starlette:
    """The application. `allowed_hosts` are names it answers to beside this machine's own.

    `dice` draw the ids of requests that bring none.
    """
    resources = JobsResource(jobs, registry, admission), JobResource(jobs), HealthResource(health)
    app = Starlette(
        routes=[route for resource in resources for route in resource.routes()],
        middleware=[
            Middleware(RequestIds, dice=dice),
            Middleware(Problems),
            Middleware(Hosts, allowed=tuple(allowed_hosts)),
            Middleware(Callers, actor=actor),
        ],
        exception_handlers={HTTPException: _no_route},
    )
    app.router.redirect_slashes = False
    return app


async def _no_route(request: Request, error: Exception) -> Response:
    """What the router raises. Starlette's own `Allow` names the methods of one route only."""
    problem = problem_of(error)
    assert problem is not None
    if "Allow" in problem.headers:
        problem.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer(problem, request.scope)


def _methods(request: Request) -> set[str]:
    """Every method that the path of a request has."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found
