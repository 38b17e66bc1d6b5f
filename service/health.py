"""Whether the parts of a service do their work: what `/readyz` reports.

Each check asks one part and costs nothing. What is wrong is told in words for who must act, but not
in anybody else's: whoever reaches the port may read them. That nothing is wrong is None. Whether
the process is alive at all is nobody's check: an answer shows it.
"""

from dataclasses import dataclass

from projections.board import JobBoard
from service.admission import Admission
from service.processors import Registry
from service.worker import Worker


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """The checks of one service."""

    admission: Admission
    worker: Worker | None
    board: JobBoard
    registry: Registry

    def checks(self) -> dict[str, str | None]:
        """Ask each part how it is. A kind that an operator paused is as it should be, and one that
        is not known here could not even be resumed.
        """
        checks = {"log": self.admission.reason()}
        if self.worker is not None:
            checks["worker"] = self.worker.trouble()
        for kind in self.board.kinds():
            if self.registry.get(kind.name) is None or kind.pause is None:
                continue
            if kind.pause.cause == "config":
                checks[f"kind {kind.name}"] = (
                    f"paused since {kind.pause.at}, its settings are at fault: `joblog kinds` says"
                    " why; mend them, restart, and resume it"
                )
        return checks
