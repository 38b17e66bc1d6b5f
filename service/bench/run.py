"""A run: the wanted rows, in the order of the table, in a directory that is gone afterwards.

The directory is made where the data of a server would be: what a sync costs there is what it would
cost the server. A row that cannot be measured ends the run; one that misses its target does not.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from eventstore import clock
from service.bench.batch import batch
from service.bench.blocked import loop
from service.bench.delays import latency, pickup
from service.bench.drain import drain
from service.bench.ground import Ground, Measure, Progress
from service.bench.lists import lists
from service.bench.machine import IN_MEMORY, filesystem, machine
from service.bench.pending import pending, pending_memory, pending_start
from service.bench.plan import Plan
from service.bench.replay import replay
from service.bench.report import Report
from service.bench.requests import get, intake
from service.bench.sizes import memory, start
from service.bench.table import ROWS

MEASURES: Final[dict[str, Measure]] = {
    "intake": intake,
    "batch": batch,
    "drain": drain,
    "replay": replay,
    "get": get,
    "latency": latency,
    "pickup": pickup,
    "memory": memory,
    "start": start,
    "pending": pending,
    "pending-start": pending_start,
    "pending-memory": pending_memory,
    "lists": lists,
    "loop": loop,
}


def measure(names: Sequence[str], plan: Plan, beside: Path, progress: Progress) -> Report:
    """Measure rows by name, all if none is named, in a new directory in `beside`.

    Raises MeasurementError, StoreError or OSError.
    """
    since = clock.monotonic()
    with TemporaryDirectory(prefix=".joblog-bench-", dir=beside) as folder:
        root = Path(folder)
        ground = Ground(root, plan, MEASURES, progress)
        ran_on = machine(root, ground.syncs_s())
        wanted = [name for name in ROWS if not names or name in names]
        measured = {name: ground.row(name) for name in wanted}
        warnings = _warnings(filesystem(root))
    return Report(ran_on, plan.jobs, clock.monotonic() - since, measured, warnings)


def _warnings(kind: str) -> list[str]:
    if kind in IN_MEMORY:
        return [f"the data was on a {kind}, where a sync does nothing: give --data DIR on a disk"]
    return []
