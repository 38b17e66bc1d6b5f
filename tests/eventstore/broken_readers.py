"""Stores that break C5 to C12, each in one place; `broken` says how they are made and why.

What these get wrong is what readers see, when waiters wake, and what is left after a cancellation
or a close: a lagging read, a page boundary, a wake-up for one of two, a column that folds case.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from eventstore import clock
from eventstore.event import NEW, Append, Event, NewEvent, recorded
from eventstore.memory import MemoryStore
from eventstore.store import PAGE_MAX, Result
from tests.eventstore.broken import SharedStore, Shelf, cut
from tests.eventstore.driver import turns

# C5


class ReadsLagBehind(SharedStore):
    breaks = 5

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        return [e for e in await super().read(after, limit) if e.pos < len(self._events)]


class StreamsLagBehind(SharedStore):
    breaks = 5

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        found = await super().read_stream(stream, after_rev)
        return [e for e in found if e.pos < len(self._events)]


class TheHeadLagsBehind(SharedStore):
    breaks = 5

    async def head(self) -> int:
        return await super().head() - 1


# C6


class ShowsCommitsAsTheyFinish(SharedStore):
    """As a bigserial does: positions are drawn first, and a later one may be visible earlier."""

    breaks = 6
    hidden: dict[int, set[int]] = {}  # noqa: RUF012  of every log there is, by its events

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        results = [self._commit_one(append) for append in batch]
        drawn = {e.pos for result in results if isinstance(result, list) for e in result}
        hidden = self.hidden.setdefault(id(self._events), set())
        hidden |= drawn
        await turns(max(drawn, default=0) % 5)
        hidden -= drawn
        self._announce()
        return results

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        hidden = self.hidden.get(id(self._events), set())
        return [e for e in self._events[after:] if e.pos not in hidden][:limit]


# C7


class ReadsStreamsNewestFirst(SharedStore):
    breaks = 7

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        return (await super().read_stream(stream, after_rev))[::-1]


class NumbersStreamsApart(SharedStore):
    breaks = 7

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        found = await super().read_stream(stream, after_rev)
        return [msgspec.structs.replace(e, pos=e.rev) for e in found]


class BeginsWithoutAnOpening(SharedStore):
    breaks = 7

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        return await super().read(max(after, 1), limit)


class StampsItsOwnTime(SharedStore):
    breaks = 7

    def _commit_one(self, append: Append) -> Result:
        stamped = [msgspec.structs.replace(new, time=clock.now()) for new in append.events]
        return super()._commit_one(msgspec.structs.replace(append, events=tuple(stamped)))


class LetsTimeGoBack(SharedStore):
    breaks = 7

    def _commit_one(self, append: Append) -> Result:
        result = super()._commit_one(append)
        if isinstance(result, list) and self._events[-len(result) :] == result:
            result = recorded(append, pos=result[0].pos, time=append.events[0].time)
            self._events[-len(result) :] = result
        return result


# C8


class IgnoresTheLimit(SharedStore):
    breaks = 8

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        return await super().read(after, 5000)


class KnowsOnlyShortPages(SharedStore):
    breaks = 8

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        return await super().read(after, min(limit, 500))


class SkipsAnEventBetweenPages(SharedStore):
    breaks = 8

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        return await super().read(after + (after > 0 and after % 7 == 0), limit)


class BeginsAPageAtThePosition(SharedStore):
    breaks = 8

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        return self._events[max(after - 1, 0) :][:limit]


class BeginsAgainAfterTheEnd(SharedStore):
    breaks = 8

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        return await super().read(after if after <= len(self._events) else 0, limit)


class IgnoresTheRevision(SharedStore):
    breaks = 8

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        return await super().read_stream(stream)


class RaisesForUnknownStreams(SharedStore):
    breaks = 8

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        return self._streams[stream][after_rev:]


# C9


class WaitsEvenWhenBehind(SharedStore):
    breaks = 9

    async def wait(self, after: int, timeout: float) -> None:
        await super().wait(len(self._events), timeout)


class WakesOneOfThem(SharedStore):
    breaks = 9

    def __init__(self, shelf: Shelf) -> None:
        self._wake_ups = asyncio.Semaphore(0)
        super().__init__(shelf)

    async def wait(self, after: int, timeout: float) -> None:
        if after >= len(self._events):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake_ups.acquire(), timeout)

    def _announce(self) -> None:
        self._wake_ups.release()


class WaitsWithoutEnd(SharedStore):
    breaks = 9

    async def wait(self, after: int, timeout: float) -> None:
        while len(self._events) <= after:
            await super().wait(after, 3600)


class WakesOnlyForItself(SharedStore):
    breaks = 9

    def _announce(self) -> None:
        MemoryStore._announce(self)


# C10


class DropsZeroBytes(SharedStore):
    breaks = 10

    def _commit_one(self, append: Append) -> Result:
        return super()._commit_one(
            msgspec.structs.replace(append, events=tuple(map(_without_zeros, append.events)))
        )


def _without_zeros(new: NewEvent) -> NewEvent:
    return msgspec.structs.replace(
        new, data={k: v.replace("\0", "") if isinstance(v, str) else v for k, v in new.data.items()}
    )


class TakesEmptyForAbsent(SharedStore):
    breaks = 10

    def _commit_one(self, append: Append) -> Result:
        bare = [msgspec.structs.replace(new, private=new.private or None) for new in append.events]
        return super()._commit_one(msgspec.structs.replace(append, events=tuple(bare)))


class FoldsTheCaseOfStreams(SharedStore):
    breaks = 10

    def _commit_one(self, append: Append) -> Result:
        return super()._commit_one(msgspec.structs.replace(append, stream=append.stream.lower()))

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        return await super().read_stream(stream.lower(), after_rev)


class RendersAnotherLine(SharedStore):
    breaks = 10

    def _commit_one(self, append: Append) -> Result:
        result = super()._commit_one(append)
        if isinstance(result, list):
            line = result[0].line.replace(b'"pos":', b'"pos":1', 1)
            result[0] = self._events[-len(result)] = msgspec.structs.replace(result[0], line=line)
        return result


# C11


class WritesEventByEvent(SharedStore):
    breaks = 11

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        results: list[Result] = []
        for append in batch:
            parts: list[Event] = []
            head = append.expected
            for i in range(len(append.events)):
                part = self._commit_one(cut(append, i, i + 1, head))
                if not isinstance(part, list):
                    return [part]
                parts += part
                head = part[-1].head
                await asyncio.sleep(0)
            results.append(parts)
        return results


class AnswersBeforeItWrote(SharedStore):
    breaks = 11

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        found = await super().read_stream(stream, after_rev)
        return found if self._events[-1].stream == "after" else found[:-1]


class KeepsItsLockWhenCancelled(SharedStore):
    breaks = 11

    def __init__(self, shelf: Shelf) -> None:
        self._lock = asyncio.Lock()
        super().__init__(shelf)

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        await self._lock.acquire()
        await asyncio.sleep(0)
        results = await super().commit(batch)
        self._lock.release()
        return results


class SharesOneWait(SharedStore):
    breaks = 11

    def __init__(self, shelf: Shelf) -> None:
        self._shared: asyncio.Future[None] | None = None
        super().__init__(shelf)

    async def wait(self, after: int, timeout: float) -> None:
        if self._shared is None:
            self._shared = asyncio.ensure_future(super().wait(after, timeout))
        await self._shared


# C12


class ClosesOnce(SharedStore):
    breaks = 12

    async def aclose(self) -> None:
        self._refuse_if_closed()
        await super().aclose()


class AnswersAfterClosing(SharedStore):
    breaks = 12

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        return self._streams.get(stream, [])[after_rev:]


class LeavesWaitersWaiting(SharedStore):
    breaks = 12

    async def aclose(self) -> None:
        self._closed = True


class LosesTheLastCommit(SharedStore):
    breaks = 12

    def __init__(self, shelf: Shelf) -> None:
        if shelf.events:
            lost = shelf.events.pop()
            shelf.streams[lost.stream] = shelf.streams[lost.stream][:-1]
        super().__init__(shelf)


class ForgetsTheTime(SharedStore):
    breaks = 12

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf)
        last = self._events[-1]
        self._events[-1] = msgspec.structs.replace(last, time="1970-01-01T00:00:00.000000Z")


class ForgetsItsAppends(SharedStore):
    breaks = 12

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf)
        for stream, found in self._streams.items():
            self._streams[stream] = [msgspec.structs.replace(e, meta={}) for e in found]


class StopsInTheMiddle(SharedStore):
    breaks = 12

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        for append in batch:
            super()._commit_one(cut(append, 0, 1, append.expected))
            await turns(3)
            self._refuse_if_closed()
            head = self._streams[append.stream][-1].head
            if append.expected == NEW and len(append.events) > 1:
                super()._commit_one(cut(append, 1, len(append.events), head))
        return [self._streams[append.stream] for append in batch]
