"""Jobs without a worker: a log, a read model, and the one who writes to job streams.

A `Desk` is one process's view of a log. `opened` makes one whose projector follows the log, or, if
it is to be `stale`, one that has only seen the log up to a position and never hears of more. Two
desks over one store are two processes. Nothing here runs jobs; `tests.support.world` does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from eventstore.event import NEW, Event, NewEvent
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from eventstore.offload import Inline
from projections.board import JobBoard
from projections.projector import Projector
from projections.table import MEMORY, JobTable
from service import backoff
from service.commands import Options
from service.jobs import Jobs
from tests.support.build import LOG_ID, NOON

CLIENT = {"actor": "client"}
OPTIONS = Options(run_at=NOON, priority=0, max_attempts=3, timeout_s=60, backoff=backoff.DEFAULT)


@dataclass(frozen=True, slots=True)
class Desk:
    """What one process has of a log."""

    log: EventLog
    projector: Projector
    jobs: Jobs

    async def write(self, stream: str, *new: NewEvent) -> list[Event]:
        """Somebody else's append, past `Jobs`."""
        events = await self.log.read_stream(stream)
        return await self.log.append(stream, events[-1].head if events else NEW, *new)

    async def types(self, stream: str) -> list[str]:
        """The types of a stream's events, in order."""
        return [event.type for event in await self.log.read_stream(stream)]


@asynccontextmanager
async def opened(
    store: MemoryStore | None = None, *, stale_at: int | None = None, seed: int = 1
) -> AsyncIterator[Desk]:
    """A desk over this store, or one of its own; `stale_at`: it has seen up to there, and sees no
    more.
    """
    log = EventLog(store or MemoryStore(log_id=LOG_ID), dice=Random(seed))
    table = JobTable(MEMORY, log_id=LOG_ID)
    projector = Projector(log, JobBoard(), table, offload=Inline())
    following: list[asyncio.Task[None]] = []
    if stale_at is None:
        await projector.catch_up()
        following.append(asyncio.create_task(projector.follow()))
    elif stale_at:
        projector.apply(await log.read(0, stale_at))
    try:
        yield Desk(log, projector, Jobs(log, projector, dice=Random(seed)))
    finally:
        for task in following:
            task.cancel()
            await asyncio.wait([task])
        table.close()
