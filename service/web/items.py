"""A body of many items: a JSON array, or a JSON text on each line (`application/x-ndjson`).

An item is read as strictly as a body of its own (`strictjson`), checked against the kind's type and
named by its index, whichever way it was written:

    {"pointer": "#/3/to", "detail": "…"}             item 3, the fourth, has a wrong `to`
    line 4: a member given twice at byte 23          ndjson; the byte is the line's, from 0
    a member given twice at byte 6211                an array; the byte is the body's

One wrong item refuses all of them; up to ERRORS_MAX are told. An empty line is malformed, but for
the end of the last one.

An array is not decoded in one go: it is split where its items end, by their brackets, and then read
item by item. So nothing of ten megabytes holds up who shares the interpreter, a body of too many
items, or of one too large, is given up where that shows, and each byte is known. What comes between
the items can only be commas, brackets and white space; that is checked here, all else there.

Blocking, and long: for an `Offload`. What becomes of the items is not its matter.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from service.web import problems, strictjson
from service.web.body import BODY_BYTES_MAX, Received
from service.web.operation import NDJSON
from service.web.problems import Invalid, ProblemError
from service.web.strictjson import NotStrictJsonError
from service.web.validation import invalid_body, typed

ITEMS_MAX = 10_000
ITEM_BYTES_MAX = BODY_BYTES_MAX  # as for a body of its own
ERRORS_MAX = 20

_SPACE = b" \t\r\n"
_OPENING, _CLOSING, _COMMA = b"[{", b"]}", b","[0]
# Strings are stepped over whole; an unclosed one reaches to the end.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)


class Items(NamedTuple):
    """The items, of the type asked for, and a digest that equal ones have too."""

    payloads: list[Any]
    digest: str


class _Piece(NamedTuple):
    """The text of one item, and where it begins; of a line, which one it is."""

    text: bytes
    start: int
    line: int | None = None


def read_items(body: Received, type_: Any) -> Items:
    """The items of a body. Raises ProblemError."""
    payloads: list[Any] = []
    errors: list[Invalid] = []
    sha = hashlib.sha256()
    for number, piece in enumerate(_pieces(body)):
        if number == ITEMS_MAX:
            raise problems.invalid(Invalid("#", f"a batch has at most {ITEMS_MAX} items"))
        try:
            payload = typed(_parsed(piece, number), type_)
        except msgspec.ValidationError as error:
            errors.append(of_item(number, invalid_body(error)))
            if len(errors) == ERRORS_MAX:
                break
            continue
        encoded = msgspec.json.encode(payload, order="sorted")
        sha.update(b"%d:" % len(encoded) + encoded)
        payloads.append(payload)
    if errors:
        raise problems.invalid(*errors)
    if not payloads:
        raise problems.invalid(Invalid("#", "a batch has at least one item"))
    return Items(payloads, sha.hexdigest())


def too_large(item: int, detail: str) -> ProblemError:
    """The 413 for an item."""
    error = Invalid(f"#/{item}", detail)
    return ProblemError(problems.TOO_LARGE, f"item {item}: {detail}", errors=(error,))


def of_item(number: int, error: Invalid) -> Invalid:
    """What is wrong in an item, with its place in the body."""
    return Invalid(f"#/{number}{error.pointer.removeprefix('#')}", error.detail)


def _parsed(piece: _Piece, number: int) -> Any:
    """The value of one item. Raises ProblemError."""
    if len(piece.text) > ITEM_BYTES_MAX:
        raise too_large(number, f"an item is at most {ITEM_BYTES_MAX} bytes")
    try:
        return _strict(piece.text)
    except NotStrictJsonError as error:
        if piece.line is not None:
            raise _malformed(f"line {piece.line}: {error}") from error
        raise _malformed(f"{error.what} at byte {piece.start + error.byte}") from error


def _strict(text: bytes) -> Any:
    if not text.strip(_SPACE):
        raise NotStrictJsonError("an item is missing", 0)
    return strictjson.parse(text)


def _pieces(body: Received) -> Iterator[_Piece]:
    if body.media == NDJSON:
        yield from _lines(body.raw)
        return
    try:
        yield from _elements(body.raw)
    except NotStrictJsonError as error:
        raise _malformed(str(error)) from error


def _lines(raw: bytes) -> Iterator[_Piece]:
    start, line = 0, 1
    while start < len(raw):
        end = raw.find(b"\n", start)
        end = len(raw) if end < 0 else end
        yield _Piece(raw[start:end], start, line)
        start, line = end + 1, line + 1


def _elements(raw: bytes) -> Iterator[_Piece]:
    """The elements of an array. Raises NotStrictJsonError for what is wrong around them."""
    start = _first_element(raw)
    depth, empty = 1, True
    for token in _STRUCTURE.finditer(raw, start):
        mark, at = raw[token.start()], token.start()
        if mark in _OPENING:
            depth += 1
        elif mark in _CLOSING:
            depth -= 1
        if depth == 0:
            if not empty or raw[start:at].strip(_SPACE):
                yield _Piece(raw[start:at], start)
            _require_end(raw, at)
            return
        if at - start > ITEM_BYTES_MAX:
            break  # too large already, wherever it ends
        if mark == _COMMA and depth == 1:
            yield _Piece(raw[start:at], start)
            start, empty = at + 1, False
    if raw[start:].strip(_SPACE):
        yield _Piece(raw[start:], start)  # where something else is wrong in it, that is said
    raise NotStrictJsonError("the text ends too early", len(raw))


def _first_element(raw: bytes) -> int:
    """Where the first element of an array may begin: after its bracket."""
    begin = len(raw) - len(raw.lstrip(_SPACE))
    if raw.startswith(strictjson.BOM):
        raise NotStrictJsonError("a byte order mark", 0)
    if begin == len(raw):
        raise NotStrictJsonError("the text ends too early", begin)
    if raw[begin : begin + 1] != b"[":
        raise problems.invalid(Invalid("#", "expected an array"))
    return begin + 1


def _require_end(raw: bytes, bracket: int) -> None:
    if raw[bracket : bracket + 1] != b"]":
        raise NotStrictJsonError("invalid character", bracket)
    rest = raw[bracket + 1 :].lstrip(_SPACE)
    if rest:
        raise NotStrictJsonError("trailing characters", len(raw) - len(rest))


def _malformed(detail: str) -> ProblemError:
    return ProblemError(problems.INVALID_JSON, detail)
