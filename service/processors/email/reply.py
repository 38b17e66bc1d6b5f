"""What a mail server says in one answer, and what a session says when it went no further.

A reply is kept short (500 characters), whatever a server has to say. Its text may name addresses,
so it belongs into what is private to a job; `facts_of` is the part that may stand in the clear:
phase, codes and verdict.
"""

import re
from typing import NamedTuple

from eventstore.event import Json
from service.processors.email.classify import Phase, Trouble, Verdict, classify

TEXT_CHARACTERS_MAX = 500
CLOSING = 421

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?= |$)", re.MULTILINE)


class Reply(NamedTuple):
    """A code and a text, the lines of a long one joined."""

    code: int
    text: str

    @classmethod
    def of(cls, code: int, text: str) -> "Reply":
        """As it may be kept."""
        one_line = " ".join(text.encode(errors="replace").decode().split())
        return cls(code, one_line[:TEXT_CHARACTERS_MAX])

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code that the text begins with, if any."""
        found = _ENHANCED.match(self.text)
        return found[0] if found else None

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()

    def verdict(self, phase: Phase) -> Verdict:
        """What it means as the answer in this phase."""
        return classify(phase, code=self.code, enhanced=self.enhanced)


class SessionError(Exception):
    """A session ended before the message was taken: at a reply, or at some trouble instead."""

    def __init__(
        self, phase: Phase, words: str, *, reply: Reply | None = None, trouble: Trouble | None
    ) -> None:
        super().__init__(words)
        self.phase = phase
        self.reply = reply
        self.trouble = trouble

    @classmethod
    def refused(cls, phase: Phase, reply: Reply) -> "SessionError":
        """The server answered, and not what was hoped for."""
        return cls(phase, str(reply), reply=reply, trouble=None)

    @property
    def verdict(self) -> Verdict:
        """What it means."""
        if self.reply is not None:
            return self.reply.verdict(self.phase)
        return classify(self.phase, trouble=self.trouble)

    @property
    def line_lost(self) -> bool:
        """Whether the server hung up, as servers do with idle connections, before it had got the
        message.
        """
        closing = self.reply is not None and self.reply.code == CLOSING
        return self.phase == "rset" or (
            self.phase != "end" and (self.trouble == "dropped" or closing)
        )


def facts_of(
    phase: Phase, verdict: Verdict, reply: Reply | None = None, trouble: Trouble | None = None
) -> Json:
    """The clear words about a failure."""
    facts: Json = {"phase": phase, "verdict": verdict.outcome, "scope": verdict.scope}
    if reply is not None:
        facts |= {"code": reply.code}
        if reply.enhanced is not None:
            facts |= {"enhanced": reply.enhanced}
    if trouble is not None:
        facts |= {"trouble": trouble}
    return facts
