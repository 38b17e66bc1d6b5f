"""The row `replay`: the log of the drain, folded into a read model that is not there yet.

It is what a server does whose `jobs.sqlite` was deleted, by the same projector, to the same kind of
file. The floor reads the same log and parses each line into plain objects.
"""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import orjson

from eventstore import clock
from eventstore.log import EventLog
from eventstore.offload import Thread
from eventstore.open import open_store
from projections.board import JobBoard
from projections.projector import Projector
from projections.table import JobTable
from service.bench.drain import drained
from service.bench.ground import Ground
from service.bench.measured import Measured
from service.bench.quantile import median
from service.bench.written import segments, written

SUFFIXES = ("", "-wal", "-shm")


def replay(ground: Ground) -> Measured:
    """See the module."""
    root = drained(ground)
    events = len(written(root).lines)
    with ground.progress(1, "replay") as advance:
        took = asyncio.run(_replayed(root))
        advance(1)
    floors = [parse(root) for _ in range(ground.plan.repeats)]
    return Measured(events / took, events / median(floors))


def parse(root: Path) -> float:
    """Read a log and parse each line; return the seconds it took."""
    since = clock.monotonic()
    for path in segments(root):
        for line in path.read_bytes().splitlines():
            orjson.loads(line)
    return clock.monotonic() - since


async def _replayed(root: Path) -> float:
    dice = Random(0)  # noqa: S311  nothing is drawn for keeps
    log = EventLog(await open_store(f"file:{root}", dice=dice), dice=dice)
    try:
        [opened] = await log.read(0, 1)
        with _fresh_table(root / "replayed.sqlite", opened.data["log_id"]) as table:
            offload = Thread("table")
            with closing(offload):
                projector = Projector(log, JobBoard(), table, offload=offload)
                since = clock.monotonic()
                await projector.catch_up()
                await projector.flush()
                return clock.monotonic() - since
    finally:
        await log.aclose()


@contextmanager
def _fresh_table(path: Path, log_id: str) -> Iterator[JobTable]:
    try:
        with closing(JobTable(str(path), log_id=log_id)) as table:
            yield table
    finally:
        for suffix in SUFFIXES:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
