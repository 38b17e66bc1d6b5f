"""The projector: what it feeds agrees with the log, at any moment, after any restart.

It runs over the store in memory on virtual time, with tables in real files where a restart is the
point. What a fold makes of events, and what a board and a table do with jobs, is tested beside
those.
"""

import asyncio
from random import Random

import pytest

from eventstore import clock
from eventstore.errors import StoreCorrupt
from eventstore.event import NEW, NewEvent
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from eventstore.offload import Inline
from projections.board import JobBoard
from projections.job import IllegalTransitionError, Status, fold
from projections.projector import Projector
from projections.table import MEMORY, Filter
from tests.projections.tables import flush, following, ids, on_disk, opened
from tests.support.build import (
    LOG_ID,
    US,
    attempt_failed,
    attempt_started,
    job_cancelled,
    job_created,
    job_failed,
    pending_job,
    random_life,
)


def new_log():
    return EventLog(MemoryStore(log_id=LOG_ID), dice=Random(1))


def projector_over(log, table, board=None):
    board = JobBoard() if board is None else board
    return Projector(log, board, table, offload=Inline())


async def write(log, stream, *new):
    """Append where the stream ends; the position of the last event."""
    events = await log.read_stream(stream)
    recorded = await log.append(stream, events[-1].head if events else NEW, *new)
    return recorded[-1].pos


async def write_lives(log, seed, count=20):
    """Jobs with random lives, their events interleaved; the jobs' ids."""
    dice = Random(seed)
    left = {f"job-{n}": random_life(dice) for n in range(count)}
    names = sorted(left)
    while left:
        stream = dice.choice(sorted(left))
        await write(log, stream, left[stream].pop(0))
        if not left[stream]:
            del left[stream]
    return names


async def turns(number=20):
    for _ in range(number):
        await asyncio.sleep(0)


async def digest_of(log, path):
    """What a new table in this file holds once it has caught up."""
    with opened(path) as table:
        projector = projector_over(log, table)
        await projector.catch_up()
        await projector.flush()
        return table.digest()


async def test_catching_up_brings_board_and_table_to_the_end_of_the_log():
    log, board = new_log(), JobBoard()
    names = await write_lives(log, 1)
    with opened(MEMORY) as table:
        projector = projector_over(log, table, board)
        await projector.catch_up()
        assert projector.position == await log.head()
        for name in names:
            job = fold(await log.read_stream(name))
            assert projector.get(name) == table.get(name) == job
            assert board.get(name) == (job if job.is_open else None)
        assert projector.get("job-99") is None


async def test_catching_up_reads_as_many_pages_as_there_are():
    log = new_log()
    for n in range(1100):
        await write(log, f"j{n}", job_created())
    with opened(MEMORY) as table:
        projector = projector_over(log, table)
        await projector.catch_up()
        assert projector.position == 1101
        assert projector.get("j1099").created_pos == 1101


async def test_following_takes_in_events_as_they_come():
    log = new_log()
    with opened(MEMORY) as table:
        projector = projector_over(log, table)
        async with following(projector):
            for event in [job_created(), attempt_started(1), attempt_failed(2)]:
                await projector.reached(await write(log, "a", event))
                assert projector.get("a") == fold(await log.read_stream("a"))


async def test_what_is_not_about_jobs_only_moves_the_position():
    log = new_log()
    await log.begin("1.0")
    await write(log, "kind-email", NewEvent("KindAdmired", clock.now(), {}))
    await write(log, "a", job_created())
    await write(log, "kind-email", NewEvent("KindForgotten", clock.now(), {}))
    await write(log, "a", NewEvent("JobAdmired", clock.now(), {}))
    with opened(MEMORY) as table:
        projector = projector_over(log, table)
        await projector.catch_up()
        await projector.flush()
        assert ids(table.jobs()) == ["a"]
        assert (projector.position, projector.get("a").head) == (6, (2, 6))


async def test_an_event_that_cannot_follow_stops_the_projector():
    log = new_log()
    await write(log, "a", job_created(), job_cancelled(1))
    await write(log, "a", attempt_started(2))
    cannot = pytest.raises(IllegalTransitionError, match="position 4: AttemptStarted")
    with opened(MEMORY) as table, cannot:
        await projector_over(log, table).catch_up()


async def test_a_job_that_was_never_created_stops_the_projector():
    log = new_log()
    await write(log, "a", attempt_started(2))
    cannot = pytest.raises(IllegalTransitionError, match="cannot follow no job")
    with opened(MEMORY) as table, cannot:
        await projector_over(log, table).catch_up()


