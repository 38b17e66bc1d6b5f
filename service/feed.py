"""The log for whoever reads it from outside: in pages, or followed as it grows.

Everybody reads at their own pace: what is not asked for is not read, so a slow reader costs no
memory, and there is no queue that could overflow. A reader that goes on after the last position it
has seen misses nothing and gets nothing twice, however often it was cut off.

A page ends early when it is large, or when a filter had to pass over much: then it says that there
is more, and where to go on. Nothing that is not durable is ever read. What an event looks like in
an answer is `web.rendering`'s matter.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, NamedTuple, Protocol

from eventstore import clock
from eventstore.errors import StoreClosed, StoreFailed
from eventstore.event import Event
from eventstore.log import EventLog
from projections.projector import Projector
from service.holds import Holds

PAGE_BYTES_MAX: Final = 4 * 1024 * 1024  # of lines; a page of ordinary events has a tenth of it
SCAN_EVENTS_MAX: Final = 10_000  # passed over by one page's filter: some 30 ms of the store's time
READ_EVENTS: Final = 250  # at once: the thread that reads old lines also writes new ones
SILENCE_S: Final = 15.0
GATHER_S: Final = 0.05  # what comes within this goes out together: many may follow a busy log


class Wanted(NamedTuple):
    """Which events: of one type, of one stream."""

    type: str | None = None
    stream: str | None = None

    def fits(self, event: Event) -> bool:
        """Whether the event is one of them."""
        return self.type in (None, event.type) and self.stream in (None, event.stream)


class Page(NamedTuple):
    """Some events, the position up to which they are all there are, and if more may follow now."""

    events: list[Event]
    position: int
    more: bool


class _Source(Protocol):
    """Events that come bit by bit."""

    async def more(self) -> list[Event]:
        """The next ones, if there are any now."""
        ...

    async def wait(self) -> None:
        """Until there may be more. Whoever waits ends it in time."""
        ...


class Feed:
    """Reads a log for others."""

    def __init__(self, log: EventLog, projector: Projector, holds: Holds) -> None:
        self._log = log
        self._projector = projector
        self._holds = holds

    async def log_id(self) -> str:
        """Which log this is."""
        [opened] = await self._log.read(0, 1)
        return str(opened.data["log_id"])

    async def page(self, after: int, *, limit: int, wanted: Wanted) -> Page:
        """At most `limit` of the events above a position, in order."""
        if wanted.stream is not None:
            head = await self._log.head()
            events = await self._log.read_stream(wanted.stream)
            chosen = [event for event in events if after < event.pos <= head]
            page = _cut(chosen, after, limit, wanted)
            return page if page.more else page._replace(position=max(after, head))
        found: list[Event] = []
        at_once = READ_EVENTS if wanted.type else min(READ_EVENTS, limit + 1)
        for _ in range(0, SCAN_EVENTS_MAX, READ_EVENTS):
            events = await self._log.read(after, at_once)
            page = _cut(found + events, after, limit, wanted)
            if page.more or not events:
                return page
            found, after = page.events, page.position
        return Page(found, after, more=True)

    def follow(self, after: int, wanted: Wanted) -> AsyncIterator[list[Event]]:
        """The wanted events above a position, as they come, until the service stops; nothing, from
        time to time, when none come.
        """
        return self._followed(_InLog(self._log, after, wanted))

    def follow_job(self, job_id: str, after: int) -> AsyncIterator[list[Event]]:
        """The same of one job. Costs nothing while the job does not move."""
        return self._followed(_OfJob(self._log, self._projector, job_id, after))

    async def _followed(self, source: _Source) -> AsyncIterator[list[Event]]:
        said_at = clock.monotonic()
        while not self._holds.ended:
            try:
                events = await source.more()
                left_s = said_at + SILENCE_S - clock.monotonic()
                if not events and left_s > 0:
                    async with self._holds.hold(left_s):
                        await source.wait()
                    continue
            except (StoreClosed, StoreFailed):
                return
            yield events
            said_at = clock.monotonic()


class _InLog:
    """The events of a whole log. Those of one stream are found without reading the others, up to
    where the log ended at first.
    """

    def __init__(self, log: EventLog, after: int, wanted: Wanted) -> None:
        self._log = log
        self._after = after
        self._wanted = wanted
        self._found = wanted.stream is None
        self._behind = True

    async def more(self) -> list[Event]:
        """See _Source."""
        if not self._found:
            events = await self._of_stream()
        else:
            events = await self._log.read(self._after, READ_EVENTS)
            self._after = events[-1].pos if events else self._after
            self._behind = bool(events)
        return [event for event in events if self._wanted.fits(event)]

    async def wait(self) -> None:
        """See _Source."""
        if self._behind:
            await asyncio.sleep(0)
        else:
            await self._log.wait(self._after, SILENCE_S)
            await asyncio.sleep(GATHER_S)

    async def _of_stream(self) -> list[Event]:
        assert self._wanted.stream is not None
        self._found = True
        head = await self._log.head()
        events = await self._log.read_stream(self._wanted.stream)
        after, self._after = self._after, max(self._after, head)
        return [event for event in events if after < event.pos <= head]


class _OfJob:
    """The events of one job."""

    def __init__(self, log: EventLog, projector: Projector, job_id: str, after: int) -> None:
        self._log = log
        self._projector = projector
        self._job_id = job_id
        self._after = after
        self._rev = 0

    async def more(self) -> list[Event]:
        """See _Source."""
        events = await self._log.read_stream(self._job_id, self._rev)
        self._rev = events[-1].rev if events else self._rev
        return [event for event in events if event.pos > self._after]

    async def wait(self) -> None:
        """See _Source. The read model may be behind what was read, but is never behind for long."""
        job = self._projector.get(self._job_id)
        if job is None or job.rev <= self._rev:
            await self._projector.moved(self._job_id)


def _cut(events: list[Event], after: int, limit: int, wanted: Wanted) -> Page:
    """The first of these events that are wanted, within the limits of a page. `after` is where they
    begin, or where those in front, which had been found before, ended.
    """
    found: list[Event] = []
    size = 0
    for event in events:
        if len(found) == limit or size >= PAGE_BYTES_MAX:
            return Page(found, after, more=True)
        after = max(after, event.pos)
        if wanted.fits(event):
            found.append(event)
            size += len(event.line)
    return Page(found, after, more=False)
