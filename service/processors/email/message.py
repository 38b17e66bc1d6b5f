"""What a client posts to `/jobs/email`: one message, to as many as a hundred people.

    {"to": "ada@example.com", "subject": "Hello", "body": "How are you?"}

is a whole one. Every address may have a name, as `Ada <ada@example.com>`; `to`, `cc`, `bcc` and
`reply_to` take one address or a list. `body` is plain text, `html` the same as HTML: with both, the
reader's program chooses. Without a `from` the server's own address is used, if it has one. `tags`
are the client's own words about the job: they are kept and shown with it, and never sent.

`headers` are added to the message as they are. Those that make a message what it is (addresses,
MIME, trace) are not the client's to set that way. Control characters are refused in everything that
becomes a header, and so is an encoded word (`=?…?=`, RFC 2047): Python's own header code decodes
one and lets a line break hidden in it through (CVE-2024-6923), which is how a subject becomes a
Bcc.
"""

import re
from collections.abc import Callable
from copy import copy
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, field
from msgspec.structs import force_setattr

from service.processors.email.mailbox import (
    parse_mailbox,
    require_no_control,
    require_no_encoded_word,
)

RECIPIENTS_MAX = 100  # what every server has to take in one go: RFC 5321 section 4.5.3.1.8
SUBJECT_CHARACTERS_MAX = 998  # RFC 5322's longest line
BODY_CHARACTERS_MAX = 50_000  # of text and of HTML, each; a job has to fit a line of the log
HEADERS_MAX = 50
HEADER_NAME_CHARACTERS_MAX = 70
HEADER_CHARACTERS_MAX = 998
TAGS_MAX = 20
TAG_CHARACTERS_MAX = 128

STRUCTURAL = frozenset(
    {
        *("from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id"),
        *("mime-version", "received", "return-path", "delivered-to", "errors-to"),
        *("dkim-signature", "domainkey-signature"),
    }
)
STRUCTURAL_PREFIXES = ("content-", "resent-", "arc-", "authentication-")

Addresses: TypeAlias = str | tuple[str, ...]

_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


