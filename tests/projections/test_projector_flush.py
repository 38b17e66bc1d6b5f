"""Flushes that are slow, fail, or are asked for by somebody who goes away.

A flush is the one thing of the read side that leaves the event loop, so it is where the world can
interfere. Whatever happens to one, the rows stay readable and the next flush writes them; what a
table does with a failing statement is in `test_table`.
"""

import asyncio
import sqlite3
from random import Random

import pytest

from eventstore.event import NEW
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from projections.board import JobBoard
from projections.projector import Projector
from projections.table import Filter
from tests.projections.tables import ids, on_disk, opened
from tests.support.build import LOG_ID, job_created


class Slow:
    """Blocking calls that take ten seconds; `failures` are raised first, one a call."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.calls = 0

    async def run(self, call):
        self.calls += 1
        await asyncio.sleep(10)
        if self.failures:
            raise self.failures.pop(0)
        return call()

    def close(self):
        """Nothing is put off."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.sqlite"


def parts(path, *failures):
    log = EventLog(MemoryStore(log_id=LOG_ID), dice=Random(1))
    offload = Slow(*failures)
    table = opened(path)
    return log, table, offload


def projector_over(log, table, offload):
    return Projector(log, JobBoard(), table, offload=offload)


async def create(log, projector, *names):
    for name in names:
        await log.append(name, NEW, job_created())
    await projector.catch_up()


async def test_a_flush_of_what_is_on_disk_already_does_nothing(path):
    log, opening, offload = parts(path)
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a")
        await projector.flush()
        await projector.flush()
        assert (offload.calls, on_disk(path)) == (1, (["a"], 2))


async def test_what_comes_during_a_flush_is_left_for_the_next(path):
    log, opening, offload = parts(path)
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a")
        flushing = asyncio.create_task(projector.flush())
        await asyncio.sleep(5)
        await create(log, projector, "b")
        assert ids(filter(None, map(projector.get, "ab"))) == ["a", "b"]
        await flushing
        assert on_disk(path) == (["a"], 2)
        await projector.flush()
        assert on_disk(path) == (["a", "b"], 3)


async def test_two_who_flush_at_once_take_turns(path):
    log, opening, offload = parts(path)
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a")
        first = asyncio.create_task(projector.flush())
        await asyncio.sleep(5)
        await create(log, projector, "b")
        await asyncio.gather(first, projector.flush(), projector.flush())
        assert (offload.calls, on_disk(path)) == (2, (["a", "b"], 3))


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk is full"), OSError(28, "full")])
async def test_a_flush_that_fails_is_a_warning_and_is_made_good_by_the_next(path, error, caplog):
    log, opening, offload = parts(path, error)
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a")
        await projector.flush()
        assert "jobs.sqlite could not be written" in caplog.text
        assert (projector.get("a").id, on_disk(path)) == ("a", ([], 0))
        await create(log, projector, "b")
        await projector.flush()
        assert on_disk(path) == (["a", "b"], 3)


@pytest.mark.parametrize("after_s", [0, 5, 9.999999], ids=["at once", "half-way", "at the end"])
async def test_who_asks_for_a_page_and_goes_away_does_not_spoil_the_flush(path, after_s):
    log, opening, offload = parts(path)
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a")
        reader = asyncio.create_task(projector.page(Filter(), before=None, limit=9))
        await asyncio.sleep(after_s)
        reader.cancel()
        await asyncio.sleep(0)
        assert reader.cancelled()
        await create(log, projector, "b")
        await projector.flush()
        assert on_disk(path) == (["a", "b"], 3)
        assert ids(await projector.page(Filter(), before=None, limit=9)) == ["b", "a"]
