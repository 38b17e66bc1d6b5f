"""Whether new work is taken: closed while the disk is short of room, so that running work can still
be recorded, and for what would make more open jobs than there may be.

Room on the disk has two water marks. This is the upper one: below `min_free_bytes`, or for a moment
after the log could not be written, intake answers 503 and workers claim nothing. The lower one is
the store's: it gives up a reserve file at the first "no space left", which leaves room for the
outcomes of what already runs. Nothing acknowledged is ever at stake. The file system is asked at
most once a second.

Open jobs are counted with those that are being recorded at this moment, so the limit holds for
requests that arrive together. It is about intake only: work goes on, and a retry of a finished job
is not refused. On several nodes each counts by its own board.

It is not about who may post, nor how often.
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
        self,
        log: EventLog,
        *,
        free_bytes: Callable[[], int] | None,
        min_free_bytes: int,
        open_jobs: Callable[[], int],
        max_pending: int,
    ) -> None:
        self._log = log
        self._free_bytes = free_bytes
        self._min_free_bytes = min_free_bytes
        self._open_jobs = open_jobs
        self._max_pending = max_pending
        self._arriving = 0  # jobs that are being recorded
        self._room_for_one = Room(self, 1)
        self._asked_at = float("-inf")
        self._closed_by: str | None = None

    def require_room(self, jobs: int = 1) -> None:
        """Raise IntakeClosedError while no new work is taken, or not so much."""
        reason = self.reason()
        if reason is not None:
            raise IntakeClosedError(reason)
        there = self._open_jobs() + self._arriving
        if there + jobs > self._max_pending:
            raise IntakeClosedError(
                f"{there} jobs are open, at most {self._max_pending} may be:"
                f" there is no room for {jobs} more now"
            )

    def room(self, jobs: int = 1) -> "Room":
        """Room for so many jobs while they are being recorded, for the length of a `with`. Raises
        IntakeClosedError.
        """
        self.require_room(jobs)
        return self._room_for_one if jobs == 1 else Room(self, jobs)

    def arrive(self, jobs: int) -> None:
        """So many more are being recorded; fewer, if it is negative."""
        self._arriving += jobs

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


class Room:
    """See Admission.room."""

    def __init__(self, admission: Admission, jobs: int) -> None:
        self._admission = admission
        self._jobs = jobs

    def __enter__(self) -> None:
        self._admission.arrive(self._jobs)

    def __exit__(self, *_: object) -> None:
        self._admission.arrive(-self._jobs)
