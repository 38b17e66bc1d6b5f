"""Messages, letters and attempts to send them, for tests of the kind `email`.

`attempt_after` is the next attempt of a job, which begins with what the one before has settled, as
the log would have it.
"""

from typing import Any

import msgspec

from service.processors import Attempt
from service.processors.email import Stationery
from service.processors.email.message import Email
from service.processors.email.mime import Letter, render
from tests.support.build import NOON

JOB = "01a20bc5-9325-75a2-b450-d27742b0db04"
ADA, EVE, BOB = "ada@example.com", "eve@example.org", "bob@example.net"
SENDER = "jobs@joblog.example"
DATE = "Mon, 23 Nov 2026 12:00:00 +0000"
MESSAGE_ID = f"<{JOB}@joblog.example>"


def email(**fields: Any) -> Email:
    """A message as it would be posted."""
    posted = {"to": ADA, "subject": "Hello", "body": "How are you?", "from": SENDER}
    return msgspec.convert(posted | fields, Email)


def letter(**fields: Any) -> Letter:
    """Its bytes."""
    return render(email(**fields), job_id=JOB, message_id=MESSAGE_ID, date=DATE)


def attempt(number: int = 1, *, job_id: str = JOB, **more: Any) -> Attempt:
    """An attempt to send it."""
    return Attempt(
        job_id=job_id,
        number=number,
        token=number,
        created_at=NOON,
        started_at=NOON,
        timeout_s=60,
        **more,
    )


def attempt_after(before: Attempt) -> Attempt:
    """The next one."""
    return attempt(
        before.number + 1,
        job_id=before.job_id,
        facts=before.facts,
        accepted=set(before.accepted),
        refused=set(before.refused),
    )


def created(stationery: Stationery | None = None, **fields: Any) -> tuple[Any, Attempt]:
    """A job as its creation left it: payload, and first attempt."""
    ours = stationery or Stationery(SENDER)
    prepared = ours.prepare(email(**fields), JOB, NOON)
    return msgspec.to_builtins(prepared.payload), attempt(facts=prepared.facts)
