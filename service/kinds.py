"""Kinds: pause, resume and limit what starts. The only writer of the kinds' own streams.

Each decision is an event on `kind-<kind>`, with who took it and why: a restart remembers, and the
history shows it. To say again what holds already records nothing. How the limits are kept is the
board's matter (`projections.board`), and what they are is folded in `projections.kind`.

A kind can also be paused by the service itself, when its settings are at fault (`config`): a login
that is refused would be refused for ten thousand jobs. Only a person resumes it.
"""

from collections.abc import Callable
from functools import reduce
from typing import TypeAlias

from eventstore import clock
from eventstore.errors import Conflict
from eventstore.event import Json, NewEvent
from eventstore.log import EventLog
from projections.events import KindLimited, KindPaused, PauseCause, Rate
from projections.kind import Kind, evolve_kind, stream_of
from projections.projector import Projector

CONFLICTS_MAX = 1000  # every attempt of a kind may try to pause it at once

Decide: TypeAlias = Callable[[Kind], NewEvent | None]


class Kinds:
    """Commands and queries."""

    def __init__(self, log: EventLog, projector: Projector) -> None:
        self._log = log
        self._projector = projector

    def get(self, name: str) -> Kind:
        """What holds for a kind."""
        return self._projector.kind(name)

    async def pause(
        self, name: str, *, meta: Json, reason: str | None, cause: PauseCause = "operator"
    ) -> Kind:
        """No more claims. Attempts under way go on."""

        def decide(kind: Kind) -> NewEvent | None:
            if kind.pause is not None:
                return None
            private = {"reason": reason} if reason else None
            return NewEvent("KindPaused", clock.now(), dict(KindPaused(cause=cause)), private, meta)

        return await self._execute(name, decide)

    async def resume(self, name: str, *, meta: Json, reason: str | None) -> Kind:
        """Claims again, whatever had paused it."""

        def decide(kind: Kind) -> NewEvent | None:
            if kind.pause is None:
                return None
            private = {"reason": reason} if reason else None
            return NewEvent("KindResumed", clock.now(), {}, private, meta)

        return await self._execute(name, decide)

    async def limit(
        self, name: str, *, concurrency: int | None, rate: Rate | None, meta: Json
    ) -> Kind:
        """So many at a time, so many in a time; None: no limit."""

        def decide(kind: Kind) -> NewEvent | None:
            if (kind.concurrency, kind.rate) == (concurrency, rate):
                return None
            data = KindLimited(concurrency=concurrency, rate=rate)
            return NewEvent("KindLimited", clock.now(), dict(data), None, meta)

        return await self._execute(name, decide)

    async def _execute(self, name: str, decide: Decide) -> Kind:
        """Decide on what the stream holds, record it, and let the board know before returning:
        also of what somebody else recorded just before.
        """
        stream = stream_of(name)
        for _ in range(CONFLICTS_MAX):
            kind = reduce(evolve_kind, await self._log.read_stream(stream), Kind(name))
            if (event := decide(kind)) is not None:
                try:
                    [recorded] = await self._log.append(stream, kind.head, event)
                except Conflict:
                    continue
                kind = evolve_kind(kind, recorded)
            await self._projector.reached(kind.pos)
            return kind
        raise AssertionError(f"{CONFLICTS_MAX} conflicts in a row on {stream}")
