"""What holds for all jobs of a kind: whether it is paused, and how many may start.

Folded from the kind's own stream, `kind-<kind>`, so a restart remembers and the history shows who
did it; and from the starts of its jobs, which a rate limit spaces evenly: after a start the next is
due `per_s / count` seconds later (a split microsecond is a whole one), and never sooner, so no
stretch of `per_s` seconds has more than `count` of them, across restarts too.

Pure, like `job`: the time is in the events. Holding to the limits is the board's matter, and a kind
without events has none.
"""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from eventstore.event import NEW, Event, Head, latest
from eventstore.timestamp import EPOCH, Timestamp, later
from projections.events import KIND_EVENTS, PauseCause, Rate, upcast

KIND_STREAM: Final = "kind-"
US: Final = 0.000001


class Pause(msgspec.Struct, frozen=True):
    """Since when, by whom, and why: `cause` is a fact, `reason` somebody's words."""

    at: Timestamp
    by: str | None
    cause: PauseCause
    reason: str | None


class Kind(msgspec.Struct, frozen=True):
    """A kind as its events leave it. `next_start_at` is when its rate permits another start."""

    name: str
    pause: Pause | None = None
    concurrency: int | None = None
    rate: Rate | None = None
    next_start_at: Timestamp = EPOCH
    rev: int = 0
    pos: int = 0

    @property
    def head(self) -> Head:
        """Where its stream ends."""
        return Head(self.rev, self.pos) if self.rev else NEW


def stream_of(kind: str) -> str:
    """The stream of a kind's own events."""
    return KIND_STREAM + kind


def evolve_kind(kind: Kind | None, event: Event) -> Kind:
    """The kind after one more event of its stream; an unknown type moves only where that ends."""
    kind = kind or Kind(event.stream.removeprefix(KIND_STREAM))
    kind = replace(kind, rev=event.rev, pos=event.pos)
    if event.type not in KIND_EVENTS:
        return kind
    return _STEPS[event.type](kind, event, upcast(event.type, event.v, event.data))


def after_start(kind: Kind, time: Timestamp) -> Kind:
    """The kind once one more of its jobs was started."""
    if kind.rate is None:
        return kind
    return replace(kind, next_start_at=paced(kind.rate, kind.next_start_at, time))


def paced(rate: Rate, next_start_at: Timestamp, time: Timestamp) -> Timestamp:
    """When the start after one at `time` may be, at this rate."""
    microseconds = ceil(round(rate["per_s"] / US) / rate["count"])
    return later(latest(next_start_at, time), microseconds * US)


def _paused(kind: Kind, event: Event, data: Any) -> Kind:
    reason = (event.private or {}).get("reason")
    return replace(kind, pause=Pause(event.time, event.meta.get("actor"), data["cause"], reason))


def _resumed(kind: Kind, _: Event, __: Any) -> Kind:
    return replace(kind, pause=None)


def _limited(kind: Kind, event: Event, data: Any) -> Kind:
    rate = data["rate"]
    soonest = EPOCH if rate is None else min(kind.next_start_at, paced(rate, EPOCH, event.time))
    return replace(kind, concurrency=data["concurrency"], rate=rate, next_start_at=soonest)


Step: TypeAlias = Callable[[Kind, Event, Any], Kind]

_STEPS: Final[Mapping[str, Step]] = {
    "KindPaused": _paused,
    "KindResumed": _resumed,
    "KindLimited": _limited,
}
