"""The header block of a message: written, then read back and compared with what was asked for.

Writing and reading share no code. What is written is plain ASCII where the text is; else encoded
words of UTF-8 (RFC 2047). The reader splits the bytes as a mail server does, at CR LF and nowhere
else, and decodes with Python's `email`; a block that does not hold exactly the headers asked for,
in their order and with their values, is refused, whatever slipped through the checks before it.

Mailboxes are read twice. Python's parser of addresses follows the whole grammar, so it would find
an address that slipped in; but it puts spaces between encoded words that belong together, and takes
some from within. So names are read to the letter by a pattern that knows only what is written here.

Both take far longer than all else that is done with a message, so there are ways around them.
Python's parser is not asked about mailboxes in which nothing has a meaning to it (`_is_plain`); a
block of nothing but short plain lines is written and read in one go (`_plain_block`); and that of
the ordinary message, from one bare address to another, is one text and one look (`ordinary_block`).

    Subject: Hello                          <- ("Subject", "Hello")
    To: "Lovelace, Ada" <ada@example.com>,  <- ("To", (Mailbox(…), Mailbox(…)))
     eve@example.com
"""

import re
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from email.policy import default as reading
from email.utils import unquote
from typing import TypeAlias

from service.processors.email.mailbox import CONTROL, ENCODED_WORD, Mailbox

Value: TypeAlias = str | tuple[Mailbox, ...]
Asked: TypeAlias = list[tuple[str, Value]]

LINE_BYTES_MAX = 998  # RFC 5322 section 2.1.1, without CR LF
FOLDED_CHARACTERS_MAX = 78  # what it asks for where possible
WORD_CHARACTERS_MAX = 900  # a longer one could not stand on a line with its header's name

_SINGLE_SPACED = re.compile(r"[!-~]+(?: [!-~]+)*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PLAIN_ADDRESS = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
)
_PLAIN_NAME = re.compile(r"[ !#-\[\]-~]*")
# A header's first line or a further one, short enough not to be folded.
_PLAIN_LINE = re.compile(
    rf"^(?=[^\r]{{0,{FOLDED_CHARACTERS_MAX}}}\r)([!-9;-~]+:|) ({_SINGLE_SPACED.pattern})\r\n",
    re.MULTILINE,
)
_SHORT = rf"(?=[^\r]{{0,{FOLDED_CHARACTERS_MAX}}}\r)"
_ORDINARY_BLOCK = re.compile(
    rf"{_SHORT}From: {_PLAIN_ADDRESS.pattern}\r\n{_SHORT}To: {_PLAIN_ADDRESS.pattern}\r\n"
    rf"{_SHORT}Subject: {_SINGLE_SPACED.pattern}\r\n{_SHORT}Date: {_SINGLE_SPACED.pattern}\r\n"
    rf"{_SHORT}Message-ID: {_SINGLE_SPACED.pattern}\r\n"
    r"Auto-Submitted: auto-generated\r\nMIME-Version: 1\.0\r\n"
)
_FIELD = re.compile(r"([!-9;-~]+):(?: (.*))?")
_STARTS_LIKE_A_WORD = "=?"
_MAILBOX = re.compile(
    rf'(?:(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<words>{_ATOMS.pattern})) '
    r'<(?P<named>[^\s<>()\[\]"\\,;:]+)>|(?P<alone>[^\s<>()\[\]"\\,;:]+))(?:, (?=.)|\Z)'
)


class NotAsAskedError(ValueError):
    """The header block says something else than was asked for, so nothing is sent."""


def ordinary_block(sender: str, to: str, *, subject: str, date: str, message_id: str) -> bytes:
    """The block of a message between two addresses that asks for nothing else; empty where
    `_plain_block` would not do for it.
    """
    block = (
        f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: {date}\r\n"
        f"Message-ID: {message_id}\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
    )
    ordinary = _ORDINARY_BLOCK.fullmatch(block) and _STARTS_LIKE_A_WORD not in block
    return block.encode() if ordinary else b""


def write_headers(asked: Asked) -> bytes:
    """The block, each line ended by CR LF. Raises NotAsAskedError."""
    return _plain_block(asked) or _checked_block(asked)


def _plain_block(asked: Asked) -> bytes:
    """The block, if all of it is short lines of printable ASCII, words with one space between them,
    no encoded word, and plain mailboxes. There is one way only to write or to read those. Empty for
    any other.
    """
    lines = [line for name, value in asked for line in _plain_lines(f"{name}:", value)]
    block = "".join([f"{head} {text}\r\n" for head, text in lines])
    # What is found is as long as the block, so there is nothing between that was not asked for.
    plain = _PLAIN_LINE.findall(block) == lines and _STARTS_LIKE_A_WORD not in block
    return block.encode() if plain else b""


def _plain_lines(head: str, value: Value) -> list[tuple[str, str]]:
    """A header's lines as `_PLAIN_LINE` finds them, if it does; one that it never finds else."""
    if isinstance(value, str):
        return [(head, value)]
    if len(value) == 1 and not value[0].name:
        return [(head, value[0].address)]
    if not value or not all(map(_is_plain, value)):
        return [(head, "")]
    texts = [f"{_plain_mailbox(mailbox)}," for mailbox in value]
    texts[-1] = texts[-1].removesuffix(",")
    return [(head, texts[0]), *(("", text) for text in texts[1:])]


