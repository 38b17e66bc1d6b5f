"""A message as bytes: the same bytes at every attempt, so that a receiver can tell a repeat.

Everything that mail programs usually draw or look up is given: the Message-ID and the Date were
fixed when the job was created, and the boundary between text and HTML follows from the job's id. It
begins with `=_`, which occurs in no quoted-printable and in no base64. The MIME parts are put
together here, and not by `email.message`, because that folds and encodes differently from one
Python to the next; the pieces (RFC 2047 words, quoted-printable, base64) are the standard
library's.

    From, To, Cc, Reply-To, Subject, Date, Message-ID, the client's own,
    Auto-Submitted: auto-generated      <- RFC 3834; unless the client says otherwise
    MIME-Version, Content-Type          <- text/plain, text/html, or multipart/alternative of both

Bcc is in the envelope only. Everything is 7-bit, but for addresses that only SMTPUTF8 can carry.
"""

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

from service.processors.email.header import (
    LINE_BYTES_MAX,
    Asked,
    ordinary_block,
    write_headers,
)
from service.processors.email.mailbox import Mailbox, parse_mailbox
from service.processors.email.message import Addresses, Email

_PLAIN = re.compile(rf"(?:[\t -~]{{0,{LINE_BYTES_MAX}}}+\n)*+")
_BOUNDARY_PREFIX = "=_"


class Letter(NamedTuple):
    """What goes to a mail server: the envelope, and the content it carries.

    `recipients` are those of `to`, `cc` and `bcc`, in this order; a recipient's index is its place.
    `utf8`: some address in it needs SMTPUTF8.
    """

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    message_id: str
    utf8: bool

    @property
    def sha256(self) -> str:
        """Of the content, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def render(email: Email, *, job_id: str, message_id: str, date: str) -> Letter:
    """The letter of a message that has a `from`. Raises NotAsAskedError."""
    boundary = f"{_BOUNDARY_PREFIX}{job_id}"
    return _ordinary(email, boundary, message_id, date) or _any(email, boundary, message_id, date)


def _ordinary(email: Email, boundary: str, message_id: str, date: str) -> Letter | None:
    """The same letter, of a message to one address that asks for nothing but a text; None for any
    other. Most are such, and it takes a third of the time.
    """
    if not isinstance(email.to, str) or email.cc or email.bcc or email.reply_to or email.headers:
        return None
    assert email.from_ is not None, "who sends it is settled before"
    sender, to = parse_mailbox(email.from_), parse_mailbox(email.to)
    if sender.name or to.name:
        return None
    block = ordinary_block(
        sender.address, to.address, subject=email.subject, date=date, message_id=message_id
    )
    if not block:
        return None
    content = block + _body(email, boundary)
    return Letter(sender.address, (to.address,), content, message_id, utf8=False)


def _any(email: Email, boundary: str, message_id: str, date: str) -> Letter:
    assert email.from_ is not None, "who sends it is settled before"
    sender = parse_mailbox(email.from_)
    to, cc = _mailboxes(email.to), _mailboxes(email.cc)
    bcc, reply_to = _mailboxes(email.bcc), _mailboxes(email.reply_to)
    addresses = {"From": (sender,), "To": to, "Cc": cc, "Reply-To": reply_to}
    asked: Asked = [(name, mailboxes) for name, mailboxes in addresses.items() if mailboxes]
    asked += [("Subject", email.subject), ("Date", date), ("Message-ID", message_id)]
    asked += email.headers.items()
    if "auto-submitted" not in map(str.lower, email.headers):
        asked.append(("Auto-Submitted", "auto-generated"))
    asked.append(("MIME-Version", "1.0"))
    content = write_headers(asked) + _body(email, boundary)
    recipients = tuple(mailbox.address for mailbox in (*to, *cc, *bcc))
    everyone = (sender.address, *recipients, *(each.address for each in reply_to))
    utf8 = not all(map(str.isascii, everyone))
    return Letter(sender.address, recipients, content, message_id, utf8)


def _mailboxes(addresses: Addresses) -> tuple[Mailbox, ...]:
    if isinstance(addresses, str):
        return (parse_mailbox(addresses),)
    return tuple(map(parse_mailbox, addresses))


def _body(email: Email, boundary: str) -> bytes:
    """The headers that describe the content, an empty line, the content."""
    if email.html is None:
        return _part("plain", email.body, boundary)
    html = _part("html", email.html, boundary)
    if not email.body:
        return html
    plain = _part("plain", email.body, boundary)
    kind = f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'.encode()
    line = f"\r\n--{boundary}".encode()  # the line break before it is not the part's own
    return kind + line[2:] + b"\r\n" + plain + line + b"\r\n" + html + line + b"--\r\n"


def _part(subtype: str, text: str, boundary: str) -> bytes:
    encoding, content = _encoded(text, boundary)
    return (
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    ).encode() + content


def _encoded(text: str, boundary: str) -> tuple[str, bytes]:
    """How it is encoded, and the text so, in whole lines."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if not lines.endswith("\n"):
        lines += "\n"
    if _PLAIN.fullmatch(lines) and boundary not in lines:
        return "7bit", lines.replace("\n", "\r\n").encode()
    raw = lines.encode()
    quoted = binascii.b2a_qp(raw, istext=True)
    wrapped = base64.encodebytes(raw.replace(b"\n", b"\r\n"))
    shorter = ("quoted-printable", quoted) if len(quoted) <= len(wrapped) else ("base64", wrapped)
    return shorter[0], shorter[1].replace(b"\n", b"\r\n")
