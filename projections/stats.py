"""How many jobs there are, of which kind and in which state, and how long the last ones waited and
ran.

Counts are kept as events are folded, so asking costs nothing; they begin with what the table holds.
Latencies are of the last SAMPLES_MAX attempts that this process saw end (or, for waiting, begin):
they are not in the table, so after a start they fill up anew.

| measure | from | to |
|---------|------|----|
| wait    | when the attempt was due, or the job was created if later | when it started |
| run     | when it started | when it ended, however it did |

Pure: no I/O, no clock. What depends on the time (what is due by now) is asked of the table.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from eventstore.event import latest
from eventstore.timestamp import Timestamp, seconds_between
from projections.job import Job, Status

SAMPLES_MAX: Final = 1_000

_Span: TypeAlias = tuple[Timestamp, Timestamp]  # how long it is, is computed when somebody asks


class Latency(msgspec.Struct, frozen=True):
    """Percentiles of some durations, in seconds; `samples` is how many there are."""

    samples: int
    p50: float
    p95: float
    p99: float


class JobStats:
    """Counts and latencies of all jobs."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Status]] = Counter()
        self._waits: deque[_Span] = deque(maxlen=SAMPLES_MAX)
        self._runs: deque[_Span] = deque(maxlen=SAMPLES_MAX)

    def begin(self, counts: Mapping[tuple[str, Status], int]) -> None:
        """Take these counts for what there is."""
        self._counts = Counter(counts)

    def apply(self, before: Job | None, job: Job) -> None:
        """Take in what an event made of a job; `before` is None for a new one."""
        if before is not None:
            if before.status is job.status:
                return
            self._counts[before.kind, before.status] -= 1
            self._measure(before, job)
        self._counts[job.kind, job.status] += 1

    def by_kind(self) -> dict[str, dict[Status, int]]:
        """How many jobs of each kind, in each state; kinds in order."""
        kinds = sorted({kind for (kind, _), count in self._counts.items() if count})
        return {kind: {each: self._counts[kind, each] for each in Status} for kind in kinds}

    def by_status(self) -> dict[Status, int]:
        """How many jobs in each state."""
        kinds = self.by_kind().values()
        return {each: sum(counts[each] for counts in kinds) for each in Status}

    def waits(self) -> Latency | None:
        """How long attempts waited before they started; None when none was seen."""
        return latency(seconds_between(*span) for span in self._waits)

    def runs(self) -> Latency | None:
        """How long attempts ran; None when none was seen to end."""
        return latency(seconds_between(*span) for span in self._runs)

    def _measure(self, before: Job, job: Job) -> None:
        if job.status is Status.PROCESSING and before.next_attempt_at is not None:
            due_at = latest(before.next_attempt_at, job.created_at)
            self._waits.append((due_at, job.since))
        elif before.status is Status.PROCESSING:
            self._runs.append((before.since, job.since))


def latency(samples_s: Iterable[float]) -> Latency | None:
    """Percentiles by nearest rank: each is one of the samples. None of none."""
    ordered = sorted(samples_s)
    if not ordered:
        return None
    ranks = (math.ceil(len(ordered) * share / 100) - 1 for share in (50, 95, 99))
    return Latency(len(ordered), *(ordered[rank] for rank in ranks))
