"""The transport that sends: a letter over SMTP, and what came of it for each recipient.

An attempt is told step by step: a connection, the sender, each recipient that is left, the letter.
Who was refused for good is settled at once; who was taken is settled when the server has answered
the letter itself with yes, and not before. Both are recorded whatever the attempt comes to, so
nobody is sent the letter twice because of somebody else. What an answer means is `classify`'s; here
it becomes what a processor may raise:

    transient   Deferred, or RetryAfter where the server wants more patience
    permanent   Permanent, also when only some recipients were refused and the rest have the letter
    unknown     Unsure, with the choice of the settings: retry, hold or fail
    config      Misconfigured: the kind is paused

A connection that stood idle may have been dropped by the server. Found out before the letter is
out, that costs no attempt: the letter is sent over a new one at once.
"""

from dataclasses import dataclass, field
from typing import Any

from eventstore.event import Json
from projections.events import Doubt
from service.processors import (
    Attempt,
    AttemptError,
    Misconfigured,
    Permanent,
    RetryAfter,
    Unsure,
)
from service.processors.email.classify import Verdict
from service.processors.email.mime import Letter
from service.processors.email.pool import IDLE_S, Pool
from service.processors.email.reply import Reply, SessionError, facts_of
from service.processors.email.session import Server, Session
from service.processors.email.transport import left_over

RECIPIENTS_TOLD_MAX = 30  # in the facts of an attempt: they must stay small
PATIENCE_S = 300.0  # of an attempt, beyond the wait for the answer to the letter


class Deferred(AttemptError):
    """The mail server did not take the letter now, or could not be reached."""


@dataclass(slots=True)
class _Envelope:
    """What the server said of each recipient that was left, by index."""

    replies: dict[int, Reply] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)  # they have it once the letter itself is taken
    deferred: dict[int, Verdict] = field(default_factory=dict)


class SmtpTransport:
    """Carries letters to one mail server."""

    def __init__(
        self,
        server: Server,
        *,
        on_unknown: Doubt,
        connections_max: int,
        idle_s: float = IDLE_S,
    ) -> None:
        self.timeout_s = server.answer_s + PATIENCE_S
        self._host = server.host
        self._on_unknown = on_unknown
        self._pool = Pool(server, connections_max=connections_max, idle_s=idle_s)

    async def __call__(self, letter: Letter, attempt: Attempt) -> dict[str, Any]:
        """See Transport."""
        envelope = _Envelope()
        result: dict[str, Any] = {}
        if left_over(letter, attempt):
            try:
                result, envelope = await self._deliver(letter, attempt)
            except SessionError as error:
                facts = facts_of(error.phase, error.verdict, error.reply, error.trouble)
                words = f"{error} ({self._host}, {error.phase})"
                raise self._meaning(error.verdict, words, facts) from error
        self._require_nobody_deferred(envelope, letter, attempt)
        _require_nobody_refused(envelope, letter, attempt)
        return {"transport": "smtp", "host": self._host} | result

    async def aclose(self) -> None:
        """See Transport."""
        self._pool.close()

    async def _deliver(self, letter: Letter, attempt: Attempt) -> tuple[dict[str, Any], _Envelope]:
        """Over an idle connection if there is one; if the server has dropped it, over a new one."""
        async with self._pool.session() as session:
            try:
                return await _send(session, letter, attempt)
            except SessionError as error:
                if session.messages == 1 or not error.line_lost:
                    raise
        async with self._pool.session(fresh=True) as session:
            return await _send(session, letter, attempt)

    def _require_nobody_deferred(
        self, envelope: _Envelope, letter: Letter, attempt: Attempt
    ) -> None:
        """Raises what asks for another attempt, for those that were put off; it names those that
        were refused, too, for nobody will ask about them again.
        """
        if not envelope.deferred:
            return
        index = max(envelope.deferred, key=lambda each: envelope.deferred[each].wait_s or 0)
        verdict, reply = envelope.deferred[index], envelope.replies[index]
        facts = facts_of("rcpt", verdict, reply) | _counts(envelope, attempt)
        missing = {*envelope.deferred, *attempt.refused}
        raise self._meaning(verdict, _named(missing, envelope, letter), facts)

    def _meaning(self, verdict: Verdict, words: str, facts: Json) -> AttemptError:
        """What a processor raises to say this."""
        match verdict.outcome:
            case "permanent":
                return Permanent(words, facts=facts)
            case "unknown":
                return Unsure(words, then=self._on_unknown, facts=facts)
            case "config":
                return Misconfigured(words, facts=facts)
            case "transient" if verdict.wait_s is not None:
                return RetryAfter(verdict.wait_s, words, facts=facts)
            case _:
                return Deferred(words, facts=facts)


