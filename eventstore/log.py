"""EventLog: what everyone uses. One store below, and above it what every engine needs, written
once.

- **Group commit.** Appends that arrive while a commit is under way wait together and form the next
  one. So one sync serves as many callers as there are, on every engine, and there is never more
  than one commit in flight. A caller with many appends makes them ready first (`prepare_all`, in
  slices) and hands all of them over at once (`append_all`): they share a commit as far as its
  limits permit, and each has a result of its own.
- **Unknown outcomes.** When a driver cannot tell whether a commit landed, the identical appends are
  sent again: a store answers an append it already has with its first result (C3), so this settles
  it. After RETRY_DELAYS_S we give up and say so: `OutcomeUnknown` then means that the append may be
  there or may still land.
- **Subscriptions.** Catch up, then follow, over any store: reading is the truth and `wait` only a
  hint.
- **Writers.** `begin` and `seal` record that a writer started and stopped.

Not here: what events mean, when to try a *decision* again after a conflict (that is the caller's),
and any knowledge of an engine.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from random import Random
from typing import Any

from msgspec.structs import replace

from eventstore import clock
from eventstore.errors import (
    Conflict,
    NotWritten,
    OutcomeUnknown,
    StoreClosed,
    StoreError,
    StoreFailed,
    TooLarge,
)
from eventstore.event import NEW, Append, Event, Head, NewEvent, prepare
from eventstore.pace import Pace
from eventstore.store import (
    COMMIT_BYTES_MAX,
    COMMIT_EVENTS_MAX,
    LOG_STREAM,
    PAGE_MAX,
    EventStore,
    Result,
)

RETRY_DELAYS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 4)  # about 8 s: longer than a fail-over that goes well
WAIT_S = 1.0  # a subscriber asks again at least this often, so a lost hint costs a second at most
TAKEN_A_LOOK = 100  # appends taken into a commit between two looks at the clock
WOKEN_A_TURN = 16  # callers: each has something to do with his result, all of them in one turn
FOLLOW_EVENTS_MAX = 100  # a subscriber's page: what is folded between two turns of the loop


logger = logging.getLogger("joblog.log")


class _Group:
    """The appends of one caller, and the results they have so far."""

    def __init__(self, number: int) -> None:
        self._results: list[Result | None] = [None] * number
        self._missing = number
        self.done: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()

    def answer(self, number: int, result: Result) -> None:
        assert self._results[number] is None
        self._results[number] = result
        self._missing -= 1
        if self._missing == 0 and not self.done.done():
            self.done.set_result([result for result in self._results if result is not None])


class _Waiting:
    """An append, and who waits for its result: a caller of its own, or one with many."""

    __slots__ = ("_group", "_number", "append", "done", "size")

    def __init__(
        self,
        append: Append,
        done: "asyncio.Future[Any]",
        group: _Group | None = None,
        number: int = 0,
    ) -> None:
        self.append = append
        self.size = append.size
        self.done = done
        self._group = group
        self._number = number  # in its group

    def answer(self, result: Result) -> None:
        if self._group is not None:
            self._group.answer(self._number, result)
        elif not self.done.done():
            self.done.set_result(result)


class EventLog:
    """Appends in groups, settled outcomes, subscriptions."""

    def __init__(self, store: EventStore, *, dice: Random) -> None:
        self._store = store
        self._dice = dice
        self._waiting: deque[_Waiting] = deque()
        self._committing: asyncio.Task[None] | None = None
        self._closed = False
        # When (monotonic) the store last lacked room; None once it wrote again.
        self.refused_at: float | None = None

    async def append(
        self, stream: str, expected: Head, *events: NewEvent, fresh: bool = False
    ) -> list[Event]:
        """Record events where the stream still ends at `expected`; return them as recorded, once
        durable. See Append about `fresh`.

        Raises Conflict, TooLarge, NotWritten, OutcomeUnknown, StoreFailed or StoreClosed.
        Cancelling it leaves the events recorded wholly or not at all.
        """
        if self._closed:
            raise StoreClosed
        append = self._prepared(stream, expected, events, fresh=fresh)
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(append, done))
        if self._committing is None:
            self._begin_committing()
        result = await done
        if isinstance(result, StoreError):
            raise result
        return result

    async def prepare_all(
        self, wanted: Iterable[tuple[str, Head, Sequence[NewEvent]]], *, fresh: bool = False
    ) -> list[Append | TooLarge]:
        """Make many appends ready for `append_all`, in slices; nothing is recorded yet. See Append
        about `fresh`, which is said of all.

        `wanted` may make each as it is asked for it: that happens within the slices too.
        """
        pace = Pace()
        prepared: list[Append | TooLarge] = []
        for stream, expected, events in wanted:
            try:
                prepared.append(self._prepared(stream, expected, events, fresh=fresh))
            except TooLarge as error:
                prepared.append(error)
            await pace.breathe()
        return prepared

    async def append_all(self, appends: Sequence[Append]) -> list[Result]:
        """Record many appends, enqueued at once; what became of each, in order, once it is durable
        or refused.

        They are independent: one may conflict and the next be recorded. Raises StoreClosed.
        Cancelling it leaves each recorded wholly or not at all, and those not yet sent unsent.
        """
        if not appends:
            return []
        pace = Pace()
        group = _Group(len(appends))
        waiting: list[_Waiting] = []
        for number, append in enumerate(appends):
            waiting.append(_Waiting(append, group.done, group, number))
            await pace.breathe()
        if self._closed:
            raise StoreClosed
        self._waiting.extend(waiting)
        if self._committing is None:
            self._begin_committing()
        return await group.done

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        """The whole log in order. See EventStore.read."""
        return await self._store.read(after, limit)

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        """One stream in order. See EventStore.read_stream."""
        return await self._store.read_stream(stream, after_rev)

    async def head(self) -> int:
        """The position of the last event."""
        return await self._store.head()

    async def wait(self, after: int, timeout: float) -> None:
        """Until the log may have gone on beyond a position. See EventStore.wait."""
        await self._store.wait(after, timeout)

    async def subscribe(self, after: int = 0) -> AsyncIterator[list[Event]]:
        """Every event after a position, in order, for ever: pages while there are some, then as
        they come.
        """
        while True:
            page = await self._store.read(after, FOLLOW_EVENTS_MAX)
            if page:
                yield page
                after = page[-1].pos
                await asyncio.sleep(0)  # a read from memory does not wait, so nobody else would run
            else:
                await self._store.wait(after, WAIT_S)

    async def begin(self, version: str) -> int:
        """Record that a writer of this version starts; return its epoch, 1 for a log's first
        writer.
        """
        while True:
            events = await self.read_stream(LOG_STREAM)
            epoch = 1 + sum(event.type == "WriterStarted" for event in events)
            started = NewEvent("WriterStarted", clock.now(), {"epoch": epoch, "version": version})
            try:
                await self.append(LOG_STREAM, events[-1].head if events else NEW, started)
            except Conflict:
                continue
            return epoch

    async def seal(self, epoch: int) -> None:
        """Record that the writer of this epoch stopped in good order."""
        events = await self.read_stream(LOG_STREAM)
        sealed = NewEvent("LogSealed", clock.now(), {"epoch": epoch})
        await self.append(LOG_STREAM, events[-1].head, sealed)

    async def aclose(self) -> None:
        """Finish the commits that callers wait for, then close the store."""
        self._closed = True
        if self._committing is not None:
            await asyncio.wait([self._committing])  # unlike await, does not cancel it with us
        await self._store.aclose()

    def _prepared(
        self, stream: str, expected: Head, events: Sequence[NewEvent], *, fresh: bool
    ) -> Append:
        nonce = f"{self._dice.getrandbits(64):016x}"
        return prepare(stream, expected, events, nonce=nonce, fresh=fresh)

    def _begin_committing(self) -> None:
        self._committing = asyncio.create_task(self._commit_all(), name="group commit")

    async def _commit_all(self) -> None:
        try:
            while batch := await self._take_batch():
                await self._commit(batch)
        finally:
            self._committing = None

    async def _take_batch(self) -> list[_Waiting]:
        """The next commit, within its limits. A second append to a stream waits: it expects what
        the first leaves.
        """
        pace = Pace()
        batch: list[_Waiting] = []
        held: list[_Waiting] = []
        streams: set[str] = set()
        events = size = 0
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.done.cancelled():
                continue
            if waiting.append.stream in streams:
                held.append(waiting)
                continue
            events += len(waiting.append.events)
            size += waiting.size
            if batch and (events > COMMIT_EVENTS_MAX or size > COMMIT_BYTES_MAX):
                held.append(waiting)
                break
            batch.append(waiting)
            streams.add(waiting.append.stream)
            if len(batch) % TAKEN_A_LOOK == 0:
                await pace.breathe()
        self._waiting.extendleft(reversed(held))
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        results = await self._try([waiting.append for waiting in batch])
        self._note_room(results)
        pace = Pace()
        unknown = []
        woken = 0
        for waiting, result in zip(batch, results, strict=True):
            if isinstance(result, OutcomeUnknown):
                unknown.append((waiting, result))
            else:
                waiting.answer(result)
                woken += waiting.done.done()
            if woken == WOKEN_A_TURN:
                woken = 0
                await asyncio.sleep(0)
            elif not waiting.done.done():  # one of many: nobody was woken
                await pace.breathe()
        if unknown:
            await self._settle(unknown)

    def _note_room(self, results: list[Result]) -> None:
        if any(isinstance(result, NotWritten) for result in results):
            self.refused_at = clock.monotonic()
        elif any(isinstance(result, list) for result in results):
            self.refused_at = None

    async def _settle(self, unknown: list[tuple[_Waiting, OutcomeUnknown]]) -> None:
        """Send the identical appends together until each is recorded or in conflict. Nothing else
        settles them: that a *later* try was not written says nothing about the first. They are
        fresh no longer.
        """
        for delay in RETRY_DELAYS_S:
            await asyncio.sleep(delay)
            results = await self._try([replace(each.append, fresh=False) for each, _ in unknown])
            still = []
            for (waiting, first), result in zip(unknown, results, strict=True):
                if isinstance(result, list | Conflict):
                    waiting.answer(result)
                else:
                    still.append((waiting, first))
            unknown = still
            if not unknown or any(isinstance(r, StoreFailed | StoreClosed) for r in results):
                break
        for waiting, first in unknown:
            waiting.answer(first)

    async def _try(self, appends: list[Append]) -> list[Result]:
        """Commit. What a driver raises instead of answering is the answer to every append."""
        try:
            return await self._store.commit(appends)
        except StoreError as error:
            return [error] * len(appends)
        except Exception as error:
            logger.exception("a commit failed in a way its driver does not know")
            return [OutcomeUnknown(repr(error))] * len(appends)
