"""How long work at leisure rests, and when it does not: by a clock that stands until it is moved.

The index is written so, which is shown here; that the jobs are is `test_projector_flush`'s matter.
"""

import asyncio
import threading
from collections.abc import Callable
from itertools import count
from random import Random

import pytest

from eventstore.event import NEW, prepare
from eventstore.file.store import FileStore
from eventstore.leisure import RESTS, Leisure
from eventstore.offload import Inline
from tests.eventstore.driver import event
from tests.support.simdisk import SimDisk


class Resting:
    """A clock, and the rests that were taken; a rest takes no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s, self.taken_s = 0.0, list[float]()
        rests = self

        class Event(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                assert timeout is not None
                if not self.is_set():
                    rests.taken_s.append(timeout)
                return self.is_set()

        monkeypatch.setattr("eventstore.clock.monotonic", lambda: self.now_s)
        monkeypatch.setattr("eventstore.leisure.threading.Event", Event)


@pytest.fixture
def resting(monkeypatch: pytest.MonkeyPatch) -> Resting:
    return Resting(monkeypatch)


def test_each_slice_is_followed_by_a_rest_in_proportion(resting: Resting) -> None:
    rest = Leisure().begin()
    for took_s in (0.25, 0.5, 2.0):
        resting.now_s += took_s
        rest()
    assert resting.taken_s == [0.25 * RESTS, 0.5 * RESTS, 2.0 * RESTS]


def test_a_rest_is_no_part_of_the_next_slice(
    resting: Resting, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = count()
    monkeypatch.setattr("eventstore.clock.monotonic", lambda: next(ticks))
    rest = Leisure().begin()  # at 0
    rest()  # ends at 1, and its rest at 2
    rest()  # ends at 3
    assert resting.taken_s == [RESTS, RESTS]


def test_where_no_time_passes_there_is_no_rest(resting: Resting) -> None:
    Leisure().begin()()
    assert resting.taken_s == []


def test_nobody_rests_while_somebody_waits(resting: Resting) -> None:
    leisure = Leisure()
    rest = leisure.begin()
    with leisure.hurried():
        with leisure.hurried():
            resting.now_s += 1
            rest()
        resting.now_s += 1
        rest()
    assert resting.taken_s == []
    resting.now_s += 1
    rest()
    assert resting.taken_s == [RESTS]


def test_who_begins_to_wait_ends_a_rest_that_goes_on() -> None:
    leisure, resting = Leisure(), threading.Event()
    hours = iter([0.0, 3600.0, 3600.0])

    def work() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("eventstore.clock.monotonic", lambda: next(hours))
            rest = leisure.begin()
            resting.set()
            rest()

    thread = threading.Thread(target=work)
    thread.start()
    resting.wait()
    with leisure.hurried():
        thread.join()


async def test_the_index_is_written_at_leisure_unless_somebody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rested: list[bool] = []

    def begin(leisure: Leisure) -> Callable[[], None]:
        return lambda: rested.append(not leisure._hurry.is_set())

    monkeypatch.setattr(Leisure, "begin", begin)
    monkeypatch.setattr("eventstore.file.index.ROWS_MAX", 1)
    store = await FileStore.open("data", dice=Random(1), offload=Inline(), disk=SimDisk())
    await store.commit([prepare("a", NEW, [event()], nonce="1")])
    await asyncio.sleep(1)
    assert rested == [True, True]  # the log's own stream is the other
    await store.commit([prepare("b", NEW, [event()], nonce="2")])
    await store.flush_index()
    assert rested == [True, True, False]
    await store.aclose()