async def _send(
    session: Session, letter: Letter, attempt: Attempt
) -> tuple[dict[str, Any], _Envelope]:
    """The letter, to all that are left and taken. Raises SessionError."""
    await session.begin()
    await session.mail(letter.sender, options=_options(session, letter, attempt), utf8=letter.utf8)
    envelope = await _name_recipients(session, letter, attempt)
    tls = session.tls_version
    if not envelope.taken:
        return {}, envelope
    reply = await session.send(letter.content)
    if reply.verdict("end").outcome != "sent":
        raise SessionError.refused("end", reply)
    attempt.accepted.update(envelope.taken)
    return {
        "reply": str(reply),
        "recipients": [
            {"index": index, "code": said.code, "enhanced": said.enhanced}
            for index, said in envelope.replies.items()
        ],
        "tls": tls,
        "bytes": len(letter.content),
        "durations_ms": {step: round(s * 1000) for step, s in session.durations.items()},
    }, envelope


def _options(session: Session, letter: Letter, attempt: Attempt) -> list[str]:
    """Of MAIL. ENVID comes back in bounces, and says which job they are about."""
    options = []
    if session.offers("size"):
        options.append(f"SIZE={len(letter.content)}")
    if session.offers("dsn"):
        options.append(f"ENVID={attempt.job_id}")
    if letter.utf8:
        options += ["BODY=8BITMIME", "SMTPUTF8"]
    return options


async def _name_recipients(session: Session, letter: Letter, attempt: Attempt) -> _Envelope:
    """Ask for each that is left. Raises SessionError when the answer is not about him."""
    envelope = _Envelope()
    for index in left_over(letter, attempt):
        reply = await session.rcpt(letter.recipients[index], utf8=letter.utf8)
        verdict = reply.verdict("rcpt")
        envelope.replies[index] = reply
        match verdict.outcome:
            case "sent":
                envelope.taken.append(index)
            case "permanent":
                attempt.refused.add(index)
            case "transient":
                envelope.deferred[index] = verdict
            case _:
                raise SessionError.refused("rcpt", reply)
    return envelope


def _require_nobody_refused(envelope: _Envelope, letter: Letter, attempt: Attempt) -> None:
    """Raises Permanent, naming those who will never get it; all others have it."""
    if not attempt.refused:
        return
    said = envelope.replies.get(max(attempt.refused))
    facts = {"phase": "rcpt", "verdict": "permanent", "scope": "recipient"}
    if said is not None:
        facts = facts_of("rcpt", said.verdict("rcpt"), said)
    words = _named(attempt.refused, envelope, letter)
    raise Permanent(words, facts=facts | _counts(envelope, attempt))


def _counts(envelope: _Envelope, attempt: Attempt) -> Json:
    """How many have it, never will, and may yet; and what was said of those that have not."""
    told = [
        {"index": index, "code": said.code, "enhanced": said.enhanced}
        for index, said in envelope.replies.items()
        if index not in attempt.accepted
    ]
    return {
        "accepted": len(attempt.accepted),
        "refused": len(attempt.refused),
        "deferred": len(envelope.deferred),
        "recipients": told[:RECIPIENTS_TOLD_MAX],
    }


def _named(indexes: Any, envelope: _Envelope, letter: Letter) -> str:
    """Each of them with what the server said of him, if it was in this attempt."""
    lines = []
    for index in sorted(indexes):
        said = envelope.replies.get(index, "refused before")
        lines.append(f"{letter.recipients[index]}: {said}")
    return "; ".join(lines)
