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
from eventstore.leisure import Leisure
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from projections.board import JobBoard
from projections.projector import NotFlushedError, Projector
from projections.table import Filter
from tests.projections.tables import following, ids, on_disk, opened
from tests.support.build import LOG_ID, at, job_cancelled, job_created


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


@pytest.mark.parametrize(
    "ask",
    [
        lambda projector: projector.page(Filter(), before=None, limit=9),
        lambda projector: projector.count(Filter()),
        lambda projector: projector.due(at(99)),
    ],
    ids=["page", "count", "due"],
)
async def test_nobody_is_given_a_list_that_lacks_what_could_not_be_written(path, ask):
    log, opening, offload = parts(path)
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a")
        await projector.flush()
        await ask(projector)  # nothing is left to be written
        await create(log, projector, "b")
        offload.failures.append(OSError(28, "full"))
        with pytest.raises(NotFlushedError, match="up to position 2 only, not yet to 3"):
            await ask(projector)
        assert projector.get("b").id == "b"
        await ask(projector)


async def test_a_flush_that_fails_as_nobody_foresaw_says_so_and_does_not_spoil_the_next(path):
    log, opening, offload = parts(path, MemoryError("no room"))
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a")
        with pytest.raises(MemoryError):
            await projector.page(Filter(), before=None, limit=9)
        assert (projector.get("a").id, on_disk(path)) == ("a", ([], 0))
        await create(log, projector, "b")
        assert ids(await projector.page(Filter(), before=None, limit=9)) == ["b", "a"]
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


async def test_a_board_is_begun_with_what_catching_up_could_not_write(path):
    log, opening, offload = parts(path, OSError(28, "full"))
    await log.append("a", NEW, job_created())
    with opening as table:
        board = JobBoard()
        projector = Projector(log, board, table, offload=offload)
        await projector.catch_up()
        await projector.flush()
        assert on_disk(path) == ([], 0)
        assert ids(board.take(at(0), kinds={"email"}, limit=9)) == ["a"]


async def test_a_board_is_begun_with_what_is_newer_than_the_file(path):
    log, opening, offload = parts(path)
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a", "b", "c")
        await projector.flush()
        await log.append("b", projector.get("b").head, job_cancelled(1))
        await log.append("d", NEW, job_created())
        board = JobBoard()
        await Projector(log, board, table, offload=offload).catch_up()
        assert on_disk(path) == (["a", "b", "c"], 4)
        assert ids(board.take(at(9), kinds={"email"}, limit=9)) == ["a", "c", "d"]


def leisurely(monkeypatch):
    """Of each flush from here on: whether each of its slices rested. A slice is a row."""
    monkeypatch.setattr("projections.rows.ROWS_MAX", 1)
    flushes = []

    def begin(leisure):
        flushes.append([])
        return lambda: flushes[-1].append(not leisure._hurry.is_set())

    monkeypatch.setattr(Leisure, "begin", begin)
    return flushes


async def test_a_flush_that_nobody_waits_for_rests_between_slices(path, monkeypatch):
    log, opening, offload = parts(path)
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a", "b")
        flushes = leisurely(monkeypatch)
        async with following(projector):
            await asyncio.sleep(20)
        assert flushes == [[True, True, True]]  # two rows, and they are let go


async def test_a_flush_that_somebody_waits_for_does_not_rest(path, monkeypatch):
    log, opening, offload = parts(path)
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a", "b")
        flushes = leisurely(monkeypatch)
        await projector.page(Filter(), before=None, limit=9)
        assert flushes == [[False, False, False]]


async def test_a_flush_does_not_rest_when_too_much_is_to_be_written(path, monkeypatch):
    monkeypatch.setattr("projections.projector.BACKLOG_ROWS", 2)
    log, opening, offload = parts(path)
    with opening as table:
        projector = projector_over(log, table, offload)
        await create(log, projector, "a", "b")
        flushes = leisurely(monkeypatch)
        async with following(projector):
            await asyncio.sleep(20)
        assert flushes == [[False, False, False]]