def _plain_mailbox(mailbox: Mailbox) -> str:
    name, address = mailbox
    if not name:
        return address
    return f"{name} <{address}>" if _ATOMS.fullmatch(name) else f'"{name}" <{address}>'


def _checked_block(asked: Asked) -> bytes:
    """Any block, read back header by header. Raises NotAsAskedError."""
    lines = [f"{name}: {_written(name, value)}".rstrip(" ") + "\r\n" for name, value in asked]
    block = "".join(lines).encode()
    _require_as_asked(block, asked)
    return block


# writing


def _written(name: str, value: Value) -> str:
    if isinstance(value, str):
        return _written_text(name, value)
    return ",\r\n ".join(_written_mailbox(mailbox) for mailbox in value)


def _written_text(name: str, text: str) -> str:
    if not text:
        return ""
    words = text.split(" ")
    if (
        _SINGLE_SPACED.fullmatch(text)
        and _STARTS_LIKE_A_WORD not in text
        and max(map(len, words)) <= WORD_CHARACTERS_MAX
    ):
        return _folded(len(name) + 2, words)
    return _encoded(text)


def _encoded(text: str) -> str:
    """As encoded words. They begin on the header's first line, however long its name is: an empty
    one is read differently here and there.
    """
    return Header(text, "utf-8").encode(linesep="\r\n")


def _folded(column: int, words: list[str]) -> str:
    """The words, with line breaks where the next would not fit."""
    folded = words[0]
    column += len(words[0])
    for word in words[1:]:
        if column + 1 + len(word) > FOLDED_CHARACTERS_MAX:
            folded += "\r\n"
            column = 0
        folded += f" {word}"
        column += 1 + len(word)
    return folded


def _written_mailbox(mailbox: Mailbox) -> str:
    name, address = mailbox
    if not name:
        return address
    if not name.isascii() or _STARTS_LIKE_A_WORD in name:
        return f"{_encoded(name)} <{address}>"
    if _ATOMS.fullmatch(name):
        return f"{name} <{address}>"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>'


# reading


def _require_as_asked(block: bytes, asked: Asked) -> None:
    """Raises NotAsAskedError."""
    found = _read(block)
    if [name for name, _ in found] != [name for name, _ in asked]:
        raise NotAsAskedError("the headers would not be read as they were asked for")
    for (name, raw), (_, value) in zip(found, asked, strict=True):
        if not _same(name, raw, value):
            raise NotAsAskedError(f"the header {name} would not be read as it was asked for")


def _read(block: bytes) -> list[tuple[str, str]]:
    """Names and unfolded raw values, as a mail server finds them."""
    found = list[tuple[str, str]]()
    lines = block.split(b"\r\n")
    if lines.pop() != b"":
        raise NotAsAskedError("the headers do not end with a line")
    if max(map(len, lines), default=0) > LINE_BYTES_MAX:
        raise NotAsAskedError("a header is too long for a line")
    for line in map(bytes.decode, lines):
        if CONTROL.search(line):
            raise NotAsAskedError("a header holds a line break")
        if line.startswith(" ") and line.strip(" ") and found:
            found[-1] = (found[-1][0], found[-1][1] + line)
        elif field := _FIELD.fullmatch(line):
            found.append((field[1], field[2] or ""))
        else:
            raise NotAsAskedError("a line of the headers is none")
    return found


def _same(name: str, raw: str, value: Value) -> bool:
    """Whether a raw value is read as this one."""
    if isinstance(value, str):
        return _decoded(raw) == value
    if all(not mailbox.name for mailbox in value):
        return raw == ", ".join(mailbox.address for mailbox in value)
    if _mailboxes(raw) != list(value):
        return False
    if _STARTS_LIKE_A_WORD not in raw and all(map(_is_plain, value)):
        return True
    return _structure(name, raw) == [
        (_unspaced(mailbox.name), mailbox.address) for mailbox in value
    ]


def _is_plain(mailbox: Mailbox) -> bool:
    """Whether nothing in it has a meaning in the grammar of addresses, once a name that needs it is
    in quotation marks.
    """
    name, address = mailbox
    return bool(_PLAIN_ADDRESS.fullmatch(address) and _PLAIN_NAME.fullmatch(name))


def _decoded(raw: str) -> str:
    if not ENCODED_WORD.search(raw):
        return raw
    try:
        return str(make_header(decode_header(raw)))
    except (HeaderParseError, LookupError, ValueError) as error:
        raise NotAsAskedError("a header holds an encoded word that cannot be read") from error


def _mailboxes(raw: str) -> list[Mailbox]:
    """The mailboxes with their names to the letter, if each is in a form that is written here."""
    found = list[Mailbox]()
    at = 0
    while at < len(raw):
        one = _MAILBOX.match(raw, at)
        if one is None:
            raise NotAsAskedError("a header holds an address that cannot be read")
        name = _decoded(one["words"] or unquote(f'"{one["quoted"] or ""}"'))
        if CONTROL.search(name):
            raise NotAsAskedError("a name holds a control character or line break")
        found.append(Mailbox(name, one["named"] or one["alone"]))
        at = one.end()
    return found


def _structure(name: str, raw: str) -> list[tuple[str, str]]:
    """Which names, but for their spaces, and addresses a reader of the whole grammar finds."""
    parsed = reading.header_factory(name, raw)
    return [(_unspaced(each.display_name), each.addr_spec) for each in parsed.addresses]


def _unspaced(text: str) -> str:
    return "".join(text.split())
