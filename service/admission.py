"""Whether new work is taken: closed while the disk is short of room, so that running work can still
be recorded.

Two water marks. This is the upper one: below `min_free_bytes`, or for a moment after the log could
not be written, intake answers 503 and workers claim nothing. The lower one is the store's: it gives
up a reserve file at the first "no space left", which leaves room for the outcomes of what already
runs. Nothing acknowledged is ever at stake.

It asks the file system at most once a second. It is not about who may post, nor how often.
"""

from collections.abc import Callable

from eventstore import clock
from eventstore.log import EventLog

ASK_EVERY_S = 1.0
RETRY_AFTER_S = 5  # when a client may ask again: room does not come back in a second


class IntakeClosedError(Exception):
    """No new work is taken now; nothing was recorded."""


class Admission:
    """Open or closed, and why."""

    def __init__(
        self, log: EventLog, *, free_bytes: Callable[[], int] | None, min_free_bytes: int
    ) -> None:
        self._log = log
        self._free_bytes = free_bytes
        self._min_free_bytes = min_free_bytes
        self._asked_at = float("-inf")
        self._closed_by: str | None = None

    def require_open(self) -> None:
        """Raise IntakeClosedError while no new work is taken."""
        reason = self.reason()
        if reason is not None:
            raise IntakeClosedError(reason)

    def reason(self) -> str | None:
        """Why it is closed; None while it is open."""
        now = clock.monotonic()
        refused_at = self._log.refused_at
        if refused_at is not None and now < refused_at + ASK_EVERY_S:
            return "the log has no room to write"
        if self._free_bytes is not None and now >= self._asked_at + ASK_EVERY_S:
            self._asked_at = now
            free = self._free_bytes()
            short = f"{free} bytes are free on the log's disk, {self._min_free_bytes} are needed"
            self._closed_by = short if free < self._min_free_bytes else None
        return self._closed_by
