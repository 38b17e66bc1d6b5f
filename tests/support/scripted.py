"""ScriptedStore: a store in memory whose commits follow a script, for tests of what stands above a
store.

The script has one entry a commit, in order: answer as usual, lose the batch before or after it was
recorded, refuse it, fail for good. After its end all goes well. `hold()` keeps commits from
finishing until `let_go()`, so that a test can say what happens *during* one; `commits` tells what
was sent, which is what group commit and retries are about.

It keeps the contract otherwise: it is a MemoryStore below.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeAlias

from eventstore.errors import NotWritten, OutcomeUnknown, StoreFailed
from eventstore.event import NEW, Append, Event, Head, NewEvent
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from eventstore.store import Result
from tests.eventstore.driver import event

Record: TypeAlias = Callable[[], list[Result]]
Step: TypeAlias = Callable[[Sequence[Append], Record], list[Result]]


def well(batch: Sequence[Append], record: Record) -> list[Result]:
    """Records it and says so."""
    return record()


def lost_before(batch: Sequence[Append], record: Record) -> list[Result]:
    """Nothing arrives, and nobody can tell."""
    return [OutcomeUnknown("lost before") for _ in batch]


def lost_after(batch: Sequence[Append], record: Record) -> list[Result]:
    """All of it is recorded, but the answer is lost."""
    record()
    return [OutcomeUnknown("lost after") for _ in batch]


def refused(batch: Sequence[Append], record: Record) -> list[Result]:
    """Certainly not recorded."""
    return [NotWritten("full") for _ in batch]


def failed(batch: Sequence[Append], record: Record) -> list[Result]:
    """The store is done, and says so by raising."""
    raise StoreFailed("the disk")


def unforeseen(batch: Sequence[Append], record: Record) -> list[Result]:
    """A mistake of the driver's, after it recorded the batch."""
    record()
    raise RuntimeError("unforeseen")


class ScriptedStore(MemoryStore):
    """See the module."""

    def __init__(self, *script: Step) -> None:
        super().__init__(log_id=f"{1:032x}")
        self.commits: list[list[Append]] = []
        self._script: Iterator[Step] = iter(script)
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Commits begin but do not end."""
        self._open.clear()

    def let_go(self) -> None:
        """Those held end, and those to come."""
        self._open.set()

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        """See EventStore."""
        self.commits.append(list(batch))
        step = next(self._script, well)
        await self._open.wait()
        results: list[Result] = []

        def record() -> list[Result]:
            results.extend(map(self._commit_one, batch))
            return results

        self._refuse_if_closed()
        try:
            return step(batch, record)
        finally:
            self._announce()


def log_over(store: ScriptedStore) -> EventLog:
    """A log with dice of its own; two logs over one store need other ones."""
    return EventLog(store, dice=Random(1))


def soon(
    log: EventLog, stream: str, *new: NewEvent, expected: Head = NEW
) -> "asyncio.Task[list[Event]]":
    """An append under way; of one event unless told otherwise."""
    return asyncio.create_task(log.append(stream, expected, *(new or [event()])))


def streams_of(commits: list[list[Append]]) -> list[list[str]]:
    """Which streams each commit was about."""
    return [[append.stream for append in batch] for batch in commits]
