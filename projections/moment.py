"""A job as it was: the fold of its events up to a moment.

A moment is a position of the log, or a point in time. What had happened by then is every event at
or before the position, or not later than the time; nothing is guessed in between, so the answer is
what anybody was told then. A moment still to come is no different: nothing but what is known now
had happened by then.

Pure. Whoever asks brings the job's whole history, wherever it is from.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from eventstore.event import Event
from eventstore.store import POSITION_MAX
from eventstore.timestamp import Timestamp, parse
from projections.job import Job, fold


class Moment(NamedTuple):
    """Up to a position; or not later than a time, where there is one."""

    position: int = POSITION_MAX
    time: Timestamp | None = None

    def had(self, event: Event) -> bool:
        """Whether the event had happened by then."""
        return event.pos <= self.position and (self.time is None or event.time <= self.time)


class NotYetError(Exception):
    """The job did not exist then: it came later."""

    def __init__(self, created: Event) -> None:
        super().__init__(
            f"there was no job {created.stream} yet:"
            f" it was created at position {created.pos}, {created.time}"
        )


def moment(text: str) -> Moment:
    """The moment that a text names: digits are a position, anything else is an RFC 3339 time.

    Raises ValueError for what is neither.
    """
    if not (text.isascii() and text.isdigit()):
        return Moment(time=parse(text))
    position = int(text) if len(text) <= len(str(POSITION_MAX)) else POSITION_MAX + 1
    if position > POSITION_MAX:
        raise ValueError(f"no log has a position beyond {POSITION_MAX}")
    return Moment(position)


def as_it_was(history: Sequence[Event], then: Moment) -> Job:
    """The job of this history as it was. Raises NotYetError when it came later."""
    job = fold(takewhile(then.had, history))
    if job is None:
        raise NotYetError(history[0])
    return job
