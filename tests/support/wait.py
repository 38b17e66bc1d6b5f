"""Waiting for what a test is about, without sleeping: everything observable is an event, so one
helper is enough.

`until` follows the log and returns the first event that matches. Its time-out is virtual where the
loop is, so an hour costs nothing, and a test that waits for what never comes fails with the events
that came instead.

Not for read models: those have `reached(position)`.
"""

import asyncio
from collections.abc import Callable

from eventstore.event import Event
from eventstore.log import EventLog


async def until(
    log: EventLog, match: Callable[[Event], bool], *, after: int = 0, within: float = 3600
) -> Event:
    """The first event after a position that matches, as soon as it is recorded; at most `within`
    seconds from now.
    """
    seen: list[str] = []
    try:
        async with asyncio.timeout(within):
            async for page in log.subscribe(after):
                for event in page:
                    if match(event):
                        return event
                    seen.append(f"{event.pos} {event.type} of {event.stream}")
    except TimeoutError:
        raise AssertionError(f"no such event within {within} s; there were: {seen}") from None
    raise AssertionError("a subscription never ends")
