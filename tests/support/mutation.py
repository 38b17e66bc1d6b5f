"""Bytes made hostile: valid ones changed by lot, as a disk, a proxy or an attacker might.

`mutated` makes one to four changes: bits flipped, spans lost, doubled, moved, spliced in from
another text, numbers and strings exchanged for such as break readers, members given twice, and
pieces of JSON that readers disagree about. Everything follows from the dice. Nothing here knows
what the bytes mean, so a mutation may well leave them valid: whoever uses it needs a second
opinion.
"""

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

CHANGES_MAX = 4
SPAN_MAX = 200
DEEP = 3_000  # a nesting that every recursive reader falls over

NUMBERS: Final = (
    b"", b"null", b"NaN", b"-Infinity", b"1e999", b"-0", b"-1", b"0", b"01", b"1.5", b"1e5",
    b"9007199254740993", b"9223372036854775808", b"18446744073709551616", b"9" * 20, b"9" * 5_000,
)  # fmt: skip
JUNK: Final = (
    *NUMBERS,
    b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80",
    b"\\ud800", b"\\udc00\\ud800", b"\\u0000", b"\\x", b"\\", b'"', b"'", b"\n", b"\r\n",
    b",", b":", b"{", b"}", b"[", b"]", b"{}", b"[]", b"true",
    b'{"__proto__":{}}', b"[" * DEEP, b'{"a":' * DEEP, b"[" * 70 + b"]" * 70, b'"a":1,"a":2',
    b'{"pos":1,', b'"pos":1,"pos":2,', b',"more":true', b',"commit":1', b',"crc":"00000000"}',
    b"\x1b[2J", "Übel ☠ \u2028\u202e".encode(), "💩".encode(), b"x" * 1_000, b"%00", b"%",
    b"../../etc/passwd",
)  # fmt: skip
QUOTED: Final = tuple(b'"%b"' % each for each in JUNK)

_NUMBER = re.compile(rb"-?\d+")
_MEMBER = re.compile(rb'(?<=[{,])"\w+":[^,{}\[\]]+(?=,)')
_TEXT = re.compile(rb'"[^"]*"')


def mutated(dice: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The bytes after some changes; spans of `others` may come into them."""
    for _ in range(dice.randint(1, CHANGES_MAX)):
        data = dice.choice(_CHANGES)(dice, data, others)
    return data


def _flip(dice: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]


def _lose(dice: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(dice, data)
    return data[:start] + data[end:]


def _cut(dice: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: dice.randint(0, len(data))]


def _double(dice: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(dice, data)
    return data[:end] + data[start:end] * dice.choice((1, 1, 2, 20)) + data[end:]


def _move(dice: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(dice, data)
    rest = data[:start] + data[end:]
    at = dice.randint(0, len(rest))
    return rest[:at] + data[start:end] + rest[at:]


def _splice(dice: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = dice.choice(others)
    start, end = _span(dice, other)
    at = dice.randint(0, len(data))
    return data[:at] + other[start:end] + data[at + dice.choice((0, end - start)) :]


def _cross(dice: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = dice.choice(others)
    return data[: dice.randint(0, len(data))] + other[dice.randint(0, len(other)) :]


def _whole_lines(dice: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    at = dice.randrange(len(lines))
    moved = [lines[at]] * dice.choice((0, 1, 2))
    rest = lines[:at] + lines[at + 1 :]
    to = dice.randint(0, len(rest))
    return b"\n".join(rest[:to] + moved + rest[to:])


def _member_again(dice: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A member of this object, or of another, before one that is there."""
    places = [found.start() for found in _MEMBER.finditer(data)]
    members = _MEMBER.findall(dice.choice((data, dice.choice(others))))
    if not places or not members:
        return data
    at, member = dice.choice(places), dice.choice(members)
    return data[:at] + member + b"," + data[at:]


def _litter(dice: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + dice.choice(JUNK) + data[at:]


def _exchange(
    pattern: re.Pattern[bytes], junk: Sequence[bytes]
) -> Callable[[Random, bytes, Sequence[bytes]], bytes]:
    def exchange(dice: Random, data: bytes, _: Sequence[bytes]) -> bytes:
        found = list(pattern.finditer(data))
        if not found:
            return data
        start, end = dice.choice(found).span()
        return data[:start] + dice.choice(junk) + data[end:]

    return exchange


def _span(dice: Random, data: bytes) -> tuple[int, int]:
    start = dice.randint(0, len(data))
    return start, min(len(data), start + dice.randint(0, SPAN_MAX))


_CHANGES: Final = (
    _flip, _flip, _lose, _cut, _double, _move, _splice, _cross, _whole_lines, _litter,
    _member_again,    _exchange(_NUMBER, NUMBERS), _exchange(_TEXT, JUNK), _exchange(_TEXT, QUOTED),
)  # fmt: skip
