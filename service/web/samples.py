"""The examples that the API's document shares: one job, at several moments of its life.

An example stands beside the call it belongs to; here are those that several calls show. Ids and
times are made up but fit together, so that a reader can follow the job from answer to answer.

Nothing here is ever stored.
"""

from typing import Any, Final

from msgspec.structs import replace

from projections.job import Status
from service.web.document import AttemptEntry, AttemptError, JobDocument, LastError, Links, location
from service.web.fields import JOB_ID

LOG_ID: Final = "da7c75f70b82ec7eea15a4f8437ca953"

_PAYLOAD: Final = {"to": "ada@example.com", "subject": "Hello", "body": "How are you?"}
_REPLY: Final = "451 4.3.0 mail system temporarily unavailable"

PENDING: Final = JobDocument(
    id=JOB_ID,
    kind="email",
    status=Status.PENDING,
    attempts=0,
    max_attempts=3,
    crashes=0,
    priority=0,
    created_at="2026-11-24T04:17:07.365228Z",
    run_at="2026-11-24T04:17:07.365228Z",
    expires_at=None,
    started_at=None,
    finished_at=None,
    next_attempt_at="2026-11-24T04:17:07.365228Z",
    held_at=None,
    cancel_requested_at=None,
    waited_s=0.0,
    ran_s=0.0,
    payload=_PAYLOAD,
    result=None,
    failed_because=None,
    last_error=None,
    attempt_log=[],
    rev=1,
    links=Links(location(JOB_ID), f"{location(JOB_ID)}/events"),
)

_FAILED_ONCE: Final = AttemptEntry(
    attempt=1,
    worker="w-3f9a",
    started_at="2026-11-24T04:17:07.373682Z",
    ended_at="2026-11-24T04:17:07.445860Z",
    outcome="error",
    error=AttemptError("error", "SMTPResponseException", _REPLY),
    retry_at="2026-11-24T04:17:12.105858Z",
)

COMPLETED: Final = replace(
    PENDING,
    status=Status.COMPLETED,
    attempts=2,
    started_at="2026-11-24T04:17:07.373682Z",
    finished_at="2026-11-24T04:17:12.159051Z",
    next_attempt_at=None,
    waited_s=4.669639,
    ran_s=0.124184,
    result={"transport": "smtp", "reply": "250 2.0.0 queued as 4bT1f92"},
    last_error=LastError(1, "error", "SMTPResponseException", _REPLY),
    attempt_log=[
        _FAILED_ONCE,
        AttemptEntry(
            attempt=2,
            worker="w-3f9a",
            started_at="2026-11-24T04:17:12.107045Z",
            ended_at="2026-11-24T04:17:12.159051Z",
            outcome="completed",
            error=None,
            retry_at=None,
        ),
    ],
    rev=5,
)

AT_ONCE: Final = replace(  # of a kind that we know nothing of: it has no words of its own here
    PENDING,
    status=Status.COMPLETED,
    attempts=1,
    started_at="2026-11-24T04:17:07.373682Z",
    finished_at="2026-11-24T04:17:07.445860Z",
    next_attempt_at=None,
    waited_s=0.008454,
    ran_s=0.072178,
    attempt_log=[replace(_FAILED_ONCE, outcome="completed", error=None, retry_at=None)],
    rev=3,
)

CANCELLED: Final = replace(
    PENDING,
    status=Status.CANCELLED,
    finished_at="2026-11-24T04:18:02.700151Z",
    next_attempt_at=None,
    waited_s=55.334923,
    rev=2,
)

RETRIED: Final = replace(CANCELLED, status=Status.PENDING, finished_at=None, rev=3)

RUNNING: Final = replace(
    PENDING,
    status=Status.PROCESSING,
    attempts=1,
    started_at="2026-11-24T04:17:07.373682Z",
    next_attempt_at=None,
    waited_s=0.008454,
    attempt_log=[replace(_FAILED_ONCE, ended_at=None, outcome=None, error=None, retry_at=None)],
    rev=2,
)

STOPPING: Final = replace(RUNNING, cancel_requested_at="2026-11-24T04:17:09.011874Z", rev=3)

WAITING: Final = replace(
    RUNNING,
    status=Status.PENDING,
    next_attempt_at="2026-11-24T04:17:12.105858Z",
    ran_s=0.072178,
    last_error=LastError(1, "error", "SMTPResponseException", _REPLY),
    attempt_log=[_FAILED_ONCE],
    rev=3,
)

EVENTS: Final[list[dict[str, Any]]] = [
    {
        "pos": 3,
        "time": "2026-11-24T04:17:07.365228Z",
        "type": "JobCreated",
        "v": 1,
        "stream": JOB_ID,
        "rev": 1,
        "data": {
            "kind": "email",
            "run_at": "2026-11-24T04:17:07.365228Z",
            "priority": 0,
            "max_attempts": 3,
            "max_crashes": 5,
            "backoff": {"base_s": 5, "factor": 4, "cap_s": 3600},
            "timeout_s": 60,
        },
        "private": {"payload": _PAYLOAD},
        "meta": {"n": "5d0c1f7a9b3e2246", "actor": "key:billing", "request": "7f3a9c0e5d1b2846"},
    },
    {
        "pos": 4,
        "time": "2026-11-24T04:17:07.373682Z",
        "type": "AttemptStarted",
        "v": 1,
        "stream": JOB_ID,
        "rev": 2,
        "data": {
            "attempt": 1,
            "worker": "w-3f9a",
            "epoch": 7,
            "lease_s": 30,
            "lease_until": "2026-11-24T04:17:37.373682Z",
        },
        "meta": {"n": "0f4e6b8d21c7a935", "actor": "worker:w-3f9a"},
    },
]


def of_kind(job: JobDocument, kind: str, payload: Any) -> JobDocument:
    """A sample as one of this kind. What came of it, and what went wrong, was said by the kind of
    the sample: one of another kind shows neither.
    """
    if kind != job.kind and job.status is Status.COMPLETED:
        job = AT_ONCE
    return replace(job, kind=kind, payload=payload)
