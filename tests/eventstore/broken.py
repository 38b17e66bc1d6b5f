"""Stores that break C1 to C4, each in one place, to prove that the conformance suite would notice.

`SharedStore` is sound: a MemoryStore whose log survives it and may be opened twice, so that every
case of the suite can be put to it. Each class below it plants one bug, which is its name, and says
the number of the clause it breaks. They are the bugs that drivers have: a gap between check and
write, a head that is remembered too long, a repeat recognised too seldom or too often.

Not a fuzzer: `test_conformance_bites` wants each of these caught, and each case to have caught one.
`broken_readers` goes on with C5 to C12.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from eventstore.errors import Conflict, NotWritten
from eventstore.event import NEW, Append, Event, Head
from eventstore.memory import MemoryStore
from eventstore.store import EventStore, Result
from tests.eventstore.driver import OpenStore

LOG_ID = f"{1:032x}"


@dataclass
class Shelf:
    """What outlives a store: the log, and who has it open."""

    events: list[Event] = field(default_factory=list)
    streams: dict[str, list[Event]] = field(default_factory=dict)
    users: list["SharedStore"] = field(default_factory=list)


class SharedStore(MemoryStore):
    """Sound."""

    breaks: ClassVar[int] = 0

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(log_id=LOG_ID)
        self._shelf = shelf
        if shelf.events:
            self._events, self._streams = shelf.events, shelf.streams
        else:
            shelf.events, shelf.streams = self._events, self._streams
        shelf.users.append(self)

    def _announce(self) -> None:
        for user in self._shelf.users:
            MemoryStore._announce(user)


def opener(kind: type[SharedStore]) -> OpenStore:
    """Opens the one log of a new shelf, as often as asked."""
    shelf = Shelf()

    @asynccontextmanager
    async def open_store() -> AsyncIterator[EventStore]:
        store = kind(shelf)
        yield store
        await store.aclose()

    return open_store


def cut(append: Append, start: int, end: int, expected: Head) -> Append:
    """Part of an append, as one of its own."""
    events, bodies = append.events[start:end], append.bodies[start:end]
    return replace(append, expected=expected, events=events, bodies=bodies)


# C1


class KeepsTheFirstOfAnAppend(SharedStore):
    breaks = 1

    def _commit_one(self, append: Append) -> Result:
        return super()._commit_one(cut(append, 0, 1, append.expected))


class Interleaves(SharedStore):
    breaks = 1

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        results: list[list[Event]] = [[] for _ in batch]
        for i in range(max(len(append.events) for append in batch)):
            for append, result in zip(batch, results, strict=True):
                if i < len(append.events):
                    head = result[-1].head if result else append.expected
                    part = super()._commit_one(cut(append, i, i + 1, head))
                    assert isinstance(part, list)
                    result.extend(part)
        return list(results)


class CutsLongAppends(SharedStore):
    breaks = 1

    def _commit_one(self, append: Append) -> Result:
        return super()._commit_one(cut(append, 0, 100, append.expected))


class CutsLongCommits(SharedStore):
    breaks = 1

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        rest: list[Result] = [NotWritten("too many") for _ in batch[16:]]
        return await super().commit(batch[:16]) + rest


class LosesLongLines(SharedStore):
    breaks = 1

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        found = await super().read_stream(stream, after_rev)
        return [event for event in found if len(event.line) < 32_768]


# C2


class LooksAtRevisionsOnly(SharedStore):
    breaks = 2

    def _commit_one(self, append: Append) -> Result:
        actual = self._streams[append.stream][-1].head if append.stream in self._streams else NEW
        same = append.expected.rev == actual.rev
        return super()._commit_one(
            msgspec.structs.replace(append, expected=actual) if same else append
        )


class TakesAnythingForANewStream(SharedStore):
    breaks = 2

    def _commit_one(self, append: Append) -> Result:
        if append.stream not in self._streams:
            append = msgspec.structs.replace(append, expected=NEW)
        return super()._commit_one(append)


class NamesTheWrongHead(SharedStore):
    breaks = 2

    def _commit_one(self, append: Append) -> Result:
        result = super()._commit_one(append)
        if isinstance(result, Conflict):
            return Conflict(append.stream, append.expected, append.expected)
        return result


class LeavesATrace(SharedStore):
    breaks = 2

    def _commit_one(self, append: Append) -> Result:
        result = super()._commit_one(append)
        if isinstance(result, Conflict):
            last = self._events[-1]
            self._events.append(msgspec.structs.replace(last, pos=last.pos + 1, type="Refused"))
        return result


class RefusesTheWholeCommit(SharedStore):
    breaks = 2

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        for append in batch:
            if append.expected == NEW and append.stream in self._streams:
                return [Conflict(append.stream, NEW, NEW)] * len(batch)
        return await super().commit(batch)


class MixesStreams(SharedStore):
    breaks = 2

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        return [event for event in self._events[1:] if event.rev > after_rev]


# C3


class ForgetsWhatItRecorded(SharedStore):
    breaks = 3

    def _commit_one(self, append: Append) -> Result:
        stream = self._streams.get(append.stream, [])
        actual = stream[-1].head if stream else NEW
        if actual != append.expected:
            return Conflict(append.stream, append.expected, actual)
        return super()._commit_one(append)


class RemembersOnlyTheLast(SharedStore):
    breaks = 3

    def _commit_one(self, append: Append) -> Result:
        stream = self._streams.get(append.stream, [])
        if len(stream) > append.expected.rev + len(append.events):
            return Conflict(append.stream, append.expected, stream[-1].head)
        return super()._commit_one(append)


class ComparesDataNotNonces(SharedStore):
    breaks = 3

    def _commit_one(self, append: Append) -> Result:
        after = self._streams.get(append.stream, [])[append.expected.rev :]
        if after and [event.data for event in after] == [event.data for event in append.events]:
            return after
        return super()._commit_one(append)


class RemembersWhatItRefused(SharedStore):
    breaks = 3

    def __init__(self, shelf: Shelf) -> None:
        self._seen: set[str] = set()
        super().__init__(shelf)

    def _commit_one(self, append: Append) -> Result:
        if append.nonce in self._seen:
            return self._streams[append.stream][append.expected.rev :][: len(append.events)]
        self._seen.add(append.nonce)
        return super()._commit_one(append)


class RecognisesARepeatOnlyAlone(SharedStore):
    breaks = 3

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        repeats = [append.stream in self._streams for append in batch]
        if len(batch) > 1 and any(repeats):
            return [Conflict(append.stream, append.expected, NEW) for append in batch]
        return await super().commit(batch)


# C4


class LeavesAGapBetweenCheckAndWrite(SharedStore):
    breaks = 4

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        fine = [append.expected == self._head_of(append.stream) for append in batch]
        await asyncio.sleep(0)
        late = [
            msgspec.structs.replace(append, expected=self._head_of(append.stream)) if ok else append
            for append, ok in zip(batch, fine, strict=True)
        ]
        return await super().commit(late)

    def _head_of(self, stream: str) -> Head:
        return self._streams[stream][-1].head if stream in self._streams else NEW


class IgnoresTheExpectedHead(LeavesAGapBetweenCheckAndWrite):
    breaks = 4

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        anyway = [
            msgspec.structs.replace(append, expected=self._head_of(append.stream))
            for append in batch
        ]
        return await MemoryStore.commit(self, anyway)


class ReadsAStreamOnce(SharedStore):
    breaks = 4

    def __init__(self, shelf: Shelf) -> None:
        self._cache: dict[str, list[Event]] = {}
        super().__init__(shelf)

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        if stream not in self._cache:
            self._cache[stream] = await super().read_stream(stream)
        return self._cache[stream][after_rev:]


class TrustsItsOwnHeads(SharedStore):
    breaks = 4

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf)
        self._streams = dict(self._streams)
