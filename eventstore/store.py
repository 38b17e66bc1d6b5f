"""The EventStore protocol: six methods, and the contract that every engine keeps.

The boundary is as small as the idea: record events where a stream still ends where you think it
does, read them back in order, be told when there are more. It has no job verbs. Claiming, retrying
and cancelling are pure functions over events, written once above it, so an engine costs little.
Drivers hold no policy and no telemetry.

| clause | |
|---|---|
| C1 atomic       | all events of an Append or none, consecutive revs and positions, in order |
| C2 expected     | another head: `Conflict(stream, expected, actual)`, nothing written |
| C3 idempotent   | the same append (by nonce) again: the first result, nothing written |
| C4 one winner   | of concurrent appends with one expected head exactly one succeeds |
| C5 read your writes | what commit returned is in the next read of this store object |
| C6 no surprises | once position p was read, no event with a position <= p newly appears |
| C7 order        | revs without gap; positions strictly increasing; within a stream both agree; |
|                 | times never go back |
| C8 pages        | at most `limit`; empty = the end for now; an unknown stream is empty |
| C9 wait         | returns soon after the head moves, at once if behind, at timeout, or early |
| C10 fidelity    | what was written comes back equal (Unicode, nesting, null, 2^53-1) |
| C11 cancelled   | a cancelled commit is recorded wholly or not at all; the store stays usable |
| C12 close       | idempotent; ends waiters with `StoreClosed`; acknowledged appends survive the |
|                 | death of the process (all but memory) |

Position 1 of every log is `LogOpened` on stream `log`, with the log's id. Nothing unsynced is ever
shown by a read.

`commit` returns the events as recorded rather than a bare head: the writer may raise their time,
and a caller who folds its own guess would answer with a state that the log does not hold.

`tests/eventstore/conformance.py` is this table as tests; passing it is the definition of "works".
Not here: group commit, retrying, subscriptions. Those are written once, in `eventstore/log.py`.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from eventstore.errors import StoreError
from eventstore.event import Append, Event, NewEvent
from eventstore.timestamp import Timestamp

PAGE_MAX = 1_000  # events a read returns at most unless asked otherwise: about 300 kB
POSITION_MAX = 2**63 - 1  # what engines keep in a column of integers
COMMIT_EVENTS_MAX = 16_384  # a commit is written in one go: these two bound its time and memory
COMMIT_BYTES_MAX = 16 * 1024 * 1024
LOG_STREAM = "log"  # the log's own events: LogOpened, WriterStarted, LogSealed

Result: TypeAlias = list[Event] | StoreError


class EventStore(Protocol):
    """Where events are kept. See the contract above."""

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        """Record a batch: each item all or nothing, items independent of each other, a stream at
        most once.

        The answer has one entry an item, in order: its events as recorded, or its error. All
        entries are final: what they rest on is durable. Raises StoreFailed or StoreClosed when
        nothing of the batch was tried.
        """
        ...

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        """The whole log in order, from the first event with a position above `after`."""
        ...

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        """One stream in order, from revision `after_rev` + 1. Streams are short: no pages."""
        ...

    async def head(self) -> int:
        """The position of the last event."""
        ...

    async def wait(self, after: int, timeout: float) -> None:
        """Return when the head is past `after`, or after `timeout` seconds, or early. A hint:
        reading is the truth.
        """
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of the log."""
        ...


def log_opened(log_id: str, time: Timestamp) -> NewEvent:
    """The first event of every log."""
    return NewEvent("LogOpened", time, {"log_id": log_id})


def first_result(append: Append, since: Sequence[Event]) -> list[Event] | None:
    """What this very append recorded when it was made before (C3); None if it never was.

    `since` are the events of its stream after the expected revision. The event at `expected.rev` +
    1 decides: with our nonce it is ours and so are those that follow it in the append; with another
    it is somebody else's.
    """
    mine = list(since[: len(append.events)])
    return mine if mine and all(event.nonce == append.nonce for event in mine) else None