async def test_events_out_of_order_are_a_fault_of_ours():
    log = new_log()
    await write(log, "a", job_created())
    with opened(MEMORY) as table:
        projector = projector_over(log, table)
        await projector.catch_up()
        with pytest.raises(AssertionError):
            projector.apply(await log.read(1))


@pytest.mark.parametrize(("offset", "waits"), [(-1, False), (0, False), (1, True)])
async def test_reached_waits_for_positions_that_are_still_to_come(offset, waits):
    log = new_log()
    end = await write(log, "a", job_created())
    with opened(MEMORY) as table:
        projector = projector_over(log, table)
        await projector.catch_up()
        waiting = asyncio.create_task(projector.reached(end + offset))
        await turns()
        assert waiting.done() is not waits
        await write(log, "b", job_created())
        await projector.catch_up()
        await waiting


async def test_everyone_who_waits_is_woken_at_his_position_and_not_before():
    log = new_log()
    woken = []
    with opened(MEMORY) as table:
        projector = projector_over(log, table)

        async def wait_for(position):
            await projector.reached(position)
            woken.append(position)

        waiting = [asyncio.create_task(wait_for(position)) for position in (4, 2, 3, 2, 9)]
        gone = asyncio.create_task(wait_for(3))
        await turns()
        gone.cancel()
        for n, expected in enumerate([[], [2, 2], [2, 2, 3], [2, 2, 3, 4]], 1):
            if n > 1:
                await write(log, f"j{n}", job_created())
            projector.apply(await log.read(n - 1))
            await turns()
            assert woken == expected
        waiting[-1].cancel()


async def test_moved_returns_when_this_job_changes_and_not_another():
    log = new_log()
    await write(log, "a", job_created())
    await write(log, "b", job_created())
    with opened(MEMORY) as table:
        projector = projector_over(log, table)
        await projector.catch_up()
        watching = [asyncio.create_task(projector.moved("a")) for _ in range(3)]
        await turns()
        async with following(projector):
            await projector.reached(await write(log, "b", attempt_started(1)))
            await turns()
            assert not any(task.done() for task in watching)
            await projector.reached(await write(log, "a", attempt_started(1), attempt_failed(2)))
            await asyncio.gather(*watching)
    assert projector._watching == {}


async def test_who_stops_watching_leaves_nothing_behind():
    with opened(MEMORY) as table:
        projector = projector_over(new_log(), table)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(projector.moved("a"), 30)
    assert projector._watching == {}


async def test_listeners_hear_of_every_batch_once_it_was_taken_in():
    log, board = new_log(), JobBoard()
    heard = []
    with opened(MEMORY) as table:
        projector = projector_over(log, table, board)
        projector.listen(lambda: heard.append((projector.position, len(board))))
        async with following(projector):
            await projector.reached(await write(log, "a", job_created()))
            await projector.reached(await write(log, "a", attempt_started(1), attempt_failed(2)))
            await projector.reached(await write(log, "a", job_failed(2)))
    assert heard == [(1, 0), (2, 1), (4, 1), (5, 0)]


@pytest.mark.parametrize(
    ("seconds", "written"), [(1 - US, False), (1, True), (1 + US, True)], ids=["-1us", "0", "+1us"]
)
async def test_rows_are_on_disk_a_second_after_they_changed(tmp_path, seconds, written):
    log, path = new_log(), tmp_path / "jobs.sqlite"
    with opened(path) as table:
        projector = projector_over(log, table)
        await projector.catch_up()
        await projector.flush()
        async with following(projector):
            await asyncio.sleep(100)
            await projector.reached(await write(log, "a", job_created()))
            await asyncio.sleep(seconds)
            await turns()
            assert on_disk(path) == ((["a"], 2) if written else ([], 1))


async def test_what_catching_up_found_is_on_disk_a_second_later_though_nothing_else_happens(
    tmp_path,
):
    log, path = new_log(), tmp_path / "jobs.sqlite"
    await write(log, "a", job_created())
    with opened(path) as table:
        projector = projector_over(log, table)
        await projector.catch_up()
        async with following(projector):
            await asyncio.sleep(1 + US)
            assert on_disk(path) == (["a"], 2)


async def test_many_rows_are_written_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("projections.projector.FLUSH_ROWS_MAX", 3)
    log, path = new_log(), tmp_path / "jobs.sqlite"
    with opened(path) as table:
        projector = projector_over(log, table)
        async with following(projector):
            for n in range(3):
                await projector.reached(await write(log, f"j{n}", job_created()))
                await turns()
            assert on_disk(path) == (["j0", "j1", "j2"], 4)


