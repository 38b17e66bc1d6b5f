"""Any store against the simplest model of one: a list of events and a dict of streams.

Hypothesis draws commits (right and wrong heads, repeats, several streams), reads from anywhere, and
for the file store closing and opening again; after each step the answer must be the model's. It
finds the combinations that nobody wrote down in `conformance`. The file store runs on the simulated
disk with tiny segments, so that almost every commit crosses one.

Nothing concurrent happens here: every step is finished before the next begins.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from eventstore.errors import Conflict
from eventstore.event import NEW, Append, Event, Head, NewEvent
from eventstore.file.store import FileStore
from eventstore.memory import MemoryStore
from eventstore.offload import Inline
from eventstore.store import EventStore, Result
from eventstore.timestamp import later
from tests.eventstore import broken, broken_readers
from tests.eventstore.driver import NOON, append, event
from tests.support.simdisk import SimDisk

T = TypeVar("T")

STREAMS = ("a", "b", "c", "log")
MACHINES = settings(max_examples=100, stateful_step_count=30)

TIMES = st.sampled_from([later(NOON, seconds) for seconds in (-60, 0, 0.000001, 1, 3600)])
EVENTS = st.lists(
    st.builds(event, st.sampled_from(("Happened", "Went")), time=TIMES, i=st.integers(0, 9)),
    min_size=1,
    max_size=4,
)
WRONG = st.tuples(st.integers(0, 9), st.integers(0, 40)).map(lambda pair: Head(*pair))


@dataclass
class Model:
    """What a store ought to say."""

    events: list[Event] = field(default_factory=list)
    first_results: dict[str, list[Event]] = field(default_factory=dict)

    def stream(self, name: str) -> list[Event]:
        return [found for found in self.events if found.stream == name]

    def head(self, name: str) -> Head:
        events = self.stream(name)
        return events[-1].head if events else NEW

    def check(self, new: Append, result: Result) -> None:
        """What a store answered to an append; take it in if it was recorded."""
        if new.nonce in self.first_results:
            assert result == self.first_results[new.nonce]
        elif new.expected != self.head(new.stream):
            assert isinstance(result, Conflict)
            named = (result.stream, result.expected, result.actual)
            assert named == (new.stream, new.expected, self.head(new.stream))
        else:
            assert isinstance(result, list)
            self._take_in(new, result)

    def _take_in(self, new: Append, result: list[Event]) -> None:
        revs = range(new.expected.rev + 1, new.expected.rev + 1 + len(new.events))
        assert [event.rev for event in result] == list(revs)
        for found, wanted in zip(result, new.events, strict=True):
            last = self.events[-1]
            assert found.pos == last.pos + 1
            assert found.time >= max(last.time, new.events[0].time)
            assert (found.stream, found.type, found.data) == (new.stream, wanted.type, wanted.data)
            assert found.meta == {"n": new.nonce}
            self.events.append(found)
        self.first_results[new.nonce] = result


class StoreMachine(RuleBasedStateMachine):
    """One store, one model, one step after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = [append("a", NEW)]
        self.runner = asyncio.Runner()
        self.store: EventStore = self.run(self.open())
        self.model = Model(self.run(self.store.read()))

    async def open(self) -> EventStore:
        return MemoryStore(log_id=f"{1:032x}")

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def commit(self, *batch: Append) -> None:
        results = self.run(self.store.commit(batch))
        for new, result in zip(batch, results, strict=True):
            self.model.check(new, result)
        self.sent += batch

    @rule(stream=st.sampled_from(STREAMS), new=EVENTS)
    def append_at_the_head(self, stream: str, new: list[NewEvent]) -> None:
        self.commit(append(stream, self.model.head(stream), *new))

    @rule(stream=st.sampled_from(STREAMS), wrong=WRONG, new=EVENTS)
    def append_elsewhere(self, stream: str, wrong: Head, new: list[NewEvent]) -> None:
        self.commit(append(stream, wrong, *new))

    @rule(which=st.integers(0, 99))
    def append_again(self, which: int) -> None:
        self.commit(self.sent[which % len(self.sent)])

    @rule(
        right=st.sets(st.sampled_from(STREAMS)), wrong=WRONG, new=EVENTS, which=st.integers(0, 99)
    )
    def commit_to_several(
        self, right: set[str], wrong: Head, new: list[NewEvent], which: int
    ) -> None:
        again = self.sent[which % len(self.sent)]
        heads = {s: self.model.head(s) if s in right else wrong for s in STREAMS}
        batch = [append(s, head, *new) for s, head in heads.items() if s != again.stream]
        self.commit(*batch, again)

    @rule(after=st.integers(0, 60), limit=st.integers(1, 20))
    def read_a_page(self, after: int, limit: int) -> None:
        assert self.run(self.store.read(after, limit)) == self.model.events[after:][:limit]

    @rule(stream=st.sampled_from((*STREAMS, "nobody")), after_rev=st.integers(0, 9))
    def read_a_stream(self, stream: str, after_rev: int) -> None:
        found = self.run(self.store.read_stream(stream, after_rev))
        assert found == self.model.stream(stream)[after_rev:]

    @invariant()
    def the_head_is_the_models(self) -> None:
        assert self.run(self.store.head()) == self.model.events[-1].pos

    def teardown(self) -> None:
        with self.runner:
            found = self.run(self.store.read(0, 10_000))
            self.run(self.store.aclose())
        assert found == self.model.events


class FileStoreMachine(StoreMachine):
    """The same, and the log may be closed and opened, with its index or without."""

    def __init__(self) -> None:
        self.disk = SimDisk(keep_databases=True)
        super().__init__()

    async def open(self) -> EventStore:
        return await FileStore.open(
            "data", dice=Random(1), offload=Inline(), disk=self.disk, segment_events=4
        )

    @rule(index_lost=st.booleans())
    def open_again(self, index_lost: bool) -> None:
        self.run(self.store.aclose())
        if index_lost:
            self.disk.unlink("data/index.sqlite")
        self.store = self.run(self.open())


TestMemoryStore = StoreMachine.TestCase
TestFileStore = FileStoreMachine.TestCase
TestMemoryStore.settings = TestFileStore.settings = MACHINES


@pytest.mark.parametrize(
    "kind",
    [
        broken.KeepsTheFirstOfAnAppend,
        broken.LooksAtRevisionsOnly,
        broken.RefusesTheWholeCommit,
        broken.RemembersOnlyTheLast,
        broken_readers.LetsTimeGoBack,
        broken_readers.SkipsAnEventBetweenPages,
        broken_readers.TheHeadLagsBehind,
    ],
)
def test_the_model_finds_a_broken_store(kind: type[broken.SharedStore]) -> None:
    class BrokenMachine(StoreMachine):
        async def open(self) -> EventStore:
            return kind(broken.Shelf())

    without_shrinking = settings(MACHINES, phases=[Phase.generate], derandomize=True, database=None)
    with pytest.raises(Exception) as caught:
        run_state_machine_as_test(BrokenMachine, settings=without_shrinking)
    assert isinstance(caught.value, AssertionError | ExceptionGroup)
