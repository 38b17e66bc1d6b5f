"""What callers submit to a small log, and what they were told of it.

`workload` makes up the appends; a `History` follows one life of a store and then says whether what
is found after it keeps every answer that was given. Nothing here knows a disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from eventstore.errors import NotWritten, OutcomeUnknown, StoreFailed
from eventstore.event import Head, NewEvent
from eventstore.store import Result

AT = "2026-11-23T12:00:00.000000Z"


class Broken(AssertionError):
    """The log broke a promise."""


class Planned(NamedTuple):
    """An append that the workload will make."""

    stream: str
    nonce: str
    events: tuple[NewEvent, ...]


def workload(*batches: Sequence[tuple[str, Sequence[int]]]) -> list[list[Planned]]:
    """Batches of appends; each is a stream and the bytes of padding in each of its events."""
    return [
        [
            Planned(stream, f"{number:08x}{item:08x}", tuple(map(padded, paddings)))
            for item, (stream, paddings) in enumerate(batch)
        ]
        for number, batch in enumerate(batches)
    ]


def padded(size: int) -> NewEvent:
    """An event with so many bytes in it."""
    return NewEvent("Noted", AT, {"padding": "x" * size})


# LogOpened is position 1. Of segments of six, the third batch begins at 6, so its append is torn
# between two of them; the fifth begins at 10 and is split after 12, where an append ends.
WORKLOAD = workload(
    [("a", [1])],
    [("b", [1, 60]), ("a", [1])],
    [("c", [1, 1, 400])],
    [("a", [1])],
    [("b", [1]), ("c", [1, 1]), ("a", [1])],
    [("d", [1, 1])],
    [("e", [1])],
)


@dataclass
class History:
    """What the callers of one run were told."""

    heads: dict[str, Head] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)  # in order, without what was refused
    refused: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)

    def submit(self, planned: Planned) -> None:
        """It is about to be sent, for the first time or again."""
        self.submitted.append(planned.nonce)
        self.refused.discard(planned.nonce)

    def settle(self, planned: Planned, result: Result) -> None:
        """What came of it. An unknown outcome leaves it where it is."""
        if isinstance(result, list):
            self.acknowledged.add(planned.nonce)
            self.heads[planned.stream] = result[-1].head
        elif isinstance(result, NotWritten | StoreFailed):
            self.submitted.remove(planned.nonce)
            self.refused.add(planned.nonce)
        elif not isinstance(result, OutcomeUnknown):
            raise Broken(f"{planned.nonce} was answered with {result!r}")

    def require(self, recovered: tuple[str, ...]) -> None:
        """Raise Broken unless a log with these appends keeps what the callers were told."""
        there = set(recovered)
        if lost := self.acknowledged - there:
            raise Broken(f"acknowledged and lost: {sorted(lost)}")
        if lost := self.shown - there:
            raise Broken(f"shown and lost: {sorted(lost)}")
        if wrong := self.refused & there:
            raise Broken(f"refused and recorded: {sorted(wrong)}")
        if list(recovered) != self.submitted[: len(recovered)]:
            raise Broken(f"{recovered} is not a beginning of {self.submitted}")
