"""What a large commit leaves for others: turns of the event loop, counted.

What is recorded, and in how many commits, is `test_log_many`'s matter.
"""

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from eventstore import log as log_module
from eventstore import pace
from eventstore.event import NEW, Append
from eventstore.file import store as store_module
from eventstore.file.store import FileStore
from eventstore.log import WOKEN_A_TURN, EventLog
from eventstore.memory import MemoryStore
from eventstore.offload import Inline
from eventstore.store import Result
from tests.eventstore.driver import event
from tests.support.turns import Turns, counting_turns

LOG_ID = "1f" * 16


async def ready(log: EventLog, number: int) -> list[Append]:
    prepared = await log.prepare_all((f"s-{n}", NEW, [event(n=n)]) for n in range(number))
    return [append for append in prepared if isinstance(append, Append)]


def noting(log: EventLog, turns: Turns, asked: list[int]) -> Any:
    """Its commits, after the turn in which each was asked for was noted."""
    commit = log._try

    async def noted(appends: list[Append]) -> list[Result]:
        asked.append(turns.taken)
        return await commit(appends)

    return noted


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_of_many_callers_a_few_are_woken_in_a_turn(more: int) -> None:
    number = 3 * WOKEN_A_TURN + more
    log = EventLog(MemoryStore(log_id=LOG_ID), dice=Random(1))
    woken: Counter[int] = Counter()
    async with counting_turns() as turns:

        async def call(name: str) -> None:
            await log.append(name, NEW, event())
            woken[turns.taken] += 1

        await asyncio.gather(*(call(f"s-{n}") for n in range(number)))
    assert sum(woken.values()) == number
    assert max(woken.values()) == WOKEN_A_TURN
    await log.aclose()


async def test_others_have_turns_while_appends_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SLICE_S", 0)
    monkeypatch.setattr(log_module, "TAKEN_A_LOOK", 10)
    log = EventLog(MemoryStore(log_id=LOG_ID), dice=Random(1))
    appends = await ready(log, 200)
    asked: list[int] = []
    async with counting_turns() as turns:
        monkeypatch.setattr(log, "_try", noting(log, turns, asked))
        before = turns.taken
        results = await log.append_all(appends)
    assert [found[0].pos for found in results if isinstance(found, list)] == list(range(2, 202))
    assert len(asked) == 1, "one commit all the same"
    assert asked[0] - before >= 200 + 20, "a turn for each that is handed over, and these"
    await log.aclose()


async def test_what_is_durable_is_shown_in_parts_without_a_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "SLICE_S", 0)
    monkeypatch.setattr(store_module, "PUBLISHED_EVENTS", 10)
    store = await FileStore.open(str(tmp_path / "data"), dice=Random(1), offload=Inline())
    log = EventLog(store, dice=Random(1))
    appends = await ready(log, 95)
    recording = asyncio.create_task(log.append_all(appends))
    seen: list[int] = []
    while not recording.done():
        head = await log.head()
        events = await log.read()
        assert [each.pos for each in events] == list(range(1, head + 1))
        last = events[-1].stream
        assert [each.pos for each in await log.read_stream(last)][-1:] == [head]
        seen.append(head)
        await asyncio.sleep(0)
    steps = {after - before for before, after in pairwise(seen)}
    assert steps == {0, 10, 5}
    await recording
    await log.aclose()


async def test_the_eldest_of_the_newest_events_are_forgotten_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PUBLISHED_EVENTS", 10)
    monkeypatch.setattr(store_module, "TAIL_EVENTS_MAX", 50)
    monkeypatch.setattr(store_module, "TRIMMED_EVENTS", 10)
    store = await FileStore.open(str(tmp_path / "data"), dice=Random(1), offload=Inline())
    log = EventLog(store, dice=Random(1))
    lengths: list[int] = []
    add = store._index.add

    def noted(part: Any) -> None:
        lengths.append(len(store._tail))
        add(part)

    monkeypatch.setattr(store._index, "add", noted)
    await log.append_all(await ready(log, 200))
    assert max(lengths) < 50 + 10 + 10
    assert 50 <= len(store._tail) < 50 + 10
    assert [each.pos for each in await log.read()] == list(range(1, 202))
    await log.aclose()
