"""MemoryStore: the contract in its shortest form.

The reference for what a store does, read it first. It keeps everything in two lists and forgets it
at the end, so it serves tests and demonstrations; it is not durable (the one clause of the contract
it does not keep), and not a cache.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from eventstore import clock
from eventstore.errors import Conflict, StoreClosed
from eventstore.event import NEW, Append, Event, latest, prepare, recorded
from eventstore.store import LOG_STREAM, PAGE_MAX, Result, first_result, log_opened
from eventstore.timestamp import EPOCH


class MemoryStore:
    """A log in memory."""

    def __init__(self, *, log_id: str) -> None:
        self._events: list[Event] = []
        self._streams: dict[str, list[Event]] = {}
        self._moved = asyncio.Event()  # set, and replaced, whenever the head moves
        self._closed = False
        opened = log_opened(log_id, clock.now())
        self._commit_one(prepare(LOG_STREAM, NEW, [opened], nonce=log_id[:16]))

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        """See EventStore."""
        self._refuse_if_closed()
        results = [self._commit_one(append) for append in batch]
        self._announce()
        return results

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        """See EventStore."""
        self._refuse_if_closed()
        return self._events[after : after + limit]

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        """See EventStore."""
        self._refuse_if_closed()
        return self._streams.get(stream, [])[after_rev:]

    async def head(self) -> int:
        """See EventStore."""
        self._refuse_if_closed()
        return len(self._events)

    async def wait(self, after: int, timeout: float) -> None:
        """See EventStore."""
        self._refuse_if_closed()
        if after >= len(self._events):
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):  # `wait_for` can lose a cancellation in 3.11
                    await self._moved.wait()
            self._refuse_if_closed()

    async def aclose(self) -> None:
        """See EventStore."""
        self._closed = True
        self._announce()

    def _commit_one(self, append: Append) -> Result:
        stream = self._streams.get(append.stream, [])
        actual = stream[-1].head if stream else NEW
        if actual != append.expected:
            since = stream[append.expected.rev :]
            conflict = Conflict(append.stream, append.expected, actual)
            return first_result(append, since) or conflict
        last_time = self._events[-1].time if self._events else EPOCH
        time = latest(last_time, append.time)
        events = recorded(append, pos=len(self._events) + 1, time=time)
        self._events += events
        self._streams[append.stream] = stream + events
        return events

    def _announce(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreClosed
