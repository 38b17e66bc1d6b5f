"""An address as it stands in a message: `ada@example.com`, or `Ada Lovelace <ada@example.com>`.

The form is checked by email-validator, without asking DNS: whether a mailbox exists is found out by
sending. Most addresses are plain ASCII in lower case; for those a pattern gives the same answer at
a tenth of the cost. A domain goes out as its A-label, so only a local part that is not ASCII needs
a server with SMTPUTF8.

Refused in either part: control characters, and encoded words (`=?…?=`, RFC 2047), in which a line
break can hide. Comments and groups, which RFC 5322 has too, are not addresses here.
"""

import re
from email.utils import unquote
from functools import lru_cache
from typing import NamedTuple

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

LOCAL_CHARACTERS_MAX = 64  # RFC 5321 section 4.5.3.1.1
NAME_CHARACTERS_MAX = 200
REMEMBERED_MAX = 1024  # each is asked for when it is posted, and again when it is rendered

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
ENCODED_WORD = re.compile(r"=\?[^?]*\?[bqBQ]\?")  # Python decodes it without its end, too

_NAMED = re.compile(r'(?:"((?:[^"\\]|\\.)*)"|([^"\\<>()\[\],;:@]*)) ?<([^<>]*)>')
_ATOM = r"[a-z0-9!#$%&'*+/=^_`{|}~-]+"  # without ?, so that no encoded word is among them
_PLAIN = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+([a-z]+))")
_LABEL_CHARACTERS_MAX = 63
_SPECIAL_USE = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)


class Mailbox(NamedTuple):
    """`name` is what a reader sees, or empty; `address` what the mail server is told."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """Where it is, as an A-label."""
        return self.address.rpartition("@")[2]


@lru_cache(REMEMBERED_MAX)
def parse_mailbox(text: str) -> Mailbox:
    """One address in either form. Raises ValueError with the reason."""
    if _is_plain(text):
        return Mailbox("", text)
    require_no_control(text)
    name, address = _split(text)
    require_no_encoded_word(name)
    require_no_encoded_word(address)
    if len(name) > NAME_CHARACTERS_MAX:
        raise ValueError(f"the name is longer than {NAME_CHARACTERS_MAX} characters")
    return Mailbox(name, address if _is_plain(address) else _validated(address))


def require_no_control(text: str) -> None:
    """No line break and nothing else that is not text. Raises ValueError."""
    if CONTROL.search(text):
        raise ValueError("holds a control character or line break")


def require_no_encoded_word(text: str) -> None:
    """Nothing that a reader of mail would decode. Raises ValueError."""
    if ENCODED_WORD.search(text):
        raise ValueError("holds an encoded word (=?…?=): send plain text")


def _split(text: str) -> tuple[str, str]:
    if not text.endswith(">"):
        return "", text
    found = _NAMED.fullmatch(text)
    if found is None:
        raise ValueError('no address: write it as Name <address>, or "Name" <address>')
    quoted, atoms, address = found.groups()
    return (unquote(f'"{quoted}"') if atoms is None else atoms).strip(), address


def _is_plain(text: str) -> bool:
    """Whether this is an address at first sight, written as it would be after all checks. A domain
    no longer than a label may be has no label that is too long.
    """
    found = _PLAIN.fullmatch(text)
    return (
        found is not None
        and len(found[1]) <= LOCAL_CHARACTERS_MAX
        and len(found[2]) <= _LABEL_CHARACTERS_MAX
        and found[3] not in _SPECIAL_USE
    )


def _validated(address: str) -> str:
    try:
        valid = validate_email(address, check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    return f"{valid.local_part}@{valid.ascii_domain}"
