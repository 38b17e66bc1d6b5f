"""joblog on a small scale, for trials that have seconds: segments of a few lines, so that most
commits reach the end of one, and less patience with whoever does not end his attempts.

A process gets it with the processors it loads (`near`, `far`), and, where a trial tries the trial,
a bug of `planted` with it. As a program it is `joblog` on that scale, for logs that were written
so: `python -m tests.e2e.small verify`. Nothing of joblog's code is other than it is.
"""

import os
from typing import Any

from eventstore.file import segment, verify
from eventstore.file.reader import Reader
from eventstore.file.store import FileStore
from service import Attempt, Permanent, cli, rescue

SEGMENT_EVENTS = 32
GRACE_S = 0.2
RAN = "JOBLOG_TRIAL_RAN"  # names the file in which processors say what they run
BUG = "JOBLOG_TRIAL_BUG"  # names a bug of `planted`


def shrink() -> None:
    """For the rest of this process."""
    for function in (FileStore.open, Reader.__init__, verify.verify):
        assert function.__kwdefaults__["segment_events"] == segment.SEGMENT_EVENTS
        function.__kwdefaults__["segment_events"] = SEGMENT_EVENTS
    segment.segment_of.__defaults__ = (SEGMENT_EVENTS,)
    rescue.LEASE_GRACE_S = GRACE_S


def note_run(attempt: Attempt) -> None:
    """Say outside of the log that this attempt runs: what a processor did cannot be undone."""
    line = f"{attempt.job_id} {attempt.number} {attempt.token}\n"
    handle = os.open(os.environ[RAN], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, line.encode())
    os.close(handle)


def end_as_told(payload: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
    """Fail the first `fails` attempts; for good with `refuse`."""
    if payload.get("refuse"):
        raise Permanent("not this one")
    if attempt.number <= payload.get("fails", 0):
        raise ValueError("not yet")
    return {"attempt": attempt.number}


if __name__ == "__main__":
    shrink()
    cli.main()
