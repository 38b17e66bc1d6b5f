"""The row `drain`: jobs that do nothing are made, then a server is started on them and runs them
all.

The time is that of the log: from the first `AttemptStarted` to the last `JobCompleted`, so neither
the making of the jobs nor the server's start is in it. The floor writes what was written in that
time, a hundred jobs a commit, which is as many as the server runs at a time.
"""

from collections.abc import Sequence
from pathlib import Path

from eventstore.event import Json
from eventstore.timestamp import seconds_between
from service.bench import noop
from service.bench.batch import NO_WORKER, post_batch
from service.bench.commits import grouped, write_bare
from service.bench.ground import Ground
from service.bench.measured import Measured, MeasurementError
from service.bench.process import Server, serving
from service.bench.quantile import median
from service.bench.written import Written, size, written
from service.settings import Settings

CONCURRENCY = Settings().concurrency
EVENTS_PER_JOB = 2  # while it is drained
OPEN = ("pending", "processing")  # in this order: a job moves from the one to the other
HELD_S = 60  # that a server holds a request


def drain(ground: Ground) -> Measured:
    """See the module."""
    plan, root = ground.plan, ground.folder("drain")
    with ground.progress(2, "drain") as advance:
        with serving(root, *NO_WORKER) as server:
            _make(server, plan.drained_jobs, plan.batch_items)
        advance(1)
        before = size(root)
        with serving(root, "--processors", noop.__name__) as server:
            _await_all(server)
        advance(1)
    log = _of_jobs(written(root, before))
    events = list(log.events())
    jobs = sum(event["type"] == "JobCompleted" for event in events)
    if jobs != plan.drained_jobs:
        raise MeasurementError(f"{jobs} of {plan.drained_jobs} jobs were completed")
    took = took_s(events)
    commits = grouped(events, CONCURRENCY * EVENTS_PER_JOB)
    bare = [write_bare(root, commits) for _ in range(plan.repeats)]
    more = {"commits_per_s": log.commits / took, "bytes_per_job": log.bytes / jobs}
    return Measured(jobs / took, jobs / median(bare), more)


def _make(server: Server, jobs: int, items: int) -> None:
    for start in range(0, jobs, items):
        post_batch(server, min(items, jobs - start))


def _await_all(server: Server) -> None:
    """Return once no job is open: the server holds the request for one as long as it is."""
    while open_jobs := [job for status in OPEN for job in _first(server, status)]:
        server.ask("GET", f"/jobs/{open_jobs[0]['id']}", Prefer=f"wait={HELD_S}")


def _first(server: Server, status: str) -> list[Json]:
    """A job of this status, if there is one: the newest, which is run last."""
    jobs: list[Json] = server.ask("GET", f"/jobs?limit=1&status={status}").json["jobs"]
    return jobs


def _of_jobs(log: Written) -> Written:
    """Without the log's own events."""
    return Written([line for line in log.lines if b'"stream":"log"' not in line])


def took_s(events: Sequence[Json]) -> float:
    """Seconds from the first start of an attempt to the last completion."""
    started = next(event["time"] for event in events if event["type"] == "AttemptStarted")
    ended = max(event["time"] for event in events if event["type"] == "JobCompleted")
    return seconds_between(started, ended)


def drained(ground: Ground) -> Path:
    """The directory of a log whose jobs were all drained."""
    ground.row("drain")
    return ground.folder("drain")
