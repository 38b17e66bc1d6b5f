"""The rows `latency` and `pickup`: how long somebody waits when there is room.

`latency` is of a `POST` at half the rate that `intake` found: one sync and one request cannot be
avoided, and what comes on top is the wait for others. `pickup` is how much later than it was due a
delayed job starts on a server that has nothing else to do, by the times in its log.
"""

from collections.abc import Iterable
from http import HTTPStatus

from eventstore.event import Json
from eventstore.timestamp import seconds_between
from service.bench import noop
from service.bench.floor import floor
from service.bench.ground import Ground
from service.bench.load import Order, latencies_ms
from service.bench.measured import Measured
from service.bench.plan import CONNECTIONS
from service.bench.process import serving
from service.bench.quantile import median, quantile
from service.bench.requests import EMAIL, posted
from service.bench.written import written

LOAD = 0.5  # of intake's rate
DELAY_S_MIN, DELAY_S_MAX = 0.05, 0.5


def latency(ground: Ground) -> Measured:
    """See the module."""
    plan, rate = ground.plan, LOAD * ground.row("intake").value
    syncs_s = ground.syncs_s()
    with serving(ground.folder("latency"), "--no-worker") as server:
        answer = server.ask("POST", "/jobs/email", EMAIL)
        with floor(post_bytes=len(answer.body)) as bare:
            alone = Order(
                address=bare.address,
                requests=(posted(bare),),
                status=HTTPStatus.ACCEPTED,
                connections=1,
                warm_s=plan.warm_s,
                seconds=plan.slice_s,
            )
            open_loop = Order(
                address=server.address,
                requests=(posted(server),),
                status=HTTPStatus.ACCEPTED,
                connections=CONNECTIONS,
                warm_s=plan.warm_s,
                seconds=plan.latency_s,
                rate=rate,
            )
            ones, done = ground.load("latency", alone, open_loop)
    found, request_ms = latencies_ms([done]), median(latencies_ms([ones]))
    sync_ms = 1000 * median(syncs_s + ground.syncs_s())  # before and after: neighbours come and go
    more = {
        "p50_ms": median(found),
        "sync_ms": sync_ms,
        "request_ms": request_ms,
        "requests_per_s": done.rate,
    }
    return Measured(quantile(found, 0.99), sync_ms + request_ms, more)


def pickup(ground: Ground) -> Measured:
    """See the module. Those with the longest delay are posted first, so that all are there before
    the first is due.
    """
    root, jobs = ground.folder("pickup"), ground.plan.delayed_jobs
    step_s = (DELAY_S_MAX - DELAY_S_MIN) / jobs
    with serving(root, "--processors", noop.__name__) as server:
        ids = []
        for n in range(jobs):
            path = f"/jobs/{noop.KIND}?delay={DELAY_S_MAX - n * step_s:.3f}"
            ids.append(server.ask("POST", path, {"n": n}).json["id"])
        for job_id in ids:
            server.ask("GET", f"/jobs/{job_id}", Prefer="wait=60")
    found = late_ms(written(root).events())
    return Measured(quantile(found, 0.99), None, {"p50_ms": median(found)})


def late_ms(events: Iterable[Json]) -> list[float]:
    """Of each attempt: how much later than its job was due it started."""
    due: dict[str, str] = {}
    late: list[float] = []
    for event in events:
        if event["type"] == "JobCreated":
            due[event["stream"]] = event["data"]["run_at"]
        elif event["type"] == "AttemptStarted":
            late.append(1000 * seconds_between(due[event["stream"]], event["time"]))
    return late