class Email(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A message. Needs a `subject` and at least one recipient in `to`, `cc` or `bcc`."""

    to: Annotated[
        Addresses,
        Meta(description="To whom: one address or a list, each with or without a name."),
    ] = ()
    subject: Annotated[
        str, Meta(description=f"One line, of at most {SUBJECT_CHARACTERS_MAX} characters.")
    ]
    cc: Annotated[Addresses, Meta(description="Who gets a copy, for all to see.")] = ()
    bcc: Annotated[
        Addresses,
        Meta(
            description="Who gets a copy that nobody else sees. There may be"
            f" {RECIPIENTS_MAX} recipients in all; an index counts `to`, then `cc`, then `bcc`."
        ),
    ] = ()
    reply_to: Annotated[Addresses, Meta(description="Where answers are to go.")] = ()
    from_: Annotated[
        str | None,
        Meta(description="Who sends: one address. The server's own unless given, if it has one."),
    ] = field(default=None, name="from")
    body: Annotated[
        str,
        Meta(description=f"The plain text, of at most {BODY_CHARACTERS_MAX} characters."),
    ] = ""
    html: Annotated[
        str | None,
        Meta(
            description=f"The same as HTML, of at most {BODY_CHARACTERS_MAX} characters: with"
            " `body` too, the reader's program chooses."
        ),
    ] = None
    headers: Annotated[
        dict[str, str],
        Meta(
            description=f"At most {HEADERS_MAX} headers more, by name. Not those that make a"
            " message what it is: addresses, subject, date, MIME, trace."
        ),
    ] = {}
    tags: Annotated[
        dict[str, str] | tuple[str, ...],
        Meta(description=f"At most {TAGS_MAX} words of yours, kept with the job and never sent."),
    ] = ()

    def __post_init__(self) -> None:
        _require_recipients(self)
        for name in ("to", "cc", "bcc", "reply_to"):
            addresses = getattr(self, name)
            if addresses != ():
                _require_mailboxes(name, addresses)
        if self.from_ is not None:
            _require_mailboxes("from", self.from_)
        if not _is_plain(self.subject):
            _at("$.subject", _require_header_text, self.subject)
        _require_at_most(self.subject, SUBJECT_CHARACTERS_MAX, "$.subject")
        _require_at_most(self.body, BODY_CHARACTERS_MAX, "$.body")
        if self.html is not None:
            _require_at_most(self.html, BODY_CHARACTERS_MAX, "$.html")
        if self.headers:
            _require_headers(self.headers)
        if self.tags:
            _require_tags(self.tags)

    def sent_by(self, sender: str) -> "Email":
        """The same message with this sender, which alone is checked: the rest has been, when this
        object was made. Raises ValueError.
        """
        _require_mailboxes("from", sender)
        signed = copy(self)
        force_setattr(signed, "from_", sender)
        return signed

    @property
    def recipients(self) -> list[str]:
        """`to`, `cc` and `bcc` in this order: a recipient's place here is its index."""
        return [*listed(self.to), *listed(self.cc), *listed(self.bcc)]


def listed(addresses: Addresses) -> tuple[str, ...]:
    """One address or many, as many."""
    return (addresses,) if isinstance(addresses, str) else addresses


def _at(place: str, check: Callable[[str], object], text: str) -> None:
    """Check a text, and let a refusal say where it is."""
    try:
        check(text)
    except ValueError as error:
        raise ValueError(f"{error} - at `{place}`") from error


def _require_recipients(email: Email) -> None:
    count = _number(email.to) + _number(email.cc) + _number(email.bcc)
    if count == 0:
        raise ValueError("no recipient: give to, cc or bcc - at `$.to`")
    if count > RECIPIENTS_MAX:
        words = f"{count} recipients in to, cc and bcc; {RECIPIENTS_MAX} at most"
        raise ValueError(f"{words} - at `$.to`")
    _require_count(_number(email.reply_to), RECIPIENTS_MAX, "$.reply_to")


def _number(addresses: Addresses) -> int:
    return 1 if isinstance(addresses, str) else len(addresses)


def _require_mailboxes(name: str, addresses: Addresses) -> None:
    for index, text in enumerate(listed(addresses)):
        try:
            parse_mailbox(text)
        except ValueError as error:
            place = f"$.{name}" if isinstance(addresses, str) else f"$.{name}[{index}]"
            raise ValueError(f"{error} - at `{place}`") from error


def _is_plain(text: str) -> bool:
    """Whether `_require_header_text` finds nothing, at first sight: what it refuses cannot be
    printed, or begins like an encoded word.
    """
    return text.isprintable() and "=?" not in text


def _require_header_text(text: str) -> None:
    require_no_control(text)
    require_no_encoded_word(text)


def _require_headers(headers: dict[str, str]) -> None:
    _require_count(len(headers), HEADERS_MAX, "$.headers")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("two headers of one name, but for case - at `$.headers`")
    for name, text in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a header - at `$.headers[...]`")
        place = f"$.headers.{name}"
        _require_at_most(name, HEADER_NAME_CHARACTERS_MAX, place)
        if name.lower() in STRUCTURAL or name.lower().startswith(STRUCTURAL_PREFIXES):
            raise ValueError(f"{name} is not to be set this way - at `{place}`")
        _at(place, _require_header_text, text)
        _require_at_most(text, HEADER_CHARACTERS_MAX, place)


def _require_tags(tags: dict[str, str] | tuple[str, ...]) -> None:
    _require_count(len(tags), TAGS_MAX, "$.tags")
    words = [*tags, *tags.values()] if isinstance(tags, dict) else tags
    for word in words:
        _require_at_most(word, TAG_CHARACTERS_MAX, "$.tags")


def _require_at_most(text: str, characters_max: int, place: str) -> None:
    if len(text) > characters_max:
        raise ValueError(f"longer than {characters_max} characters - at `{place}`")


def _require_count(count: int, count_max: int, place: str) -> None:
    if count > count_max:
        raise ValueError(f"{count} are more than {count_max} - at `{place}`")
