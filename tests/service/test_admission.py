"""When new work is refused: on both sides of the water mark and of the limit of open jobs, and for
a second after a full log.

Only whether it is open and why is tried here; that the worker claims nothing while it is closed is
in `test_worker`, what a client is answered in `tests/service/web`.
"""

import asyncio
from random import Random

import pytest

from eventstore.errors import NotWritten
from eventstore.event import NEW, NewEvent
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from service.admission import Admission, IntakeClosedError
from tests.support.world import Hiccups

LOG_ID = "1f" * 16
HAPPENED = NewEvent("Happened", "2026-11-23T12:00:00.000000Z", {})


class Disk:
    """A number of free bytes, and how often it was asked for."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        return self.free


def admission_to(
    disk: Disk | None, log: EventLog | None = None, *, open_jobs: int = 0
) -> Admission:
    """To a log that was never refused anything; 1,000 bytes must be free, 10 jobs may be open."""
    return Admission(
        log or EventLog(MemoryStore(log_id=LOG_ID), dice=Random(1)),
        free_bytes=disk,
        min_free_bytes=1000,
        open_jobs=lambda: open_jobs,
        max_pending=10,
    )


@pytest.mark.parametrize(("free", "is_open"), [(999, False), (1000, True), (1001, True)])
async def test_it_is_open_while_as_much_as_needed_is_free(free, is_open):
    assert (admission_to(Disk(free)).reason() is None) is is_open


async def test_the_reason_says_what_is_free_and_what_is_needed():
    reason = admission_to(Disk(999)).reason()
    assert reason == "999 bytes are free on the log's disk, 1000 are needed"


async def test_to_require_it_raises_while_it_is_closed_and_tells_why():
    admission_to(Disk(1000)).require_room()
    with pytest.raises(IntakeClosedError, match="999 bytes are free"):
        admission_to(Disk(999)).require_room()


async def test_a_log_without_a_disk_has_room():
    assert admission_to(None).reason() is None


async def test_the_file_system_is_asked_once_a_second():
    disk = Disk(1000)
    admission = admission_to(disk)
    for _ in range(100):
        admission.reason()
    await asyncio.sleep(0.99)
    admission.reason()
    assert disk.asked == 1
    await asyncio.sleep(0.02)
    admission.reason()
    assert disk.asked == 2


async def test_the_last_answer_holds_until_it_asks_again():
    disk = Disk(999)
    admission = admission_to(disk)
    assert admission.reason() is not None
    disk.free = 1000
    await asyncio.sleep(0.99)
    assert admission.reason() is not None
    await asyncio.sleep(0.02)
    assert admission.reason() is None


async def test_it_is_closed_for_a_second_after_the_log_had_no_room():
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    log = EventLog(store, dice=Random(1))
    admission = admission_to(Disk(1000), log)
    store.refuse = lambda _: NotWritten("full")
    with pytest.raises(NotWritten):
        await log.append("s", NEW, HAPPENED)
    assert admission.reason() == "the log has no room to write"
    await asyncio.sleep(0.99)
    assert admission.reason() is not None
    await asyncio.sleep(0.02)
    assert admission.reason() is None, "somebody must try"


async def test_it_opens_at_once_when_the_log_has_written_again():
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    log = EventLog(store, dice=Random(1))
    admission = admission_to(Disk(1000), log)
    store.refuse = lambda append: NotWritten("full") if append.stream == "unlucky" else None
    with pytest.raises(NotWritten):
        await log.append("unlucky", NEW, HAPPENED)
    assert admission.reason() is not None
    await log.append("lucky", NEW, HAPPENED)
    assert admission.reason() is None


@pytest.mark.parametrize(("jobs", "fits"), [(2, True), (3, True), (4, False)])
async def test_there_is_room_for_as_many_jobs_as_may_be_open(jobs, fits):
    admission = admission_to(Disk(1000), open_jobs=7)
    if fits:
        admission.require_room(jobs)
        return
    with pytest.raises(IntakeClosedError, match="7 jobs are open, at most 10 may be"):
        admission.require_room(jobs)


@pytest.mark.parametrize(("open_jobs", "fits"), [(9, True), (10, False), (11, False)])
async def test_a_full_board_takes_no_job_at_all(open_jobs, fits):
    admission = admission_to(Disk(1000), open_jobs=open_jobs)
    assert admission.reason() is None, "a worker goes on: that is what makes room"
    if fits:
        admission.require_room()
        return
    with pytest.raises(IntakeClosedError):
        admission.require_room()


async def test_what_is_being_recorded_takes_its_room_until_it_is():
    admission = admission_to(Disk(1000), open_jobs=7)
    with admission.room(2):
        admission.require_room(1)
        with pytest.raises(IntakeClosedError, match="9 jobs are open"):
            admission.require_room(2)
        with pytest.raises(IntakeClosedError), admission.room(2):
            raise AssertionError
    admission.require_room(3)


async def test_room_is_given_back_after_a_failure_too():
    admission = admission_to(Disk(1000), open_jobs=7)
    with pytest.raises(ZeroDivisionError), admission.room(3):
        raise ZeroDivisionError
    with admission.room(3):
        pass


async def test_there_is_no_room_without_the_disk_s():
    with pytest.raises(IntakeClosedError, match="999 bytes"), admission_to(Disk(999)).room():
        raise AssertionError
