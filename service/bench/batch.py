"""The row `batch`: ten thousand jobs a request, one request after the other, nobody runs them.

The floor writes the very events that these requests left in the log, in the same commits.
"""

from eventstore import clock
from service.bench import noop
from service.bench.commits import as_committed, write_bare
from service.bench.ground import Ground
from service.bench.measured import Measured
from service.bench.process import Server, serving
from service.bench.quantile import median
from service.bench.written import size, written

NO_WORKER = ("--no-worker", "--processors", noop.__name__)


def batch(ground: Ground) -> Measured:
    """See the module."""
    plan, root = ground.plan, ground.folder("batch")
    took: list[float] = []
    with serving(root, *NO_WORKER) as server:
        post_batch(server, plan.batch_items)  # warms up
        before = size(root)
        ground.step_by_step(
            [lambda: took.append(post_batch(server, plan.batch_items))] * plan.batches, "batch"
        )
        log = written(root, before)
    jobs = len(log.lines)
    rate = jobs / sum(took)
    more = {"commits_per_s": rate * log.commits / jobs, "bytes_per_job": log.bytes / jobs}
    commits = as_committed(log.events())
    bare = [write_bare(root, commits) for _ in range(plan.repeats)]
    return Measured(rate, jobs / median(bare), more)


def post_batch(server: Server, items: int) -> float:
    """Make so many no-op jobs; return the seconds it took."""
    body = [{"n": n} for n in range(items)]
    since = clock.monotonic()
    server.ask("POST", f"/jobs/{noop.KIND}/batch", body)
    return clock.monotonic() - since
