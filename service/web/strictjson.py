"""JSON that means the same to everyone: read strictly, refused with the byte where it goes wrong.

RFC 8259 leaves open what a reader does with a member given twice, with half a surrogate pair, with
numbers that no double holds, and readers differ. Whoever can make two readers see two documents
can slip past one of them; so none of this gets in (RFC 7493, "I-JSON", draws the same line):

| refused                  | because |
|--------------------------|---------|
| bytes that are not UTF-8, a byte order mark | there is one encoding |
| a member given twice     | some readers take the first, some the last |
| half a surrogate pair    | it is no character, and cannot be encoded again |
| U+0000                   | databases and C cut a text there |
| NaN, Infinity, 1e999     | not JSON; not a number once written again |
| integers beyond ±2^53    | JavaScript would read another one |
| nesting over 64          | readers have stacks |

msgspec's C decoder checks the grammar. `_inspect` then goes over the tokens that matter (members,
brackets, long numbers), because no decoder reports all of the above with a place. Most texts can be
seen to be fine without (`_surely_fine`): it counts and finds bytes, which takes a tenth of the time
and has no say in a refusal. Types are not its matter: see `body`.
"""

import math
import re
from typing import Any

import msgspec

BOM = b"\xef\xbb\xbf"
SHORT_BYTES_MAX = 8 * 1024  # takes a few milliseconds at most, whatever it holds
PLAIN_BYTES_MAX = 64 * 1024  # takes no longer, if little has to be inspected
FOREIGN_MARKS_MAX = 50  # quotation marks of a text in which not all is ASCII
PLAIN_MARKS_MAX = 4_000  # quotation marks and commas: what tokens there can be, but for brackets
DEPTH_MAX = 64
INTEGER_MAX = 2**53

# Of numbers, only those that could be too large. An unclosed string reaches to the end. Possessive
# throughout: nothing is tried twice, so the time is linear in whatever is sent.
_TOKEN = re.compile(
    rb'(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z))(?P<member>[ \t\r\n]*+:)?'
    rb"|(?P<open>[{\[])|(?P<close>[}\]])"
    rb"|(?P<number>(?<![0-9.])-?(?:[0-9]{16,}+(?:\.[0-9]++)?|[0-9]++(?:\.[0-9]++)?(?=[eE]))"
    rb"(?:[eE][+-]?[0-9]++)?)",
    re.DOTALL,
)
# Over everything that is fine (other escapes, whole pairs), up to the first that is not.
_WRONG_ESCAPE = re.compile(
    rb"(?:[^\\]++|\\(?:[^u]|u[dD][89abAB]..\\u[dD][c-fC-F]..|u(?!0000|[dD][89a-fA-F])))*+"
    rb"\\u(?P<code>0000|[dD][89a-fA-F])",
    re.DOTALL,
)
_NUL_OR_QUOTE = re.compile(rb"\\u(?:0000|0022)")
_DIGITS_AS_0 = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER = b"0" * len(str(INTEGER_MAX))
_PLACE = re.compile(r" \(byte (\d+)\)$")
_GRAMMAR = "JSON is malformed: "
_INTEGER_DIGITS_MAX = len(str(INTEGER_MAX))


class NotStrictJsonError(ValueError):
    """The bytes are not JSON as we take it; `byte` is where that shows, from 0."""

    def __init__(self, what: str, byte: int) -> None:
        super().__init__(f"{what} at byte {byte}")
        self.what = what
        self.byte = byte


def parse(raw: bytes) -> Any:
    """The value of a JSON text. Raises NotStrictJsonError."""
    if raw.startswith(BOM):
        raise NotStrictJsonError("a byte order mark", 0)
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise NotStrictJsonError("not UTF-8", error.start) from error
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _explained(str(error), raw) from error
    if not _surely_fine(raw, value):
        _inspect(raw)
    return value


def takes_long(raw: bytes) -> bool:
    """Whether to parse a text, or to look at what it holds, may take more than a few milliseconds.

    Types look at their texts too, and longest at those that are not ASCII: an address with such a
    name or domain takes a tenth of a millisecond, and there may be a hundred.
    """
    if _is_foreign(raw):
        return True
    return len(raw) > SHORT_BYTES_MAX and (
        len(raw) > PLAIN_BYTES_MAX
        or _brackets(raw) > DEPTH_MAX  # each token is inspected then
        or raw.count(b'"') + raw.count(b",") > PLAIN_MARKS_MAX
    )


def _is_foreign(raw: bytes) -> bool:
    return raw.count(b'"') > FOREIGN_MARKS_MAX and (not raw.isascii() or b"\\u" in raw)


def _surely_fine(raw: bytes, value: Any) -> bool:
    """Whether `_inspect` would find nothing in the text that was decoded to this value. It need not
    see that of every text, but it must be right.

    A dropped member takes the quotation marks of its name with it: if as many are there when the
    value is written again, none was given twice. (One within a string is one in both texts.) Half a
    surrogate pair, or 1e999, had no value.
    """
    return (
        _brackets(raw) <= DEPTH_MAX
        and _LONG_NUMBER not in raw.translate(_DIGITS_AS_0)
        and _NUL_OR_QUOTE.search(raw) is None
        and raw.count(b'"') == msgspec.json.encode(value).count(b'"')
    )


def _brackets(raw: bytes) -> int:
    """How many open, counting those in strings."""
    return raw.count(b"{") + raw.count(b"[")


def _explained(said: str, raw: bytes) -> NotStrictJsonError:
    """What the decoder stumbled over; it gives a place for most faults of grammar only."""
    place = _PLACE.search(said)
    if place is not None and "surrogate" not in said:
        return NotStrictJsonError(said[: place.start()].removeprefix(_GRAMMAR), int(place[1]))
    try:
        _inspect(raw)
    except NotStrictJsonError as found:
        return found
    except msgspec.DecodeError:
        pass  # a member's name that is cut off
    return NotStrictJsonError("the text ends too early", len(raw))


def _inspect(raw: bytes) -> None:
    """Raise NotStrictJsonError for what the grammar allows and we do not."""
    if wrong := _WRONG_ESCAPE.match(raw):
        what = "U+0000" if wrong["code"] == b"0000" else "half a surrogate pair"
        raise NotStrictJsonError(what, wrong.start("code") - len("\\u"))
    members: list[set[bytes]] = []  # of each open bracket
    for token in _TOKEN.finditer(raw):
        kind = token.lastgroup
        if kind == "member":
            _add_member(token, members)
        elif kind == "open":
            if len(members) == DEPTH_MAX:
                raise NotStrictJsonError(f"nested deeper than {DEPTH_MAX}", token.start())
            members.append(set())
        elif kind == "close":
            del members[-1:]
        elif kind == "number":
            _check_number(token)


def _add_member(token: re.Match[bytes], members: list[set[bytes]]) -> None:
    literal = token["string"]
    name = msgspec.json.decode(literal, type=str).encode() if b"\\" in literal else literal[1:-1]
    for siblings in members[-1:]:
        if name in siblings:
            raise NotStrictJsonError("a member given twice", token.start())
        siblings.add(name)


def _check_number(token: re.Match[bytes]) -> None:
    literal = token["number"]
    digits = literal.lstrip(b"-")
    if not digits.isdigit():
        if not math.isfinite(float(literal)):
            raise NotStrictJsonError("a number out of range", token.start())
    elif len(digits) > _INTEGER_DIGITS_MAX or int(digits) > INTEGER_MAX:
        raise NotStrictJsonError("an integer beyond 2^53", token.start())
