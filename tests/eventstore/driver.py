"""An engine as the conformance suite sees it, and the words in which its cases are written.

A `Driver` is one line: how to open the log at a path, and what the engine can do. A `Case` is one
sentence of the contract under the number of its clause; what a driver cannot do, it is not asked.
Below them are the few verbs that the cases share: an append with a nonce of its own, a commit that
ought to succeed, the whole log page by page.

Nothing here checks anything about a store: that is `conformance`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeAlias

from eventstore.errors import Conflict, StoreError
from eventstore.event import NEW, Append, Event, Head, NewEvent, prepare
from eventstore.store import PAGE_MAX, EventStore, Result
from eventstore.timestamp import Timestamp

OpenStore: TypeAlias = Callable[[], AbstractAsyncContextManager[EventStore]]
OnStore: TypeAlias = Callable[[EventStore], Coroutine[Any, Any, None]]
OnOpening: TypeAlias = Callable[[OpenStore], Coroutine[Any, Any, None]]
Needs: TypeAlias = Literal["", "durable", "second_writer"]

NOON: Timestamp = "2026-11-23T12:00:00.000000Z"
SOON_S = 5.0  # longer than any engine takes to wake a waiter, much shorter than LONG_S
LONG_S = 3600.0

_nonces = count(1)


@dataclass(frozen=True, slots=True)
class Driver:
    """`open(path)` opens the one log of that path, and closes it on leaving."""

    name: str
    open: Callable[[Path], AbstractAsyncContextManager[EventStore]]
    durable: bool = True  # what was acknowledged is there when the path is opened again
    second_writer: bool = True  # the path can be opened while it is open
    real_time_only: bool = False  # needs threads or a server, so no frozen clock


@dataclass(frozen=True, slots=True)
class Case:
    """One sentence of the contract. `run` is given what opens the log, as often as it likes."""

    clause: str
    name: str
    needs: Needs
    run: OnOpening

    def asked_of(self, driver: Driver) -> bool:
        """Whether the driver promises this."""
        return not self.needs or bool(getattr(driver, self.needs))


CASES: list[Case] = []


def clause(number: int) -> Callable[[OnStore], None]:
    """Makes a case of clause C`number` that needs one open store."""

    def register(body: OnStore) -> None:
        async def run(open_store: OpenStore) -> None:
            async with open_store() as store:
                await body(store)

        CASES.append(Case(f"C{number}", body.__name__, "", run))

    return register


def clause_of_openings(number: int, *, needs: Needs) -> Callable[[OnOpening], None]:
    """Makes a case of clause C`number` that opens the log more than once, for drivers that can."""

    def register(body: OnOpening) -> None:
        CASES.append(Case(f"C{number}", body.__name__, needs, body))

    return register


def event(name: str = "Happened", /, *, time: Timestamp = NOON, **data: Any) -> NewEvent:
    """Something that happened at noon."""
    return NewEvent(name, time, data)


def events(number: int) -> list[NewEvent]:
    """So many, each saying which it is."""
    return [event(i=i) for i in range(number)]


def append(stream: str, expected: Head, *new: NewEvent) -> Append:
    """An append with a nonce of its own; of one event unless told otherwise."""
    return prepare(stream, expected, new or (event(),), nonce=f"{next(_nonces):016x}")


async def write(store: EventStore, *appends: Append) -> list[Event]:
    """Commit appends that ought to succeed; all their events."""
    results = await store.commit(appends)
    assert len(results) == len(appends)
    return [found for result in results for found in recorded_by(result)]


def recorded_by(result: Result) -> list[Event]:
    """The events of one entry of a commit's answer; raises its error if it is one."""
    if isinstance(result, StoreError):
        raise result
    return result


def conflict_of(result: Result) -> Conflict:
    """The conflict that an entry of a commit's answer must be."""
    assert isinstance(result, Conflict), result
    return result


def winners(results: Sequence[Result]) -> list[list[Event]]:
    """The entries that were recorded; every other must be a conflict."""
    won = [result for result in results if isinstance(result, list)]
    lost = [conflict_of(result) for result in results if not isinstance(result, list)]
    assert len(won) + len(lost) == len(results)
    return won


async def head_of(store: EventStore, stream: str) -> Head:
    """Where a stream ends."""
    found = await store.read_stream(stream)
    return found[-1].head if found else NEW


async def whole_log(store: EventStore, limit: int = PAGE_MAX) -> list[Event]:
    """Everything, page by page; each page must lead on."""
    found: list[Event] = []
    after = 0
    while page := await store.read(after, limit):
        assert len(page) <= limit
        assert page[0].pos > after
        found += page
        after = found[-1].pos
    return found


async def turns(number: int) -> None:
    """Let everything else run so many times."""
    for _ in range(number):
        await asyncio.sleep(0)
