"""`/livez` and `/readyz`: is the process there, and can it do its work?

A supervisor restarts what is not alive, and sends no traffic to what is not ready. Confusing the
two makes a full disk a restart loop; so `/livez` asks nothing at all, and `/readyz` asks everything
and names what fails. What the checks are is told by whoever put the service together.
"""

from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.web import problems
from service.web.problems import ProblemError

_NO_STORE: Final = {"Cache-Control": "no-store"}


class Health(Protocol):
    """Knows whether the parts of the service do their work."""

    def checks(self) -> dict[str, str | None]:
        """Each check by name: None when all is well, else what is not."""
        ...


class HealthResource:
    """The two questions."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def routes(self) -> list[Route]:
        """What is served."""
        return [Route("/livez", self.alive), Route("/readyz", self.ready)]

    async def alive(self, _: Request) -> Response:
        """We are: this answer is all there is to say."""
        return _json({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """Whether every check is well. Raises ProblemError (503) naming those that are not."""
        found = self._health.checks()
        failing = [f"{name}: {trouble}" for name, trouble in found.items() if trouble is not None]
        checks = {name: trouble or "ok" for name, trouble in found.items()}
        if failing:
            detail = "; ".join(failing)
            more = {"checks": checks}
            raise ProblemError(problems.NOT_READY, detail, headers=_NO_STORE, more=more)
        return _json({"status": "ready", "checks": checks})


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), headers=_NO_STORE, media_type="application/json")