async def test_catching_up_with_many_rows_writes_them_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr("projections.projector.FLUSH_ROWS_MAX", 3)
    log, path = new_log(), tmp_path / "jobs.sqlite"
    for n in range(3):
        await write(log, f"j{n}", job_created())
    with opened(path) as table:
        await projector_over(log, table).catch_up()
        assert (table.unflushed, on_disk(path)) == (0, (["j0", "j1", "j2"], 4))


async def test_a_page_holds_what_was_taken_in_just_before():
    log = new_log()
    with opened(MEMORY) as table:
        projector = projector_over(log, table)
        for n in range(3):
            await write(log, f"j{n}", job_created())
        await projector.catch_up()
        assert ids(await projector.page(Filter(), before=None, limit=2)) == ["j2", "j1"]
        assert ids(await projector.page(Filter(), before=3, limit=2)) == ["j0"]
        await write(log, "j1", job_cancelled(1))
        await projector.catch_up()
        wanted = Filter(status=Status.CANCELLED)
        assert ids(await projector.page(wanted, before=None, limit=9)) == ["j1"]


async def test_a_table_made_again_equals_the_one_that_was_kept(tmp_path):
    log = new_log()
    with opened(tmp_path / "kept.sqlite") as table:
        projector = projector_over(log, table)
        async with following(projector):
            await write_lives(log, 2)
            await asyncio.sleep(5)
            await write_lives(EventLogUnder("more-", log), 3)
            await projector.reached(await log.head())
        await projector.flush()
        kept = table.digest()
    assert await digest_of(log, tmp_path / "again.sqlite") == kept
    assert await digest_of(log, tmp_path / "kept.sqlite") == kept
    (tmp_path / "kept.sqlite").unlink()
    assert await digest_of(log, tmp_path / "kept.sqlite") == kept


class EventLogUnder:
    """A log whose streams get another name in front."""

    def __init__(self, prefix, log):
        self.prefix = prefix
        self.log = log

    async def read_stream(self, stream):
        return await self.log.read_stream(self.prefix + stream)

    async def append(self, stream, expected, *new):
        return await self.log.append(self.prefix + stream, expected, *new)


@pytest.mark.parametrize("seed", range(5))
async def test_a_crash_between_two_flushes_loses_nothing(tmp_path, seed):
    """Closing a table without a flush is what a crash leaves of it."""
    log, dice, path = new_log(), Random(seed), tmp_path / "jobs.sqlite"
    for round_ in range(6):
        await write_lives(EventLogUnder(f"r{round_}-", log), dice.randrange(99), 4)
        with opened(path) as table:
            board = JobBoard()
            projector = projector_over(log, table, board)
            await projector.catch_up()
            if dice.random() < 0.5:
                await projector.flush()
                await write_lives(EventLogUnder(f"s{round_}-", log), dice.randrange(99), 4)
                await projector.catch_up()
            for event in await log.read(0, 10_000):
                if event.type == "JobCreated":
                    job = fold(await log.read_stream(event.stream))
                    assert projector.get(event.stream) == job
                    assert (board.get(event.stream) is not None) is job.is_open
    assert await digest_of(log, path) == await digest_of(log, tmp_path / "new.sqlite")


async def test_an_append_may_be_split_over_two_pages(tmp_path):
    log, path = new_log(), tmp_path / "jobs.sqlite"
    await write(log, "a", job_created(), attempt_started(1))
    end = await write(log, "a", attempt_failed(2), job_failed(2))
    with opened(path) as table:
        board = JobBoard()
        projector = projector_over(log, table, board)
        projector.apply(await log.read(0, end - 1))
        assert (projector.get("a").status, board.next_due_at(["email"])) == (Status.PENDING, None)
        await projector.flush()
    with opened(path) as table:
        board = JobBoard()
        projector = projector_over(log, table, board)
        await projector.catch_up()
        assert (projector.get("a").status, len(board)) == (Status.FAILED, 0)
    assert await digest_of(log, path) == await digest_of(log, tmp_path / "new.sqlite")


@pytest.mark.parametrize(("beyond", "lost"), [(-1, False), (0, False), (1, True)])
async def test_a_table_that_has_seen_more_than_the_log_holds_is_a_witness(tmp_path, beyond, lost):
    log, path = new_log(), tmp_path / "jobs.sqlite"
    end = await write(log, "a", job_created())
    with opened(path) as table:
        flush(table, end + beyond, *([pending_job("a", pos=2)] if beyond >= 0 else []))
    with opened(path) as table:
        projector = projector_over(log, table)
        if lost:
            with pytest.raises(StoreCorrupt, match="has seen 3: acknowledged") as found:
                await projector.catch_up()
            assert "backup" in found.value.hint
        else:
            await projector.catch_up()
            assert projector.position == end
