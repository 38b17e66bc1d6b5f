"""An attempt that failed, as a test wants to see it: which, why, and where in the processor.

A failure is a normal thing for a job, so nothing is raised for it in a test. It must not be hidden
either: the kit collects these from the log, and logs each, so that pytest shows the traceback below
an assertion that it made fail.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from eventstore.event import Event


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """`reason` is the log's word for it: `error`, `timeout`, `worker_lost` …"""

    job_id: str
    attempt: int
    reason: str
    error_class: str
    message: str
    traceback: str | None = field(repr=False)

    def __str__(self) -> str:
        said = f"{self.error_class}: {self.message}".removesuffix(": ")
        first = f"job {self.job_id}: attempt {self.attempt} failed ({self.reason}): {said}"
        return first if self.traceback is None else f"{first}\n{self.traceback.rstrip()}"


def failed_attempts(events: Iterable[Event]) -> Iterator[FailedAttempt]:
    """Those that these events tell of."""
    for event in events:
        if event.type == "AttemptFailed":
            words = event.private or {}
            yield FailedAttempt(
                job_id=event.stream,
                attempt=event.data["attempt"],
                reason=event.data["reason"],
                error_class=event.data["error_class"],
                message=words.get("error", ""),
                traceback=words.get("traceback"),
            )
