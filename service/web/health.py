"""`/livez` and `/readyz`: is the process there, and can it do its work?

A supervisor restarts what is not alive, and sends no traffic to what is not ready. Confusing the
two makes a full disk a restart loop; so `/livez` asks nothing at all, and `/readyz` asks everything
and names what fails. What the checks are is told by whoever put the service together.
"""

from typing import Final, Literal, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.web import problems
from service.web.operation import Operation, Reply
from service.web.problems import ProblemError

_NO_STORE: Final = {"Cache-Control": "no-store"}


class Health(Protocol):
    """Knows whether the parts of the service do their work."""

    def checks(self) -> dict[str, str | None]:
        """Each check by name: None when all is well, else what is not."""
        ...


class Alive(msgspec.Struct, frozen=True):
    """There is nothing more to say."""

    status: Literal["alive"] = "alive"


class Ready(msgspec.Struct, frozen=True):
    """Every check by name, and that it is `ok`."""

    checks: dict[str, str]
    status: Literal["ready"] = "ready"


class HealthResource:
    """The two questions."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def operations(self) -> list[Operation]:
        """What is served."""
        return [
            Operation(
                name="isAlive",
                method="GET",
                path="/livez",
                endpoint=self.alive,
                summary="Ask whether the process is there.",
                scope=None,
                about="Restart it when this does not answer. It asks nothing of anybody else.",
                replies=(Reply(status=200, about="It is.", type=Alive, example=Alive()),),
            ),
            Operation(
                name="isReady",
                method="GET",
                path="/readyz",
                endpoint=self.ready,
                summary="Ask whether the service can do its work.",
                scope=None,
                about=(
                    "Whether the log can be written and due work is begun. Send it no traffic while"
                    " it is not ready; restarting would not help a full disk."
                ),
                replies=(
                    Reply(
                        status=200,
                        about="It can.",
                        type=Ready,
                        example=Ready({"log": "ok", "worker": "ok"}),
                    ),
                ),
                problems=(problems.NOT_READY,),
            ),
        ]

    async def alive(self, _: Request) -> Response:
        """We are: this answer is all there is to say."""
        return _json(Alive())

    async def ready(self, _: Request) -> Response:
        """Whether every check is well. Raises ProblemError (503) naming those that are not."""
        found = self._health.checks()
        failing = [f"{name}: {trouble}" for name, trouble in found.items() if trouble is not None]
        checks = {name: trouble or "ok" for name, trouble in found.items()}
        if failing:
            detail = "; ".join(failing)
            more = {"checks": checks}
            raise ProblemError(problems.NOT_READY, detail, headers=_NO_STORE, more=more)
        return _json(Ready(checks))


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), headers=_NO_STORE, media_type="application/json")
