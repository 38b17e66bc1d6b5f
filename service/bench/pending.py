"""The rows `pending`, `pending-start` and `pending-memory`: a server with a long queue.

To claim a job must cost the same whether a thousand are waiting or a million: some jobs are claimed
over HTTP as a remote worker does it, a hundred a request, in turn of either queue. The memory of a
job is what the long queue takes more than the short one, for each job that it has more.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple

from eventstore import clock
from service.bench import noop
from service.bench.batch import NO_WORKER
from service.bench.ground import Ground
from service.bench.history import write_pending
from service.bench.measured import Measured
from service.bench.process import Server, serving
from service.bench.quantile import median
from service.bench.sizes import Starts, settled, started
from service.web.claim import CLAIMS_MAX

US = 1_000_000  # in a second


class _Queues(NamedTuple):
    """A long queue and a short one: their directories and their starts."""

    many: Path
    few: Path
    many_starts: Starts
    few_starts: Starts


def pending(ground: Ground) -> Measured:
    """Claims, from either queue in turn."""
    queues = ground.once("queues", _queues)
    claims = max(1, _few(ground) // CLAIMS_MAX)
    many: list[float] = []
    few: list[float] = []
    with serving(queues.many, *NO_WORKER) as long, serving(queues.few, *NO_WORKER) as short:

        def both() -> None:
            many.append(_claim(long))
            few.append(_claim(short))

        ground.step_by_step([both] * claims, "claims")
    return Measured(US * median(many), US * median(few))


def pending_start(ground: Ground) -> Measured:
    """The start with the long queue."""
    return Measured(ground.once("queues", _queues).many_starts.seconds)


def pending_memory(ground: Ground) -> Measured:
    """The memory of the long queue."""
    queues = ground.once("queues", _queues)
    more = queues.many_starts.resident_bytes - queues.few_starts.resident_bytes
    return Measured(more / (ground.plan.jobs - _few(ground)))


def _few(ground: Ground) -> int:
    """The length of the short queue: a tenth of the long one's at most."""
    return min(ground.plan.few_jobs, ground.plan.jobs // 10)


def _queues(ground: Ground) -> _Queues:
    many, few = _written(ground, ground.plan.jobs), _written(ground, _few(ground))
    return _Queues(many, few, *started(ground, "starts with a queue", many, few, flags=NO_WORKER))


def _written(ground: Ground, jobs: int) -> Path:
    root = ground.folder(f"pending-{jobs}")
    with ground.progress(2 * jobs, "pending jobs") as advance:
        asyncio.run(write_pending(root, jobs, advance))
        settled(root, *NO_WORKER)
        advance(jobs)
    return root


def _claim(server: Server) -> float:
    """Claim some jobs; return the seconds that each took."""
    wanted = {"kinds": [noop.KIND], "worker": "bench", "max": CLAIMS_MAX}
    since = clock.monotonic()
    answer = server.ask("POST", "/claims", wanted)
    return (clock.monotonic() - since) / len(answer.json["claims"])
