"""The vocabulary: every event in the life of a job or a kind, its fields, and its version.

A type's fields are facts and never change their meaning. New optional members may be added;
anything else is a new version `v`, with a step in `upcast` that turns the old form into the new at
reading. The log itself is never rewritten, so whatever was once written stays readable
(`tests/projections/golden/` holds a line of every version).

| type             | who says so | what it means |
|------------------|-------------|---------------|
| `JobCreated`     | a client    | there is a job; it is due at `run_at` |
| `AttemptStarted` | a worker    | claimed, with a lease; durable before the processor runs |
| `LeaseRenewed`   | the worker  | still at it |
| `CancelRequested` | a client   | not wanted any more; the attempt that runs is asked to stop |
| `AttemptFailed`  | the worker, or who found it lost | over; `retry_at` null: no more by itself |
| `JobCompleted`   | the worker  | done |
| `JobHeld`        | as `AttemptFailed`, in the same append | waits until a person decides |
| `JobFailed`      | as `AttemptFailed`, in the same append; or who found it expired | given up |
| `JobCancelled`   | a client; or as `AttemptFailed`, once a cancellation was requested | ended |
| `JobRetried`     | a client    | open again with a new allowance; or, of a waiting job, due now |

A kind has a stream of its own, `kind-<kind>`: what was decided about its queue.

| type             | who says so | what it means |
|------------------|-------------|---------------|
| `KindPaused`     | an operator; the service when its settings are at fault | no more claims |
| `KindResumed`    | an operator | claims again |
| `KindLimited`    | an operator | how many at a time, how many in a time; null: no limit |

`data` holds every decision; `private` (payload, error text, result) is for display only, and no
fold may decide by it. Times are timestamps (text), durations seconds. This module is pure and knows
no rules: those are in `job`.
"""

from typing import Any, Final, Literal, NotRequired, TypeAlias, TypedDict

from eventstore.errors import Unsupported
from eventstore.event import Json
from eventstore.timestamp import Timestamp

FailureReason: TypeAlias = Literal[
    "error",
    "timeout",
    "unknown",
    "cancelled",
    "config",
    "lease_expired",
    "worker_lost",
    "released",
]
EndReason: TypeAlias = Literal["max_attempts", "permanent", "crashes", "expired", "unknown"]
Doubt: TypeAlias = Literal["retry", "hold", "fail"]  # what to do when nobody knows if it was done
PauseCause: TypeAlias = Literal["operator", "config"]

CRASHES: Final = frozenset({"lease_expired", "worker_lost"})  # the worker's end: counted apart
UNCOUNTED: Final = frozenset({"released", "config"})  # not the job's doing


class BackoffPolicy(TypedDict):
    """How long to wait before another attempt; see `service.backoff`."""

    base_s: float
    factor: float
    cap_s: float


class JobCreated(TypedDict):
    """Private: `payload`. `facts` are the kind's own, fixed for every attempt; at `expires_at` it
    is too late to begin one.
    """

    kind: str
    run_at: Timestamp
    priority: int
    max_attempts: int
    max_crashes: int
    backoff: BackoffPolicy
    timeout_s: float
    fingerprint: NotRequired[str]
    expires_at: NotRequired[Timestamp]
    facts: NotRequired[Json]


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


class CancelRequested(TypedDict):
    """Private: `reason`, in the words of who asked."""


class AttemptFailed(TypedDict):
    """Private: `error` and, where there is one, `traceback`. `accepted` and `refused` are the parts
    of the job, by index, that this attempt settled for good; `facts` the kind's own.
    """

    attempt: int
    reason: FailureReason
    error_class: str
    retry_at: Timestamp | None
    duration_s: float
    accepted: NotRequired[list[int]]
    refused: NotRequired[list[int]]
    facts: NotRequired[Json]


class JobCompleted(TypedDict):
    """Private: `result`."""

    attempt: int
    duration_s: float


class JobHeld(TypedDict):
    """Appended together with an AttemptFailed whose outcome nobody knows."""

    attempt: int


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


class KindPaused(TypedDict):
    """Private: `reason`, in the words of who paused it, or of the failure that did."""

    cause: PauseCause


class KindResumed(TypedDict):
    """Whatever paused it, it is over. Private: `reason`."""


class Rate(TypedDict):
    """At most `count` starts in any `per_s` seconds, evenly spread."""

    count: int
    per_s: float


class KindLimited(TypedDict):
    """Both limits as they are from now on."""

    concurrency: int | None
    rate: Rate | None


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
    "CancelRequested": CancelRequested,
    "AttemptFailed": AttemptFailed,
    "JobCompleted": JobCompleted,
    "JobHeld": JobHeld,
    "JobFailed": JobFailed,
    "JobCancelled": JobCancelled,
    "JobRetried": JobRetried,
}
KIND_EVENTS: Final[dict[str, type]] = {
    "KindPaused": KindPaused,
    "KindResumed": KindResumed,
    "KindLimited": KindLimited,
}
LOG_EVENTS: Final[dict[str, type]] = {
    "LogOpened": LogOpened,
    "WriterStarted": WriterStarted,
    "LogSealed": LogSealed,
}
VERSIONS: Final[dict[str, int]] = dict.fromkeys(JOB_EVENTS | KIND_EVENTS | LOG_EVENTS, 1)


def upcast(type_: str, v: int, data: Json) -> Any:
    """The `data` of an event in its type's newest form. No type has had two versions yet.

    Raises Unsupported for a version from the future: what it means is not known here.
    """
    if v > VERSIONS[type_]:
        raise Unsupported(f"{type_} v{v} was written by a newer joblog: use that one")
    return data
