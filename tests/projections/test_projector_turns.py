"""What a projector leaves for others while it takes in much at once: turns of the event loop.

What it makes of events is `test_projector`'s matter.
"""

import asyncio
from random import Random

from eventstore.event import NEW
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from eventstore.offload import Inline
from projections.board import JobBoard
from projections.projector import Projector
from projections.table import MEMORY
from tests.projections.tables import following, opened
from tests.support.build import LOG_ID, job_created


async def test_of_many_events_at_once_a_few_are_taken_in_in_a_turn(monkeypatch):
    monkeypatch.setattr("eventstore.pace.SLICE_S", 0)
    monkeypatch.setattr("projections.projector.APPLIED_EVENTS", 10)
    log, seen = EventLog(MemoryStore(log_id=LOG_ID), dice=Random(1)), []
    for n in range(34):
        await log.append(f"j{n}", NEW, job_created())
    with opened(MEMORY) as table:
        projector = Projector(log, JobBoard(), table, offload=Inline())
        async with following(projector):
            while projector.position < 34:
                seen.append(projector.position)
                await asyncio.sleep(0)
    assert sorted(set(seen)) == [0, 10, 20, 30]
