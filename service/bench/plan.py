"""How much of everything a run does: one object, so that a test can shorten all of it at once.

The defaults are what fits into three minutes on two slow cores, and is still steady enough to be
compared. `--jobs` is the only part that a user chooses.
"""

from dataclasses import dataclass

CONNECTIONS = 64  # enough that a commit always has company, few enough to wait for each other
BATCH_ITEMS = 10_000  # the most that one request may bring
FEW_JOBS = 1_000  # what many pending jobs are compared with


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes and durations. A *slice* is one stretch of load; floor and joblog take turns."""

    jobs: int = 50_000  # finished, or pending, where the number of them is the point
    drained_jobs: int = 20_000
    batches: int = 5
    batch_items: int = BATCH_ITEMS
    few_jobs: int = FEW_JOBS
    slices: int = 3
    warm_s: float = 1.0
    slice_s: float = 1.5
    latency_s: float = 4.0
    blocked_s: float = 6.0
    list_s: float = 0.6  # for each of the lists
    delayed_jobs: int = 50
    starts: int = 3
    syncs: int = 500
    repeats: int = 3  # of what takes a moment only: the median counts
