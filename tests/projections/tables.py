"""The few verbs in which tests speak of a table of jobs: open, flush, look at what is on disk; and
of a projector that follows.

A table is closed at the end of its block, so that a file is never held by a test that is over.
Nothing here checks anything.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

from projections.job import Job
from projections.projector import Projector
from projections.table import JobTable
from tests.support.build import LOG_ID


@contextmanager
def opened(path: Path | str, log_id: str = LOG_ID) -> Iterator[JobTable]:
    """The table in this file, of the log that tests have."""
    with closing(JobTable(str(path), log_id=log_id)) as table:
        yield table


def put(table: JobTable, *jobs: Job) -> None:
    """Let it take in these states, in this order."""
    for job in jobs:
        table.put(job)


def flush(table: JobTable, checkpoint: int, *jobs: Job) -> None:
    """Let it take in these states and write all that it has."""
    put(table, *jobs)
    table.begin_flush()
    table.flush(checkpoint)
    table.end_flush(checkpoint)


def ids(jobs: Iterable[Job]) -> list[str]:
    """Which jobs these are."""
    return [job.id for job in jobs]


def on_disk(path: Path) -> tuple[list[str], int]:
    """What anybody else sees in the file: the jobs in it, and the position that they reach."""
    with opened(path) as table:
        return sorted(ids(table.jobs())), table.checkpoint


@asynccontextmanager
async def following(projector: Projector) -> AsyncIterator[asyncio.Task[None]]:
    """It follows its log, until the block ends."""
    task = asyncio.create_task(projector.follow())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
