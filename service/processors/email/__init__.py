"""The built-in kind `email`: a message, what is fixed about it for good, and what carries it.

When a job is created its message gets a sender, a Message-ID (from the job's id) and a Date, is
rendered once, and the SHA-256 of the bytes goes into the log. Each attempt renders it again from
payload and facts, which gives the same bytes; so a receiver can tell a repeat, and an auditor can
prove what was sent. Should they differ all the same, because another version of Python or of joblog
encodes differently, the mail is sent nevertheless: whoever waits for it is better off, and the
record does not lie, because the attempt's result (or the facts of its failure) has the SHA-256 of
what it sent, beside the one from the creation, and the service's own log has a warning.

    message   what a client posts              classify   what a server's answer means
    mailbox   an address in it                 session    one connection, step by step
    header    the header block, checked        pool       connections that are kept
    mime      the bytes                        smtp       an attempt over SMTP
    transport what carries them                file, simulated
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

from eventstore.timestamp import Timestamp
from projections.events import BackoffPolicy
from service.processors import (
    Attempt,
    AttemptError,
    Permanent,
    Prepared,
    Processor,
    processor,
)
from service.processors.email.mailbox import parse_mailbox
from service.processors.email.message import Email
from service.processors.email.mime import render
from service.processors.email.transport import Transport

EXAMPLE = {"to": "ada@example.com", "subject": "Hello", "body": "How are you?"}
SENDER = "joblog@localhost.localdomain"  # where nothing leaves this machine, and nobody is named
DATES_REMEMBERED_MAX = 8

logger = logging.getLogger("joblog.email")


@dataclass(frozen=True, slots=True)
class Stationery:
    """What our letters have in common: who sends them when the message does not say, and the domain
    of their ids, which is the sender's when there is none.
    """

    sender: str | None = SENDER
    message_id_domain: str | None = None

    def prepare(self, payload: Email, job_id: str, now: Timestamp) -> Prepared:
        """The message with its sender, and the facts of it. Raises ValueError without a sender, or
        when the header block would not say what was asked for.
        """
        if payload.from_ is None:
            if self.sender is None:
                raise ValueError("no sender: give `from` (the server has none set) - at `$.from`")
            payload = payload.sent_by(self.sender)
        assert payload.from_ is not None
        domain = self.message_id_domain or parse_mailbox(payload.from_).domain
        message_id, date = f"<{job_id}@{domain}>", _date(now[:19])  # to the second
        letter = render(payload, job_id=job_id, message_id=message_id, date=date)
        facts = {"message_id": message_id, "date": date, "message_sha256": letter.sha256}
        return Prepared(payload, facts)


@lru_cache(DATES_REMEMBERED_MAX)
def _date(second: str) -> str:
    """A second of UTC as a header has it. All messages of this second share the text."""
    return format_datetime(datetime.fromisoformat(second).replace(tzinfo=UTC))


def email_processor(
    transport: Transport, *, backoff: BackoffPolicy, stationery: Stationery | None = None
) -> Processor:
    """The processor of kind `email` over this transport."""
    ours = stationery or Stationery()

    @processor(
        "email",
        timeout=transport.timeout_s,
        backoff=backoff,
        prepare=ours.prepare,
        example=EXAMPLE,
    )
    async def email(payload: Email, attempt: Attempt) -> dict[str, Any]:
        """Send one message, to up to a hundred people."""
        payload, facts = _as_created(payload, attempt, ours)
        letter = render(
            payload, job_id=attempt.job_id, message_id=facts["message_id"], date=facts["date"]
        )
        sent = {"message_sha256": letter.sha256}
        if sent["message_sha256"] != facts["message_sha256"]:
            logger.warning("job %s: its message is not what it was at creation", attempt.job_id)
            sent |= {"message_sha256_at_creation": facts["message_sha256"]}
        try:
            result = await transport(letter, attempt)
        except AttemptError as error:
            if len(sent) > 1:
                error.facts = (error.facts or {}) | sent
            raise
        return result | {"message_id": letter.message_id} | sent

    return email


def _as_created(payload: Email, attempt: Attempt, ours: Stationery) -> Prepared:
    """The message and its facts; of a job that was made without them, as they would have been."""
    if attempt.facts:
        return Prepared(payload, attempt.facts)
    try:
        return ours.prepare(payload, attempt.job_id, attempt.created_at)
    except ValueError as error:
        raise Permanent(str(error)) from error
