"""The vocabulary: every event in the life of a job, its fields, and its version.

A type's fields are facts and never change their meaning. New optional members may be added;
anything else is a new version `v`, with a step in `upcast` that turns the old form into the new at
reading. The log itself is never rewritten, so whatever was once written stays readable
(`tests/projections/golden/` holds a line of every version).

| type             | who says so | what it means |
|------------------|-------------|---------------|
| `JobCreated`     | a client    | there is a job; it is due at `run_at` |
| `AttemptStarted` | a worker    | claimed, with a lease; durable before the processor runs |
| `LeaseRenewed`   | the worker  | still at it |
| `AttemptFailed`  | the worker, or who found it lost | over; `retry_at` null: no more |
| `JobCompleted`   | the worker  | done |
| `JobFailed`      | as `AttemptFailed`, in the same append | given up |
| `JobCancelled`   | a client    | not wanted any more |
| `JobRetried`     | a client    | open again with a new allowance; or, of a waiting job, due now |

`data` holds every decision; `private` (payload, error text, result) is for display only, and no
fold may decide by it. Times are timestamps (text), durations seconds. This module is pure and knows
no rules: those are in `job`.
"""

from typing import Any, Final, Literal, NotRequired, TypeAlias, TypedDict

from eventstore.errors import Unsupported
from eventstore.event import Json
from eventstore.timestamp import Timestamp

FailureReason: TypeAlias = Literal[
    "error", "timeout", "cancelled", "config", "lease_expired", "worker_lost", "released"
]
EndReason: TypeAlias = Literal["max_attempts", "permanent", "crashes"]

CRASHES: Final = frozenset({"lease_expired", "worker_lost"})  # the worker's end: counted apart
UNCOUNTED: Final = frozenset({"released", "config"})  # not the job's doing


class BackoffPolicy(TypedDict):
    """How long to wait before another attempt; see `service.backoff`."""

    base_s: float
    factor: float
    cap_s: float


class JobCreated(TypedDict):
    """Private: `payload`."""

    kind: str
    run_at: Timestamp
    priority: int
    max_attempts: int
    max_crashes: int
    backoff: BackoffPolicy
    timeout_s: float
    fingerprint: NotRequired[str]


class AttemptStarted(TypedDict):
    """`epoch` is the starting process's, null for a remote worker; `lease_until` is for people to
    read.
    """

    attempt: int
    worker: str
    epoch: int | None
    lease_s: float
    lease_until: Timestamp


class LeaseRenewed(TypedDict):
    """Only attempts that outlast a third of their lease write one."""

    attempt: int
    lease_s: float
    lease_until: Timestamp


class AttemptFailed(TypedDict):
    """Private: `error` and, where there is one, `traceback`."""

    attempt: int
    reason: FailureReason
    error_class: str
    retry_at: Timestamp | None
    duration_s: float


class JobCompleted(TypedDict):
    """Private: `result`."""

    attempt: int
    duration_s: float


class JobFailed(TypedDict):
    """Appended together with the last AttemptFailed, if an attempt ended it."""

    attempt: int
    reason: EndReason


class JobCancelled(TypedDict):
    """Private: `reason`, in the words of who cancelled."""


class JobRetried(TypedDict):
    """`max_attempts` is the new allowance: attempts count from 0 again, their numbers go on."""

    max_attempts: int
    run_at: Timestamp


class LogOpened(TypedDict):
    """The log's own first event."""

    log_id: str


class WriterStarted(TypedDict):
    """A process opened the log for writing; its number is its epoch."""

    epoch: int
    version: str


class LogSealed(TypedDict):
    """That process stopped in good order."""

    epoch: int


JOB_EVENTS: Final[dict[str, type]] = {
    "JobCreated": JobCreated,
    "AttemptStarted": AttemptStarted,
    "LeaseRenewed": LeaseRenewed,
    "AttemptFailed": AttemptFailed,
    "JobCompleted": JobCompleted,
    "JobFailed": JobFailed,
    "JobCancelled": JobCancelled,
    "JobRetried": JobRetried,
}
LOG_EVENTS: Final[dict[str, type]] = {
    "LogOpened": LogOpened,
    "WriterStarted": WriterStarted,
    "LogSealed": LogSealed,
}
VERSIONS: Final[dict[str, int]] = dict.fromkeys(JOB_EVENTS | LOG_EVENTS, 1)


def upcast(type_: str, v: int, data: Json) -> Any:
    """The `data` of an event in its type's newest form. No type has had two versions yet.

    Raises Unsupported for a version from the future: what it means is not known here.
    """
    if v > VERSIONS[type_]:
        raise Unsupported(f"{type_} v{v} was written by a newer joblog: use that one")
    return data
