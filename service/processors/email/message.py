"""What a client posts to `/jobs/email`: one message in plain text to one address.

Addresses are checked by email-validator for form only, without asking DNS: whether a mailbox exists
is found out by sending. A subject must be one line. Control characters are refused here, and so is
an encoded word (`=?…?=`, RFC 2047): Python's own header code decodes one and lets a line break
hidden in it through (CVE-2024-6923), which is how a subject becomes a Bcc.
"""

import re

import msgspec
from email_validator import EmailNotValidError, validate_email

SUBJECT_CHARACTERS_MAX = 998  # RFC 5322's longest line
BODY_CHARACTERS_MAX = 50_000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bqBQ]\?")  # Python decodes it without its end, too


class Email(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message. `to` is one address, `subject` one line, `body` plain text."""

    to: str
    subject: str
    body: str = ""

    def __post_init__(self) -> None:
        _require_address(self.to)
        _require_one_line(self.subject)
        if len(self.body) > BODY_CHARACTERS_MAX:
            raise ValueError(f"longer than {BODY_CHARACTERS_MAX} characters - at `$.body`")


def _require_address(text: str) -> None:
    try:
        validate_email(text, check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(f"{error} - at `$.to`") from error


def _require_one_line(text: str) -> None:
    if _CONTROL.search(text):
        raise ValueError("holds a control character or line break - at `$.subject`")
    if _ENCODED_WORD.search(text):
        raise ValueError("holds an encoded word (=?…?=): send plain text - at `$.subject`")
    if len(text) > SUBJECT_CHARACTERS_MAX:
        raise ValueError(f"longer than {SUBJECT_CHARACTERS_MAX} characters - at `$.subject`")
