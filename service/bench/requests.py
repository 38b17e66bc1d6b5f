"""The rows about single requests under load: `intake`, and `get`.

Floor and joblog run at the same time, each in its process, and are loaded in turn: first a warm-up
for both, then a slice for the one, a slice for the other, and again. What disturbs the machine for
a second disturbs both.
"""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import orjson

from service.bench.floor import floor
from service.bench.ground import Ground
from service.bench.load import Done, Order, latencies_ms, request
from service.bench.measured import Measured
from service.bench.plan import CONNECTIONS
from service.bench.process import Server, serving
from service.bench.quantile import quantile
from service.bench.written import size, written

EMAIL: Final = {"to": "ada@flaky.example", "subject": "Hello"}
BODY: Final = orjson.dumps(EMAIL)
JOBS = 1_000  # that are asked for in turn


def intake(ground: Ground) -> Measured:
    """Post the README's job: nobody runs it."""
    root = ground.folder("intake")
    with serving(root, "--no-worker") as server:
        answer = server.ask("POST", "/jobs/email", EMAIL)
        with floor(post_bytes=len(answer.body)) as bare:
            before = size(root)
            posts = {each: [posted(each)] for each in (server, bare)}
            ours, floors = _in_turn(ground, "intake", HTTPStatus.ACCEPTED, posts)
        more = _what_was_written(root, before, _rate(ours))
    return _compared(ours, floors, more)


def get(ground: Ground) -> Measured:
    """Ask for jobs by their id."""
    root = ground.folder("get")
    with serving(root, "--no-worker") as server:
        ids = server.ask("POST", "/jobs/email/batch", [EMAIL] * JOBS).json["ids"]
        answer = server.ask("GET", f"/jobs/{ids[0]}")
        with floor(get_bytes=len(answer.body)) as bare:
            gets = {
                each: [request(each, "GET", f"/jobs/{job_id}") for job_id in ids]
                for each in (server, bare)
            }
            ours, floors = _in_turn(ground, "get", HTTPStatus.OK, gets)
    return _compared(ours, floors, {})


def posted(server: Server) -> bytes:
    """The request of `intake`."""
    return request(server, "POST", "/jobs/email", BODY)


def _in_turn(
    ground: Ground, label: str, status: int, requests: Mapping[Server, list[bytes]]
) -> list[list[Done]]:
    """What was done of each server's requests, by slice, without the first, which warms up."""
    orders = [
        Order(
            address=server.address,
            requests=tuple(its),
            status=status,
            connections=CONNECTIONS,
            warm_s=ground.plan.warm_s / 4,
            seconds=ground.plan.slice_s,
        )
        for server, its in requests.items()
    ]
    done = ground.load(label, *orders * (ground.plan.slices + 1))
    return [done[len(orders) + place :: len(orders)] for place in range(len(orders))]


def _rate(slices: list[Done]) -> float:
    return sum(done.answers for done in slices) / sum(done.seconds for done in slices)


def _compared(ours: list[Done], floors: list[Done], more: dict[str, float]) -> Measured:
    latencies = latencies_ms(ours)
    warnings = [
        f"the load generator was the limit of {whose}: the true rate is higher"
        for whose, slices in (("joblog", ours), ("the floor", floors))
        if any(done.was_limit for done in slices)
    ]
    found = {"p50_ms": quantile(latencies, 0.5), "p99_ms": quantile(latencies, 0.99)}
    return Measured(_rate(ours), _rate(floors), found | more, tuple(warnings))


def _what_was_written(root: Path, before: int, rate: float) -> dict[str, float]:
    """Of a log in which every event is one job's creation."""
    log = written(root, before)
    created = len(log.lines)
    return {
        "commits_per_s": rate * log.commits / created,
        "bytes_per_job": log.bytes / created,
    }
