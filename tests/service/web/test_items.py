"""Bodies of many items: split where they end, read as strictly as a body of its own, told by place.

Whatever the splitting says is also held against the parser that reads a whole body at once: both
must take the same arrays, with the same values.
"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.web import items as items_module
from service.web import strictjson
from service.web.body import Received
from service.web.items import ERRORS_MAX, ITEM_BYTES_MAX, ITEMS_MAX, read_items
from service.web.operation import JSON, NDJSON
from service.web.problems import ProblemError

LINE = b'{"to": "a"}'


class Note(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    tags: list[int] = []


def read(raw: bytes, type_: Any = Any, media: str = JSON) -> list[Any]:
    return read_items(Received(media, raw), type_).payloads


def refusal(raw: bytes, type_: Any = Any, media: str = JSON) -> tuple[str, Any]:
    with pytest.raises(ProblemError) as refused:
        read(raw, type_, media)
    errors = refused.value.more.get("errors", ())
    found = [(error.pointer, error.detail) for error in errors]
    return refused.value.kind.name, found or refused.value.detail


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        (b"[1]", [1]),
        (b" \r\n\t[ 1 , 2 ]\n ", [1, 2]),
        (b'[{"a":[1,{"b":2}]},[3,[4]],"x",null,true,-1.5e3]', None),
        (rb'["a,b]}\"[{,", "\\", ""]', ['a,b]}"[{,', "\\", ""]),
        ('["ä, ö"]'.encode(), ["ä, ö"]),
    ],
)
def test_the_items_of_an_array(raw: bytes, values: list[Any] | None) -> None:
    assert read(raw) == (json.loads(raw) if values is None else values)


@pytest.mark.parametrize(
    ("raw", "values"),
    [(b"1", [1]), (b"1\n2\n", [1, 2]), (b" 1 \r\n[2, 3]\r\n", [1, [2, 3]])],
)
def test_the_items_of_lines(raw: bytes, values: list[Any]) -> None:
    assert read(raw, media=NDJSON) == values


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b" ", "the text ends too early at byte 1"),
        (b"[", "the text ends too early at byte 1"),
        (b"[1", "the text ends too early at byte 2"),
        (b"[1,", "the text ends too early at byte 3"),
        (b"[1,]", "an item is missing at byte 3"),
        (b"[,1]", "an item is missing at byte 1"),
        (b"[1,,2]", "an item is missing at byte 3"),
        (b"[1 2]", "trailing characters at byte 4"),
        (b"[1}", "invalid character at byte 2"),
        (b"[{]}", "object keys must be strings at byte 2"),
        (b"[1],", "trailing characters at byte 3"),
        (b"[1] \n[2]", "trailing characters at byte 5"),
        (b'["a', "the text ends too early at byte 3"),
        (b'["a\\', "the text ends too early at byte 4"),
        (b'[1, {"a": nope}, 2]', "invalid character at byte 14"),
        (b'[1, {"a": 1, "a": 2}]', "a member given twice at byte 13"),
        (b'[1, "\xff"]', "not UTF-8 at byte 5"),
        (b"[1]\xff", "trailing characters at byte 3"),
        (b"\xef\xbb\xbf[1]", "a byte order mark at byte 0"),
        (b'["\\u0000"]', "U+0000 at byte 2"),
        (b'["a", "\\ud83d"]', "half a surrogate pair at byte 7"),
        (b"[1, 9007199254740993]", "an integer beyond 2^53 at byte 4"),
        (b"[1, NaN]", "invalid character at byte 4"),
        (b"[[]," + b"[" * 65 + b"]" * 65 + b"]", "nested deeper than 64 at byte 68"),
    ],
)
def test_a_malformed_array_is_told_with_the_byte_of_the_body(raw: bytes, detail: str) -> None:
    assert refusal(raw) == ("invalid-json", detail)


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"1\n{\n", "line 2: the text ends too early at byte 1"),
        (b'1\n2\n{"a": 1, "a": 2}\n4', "line 3: a member given twice at byte 9"),
        (b"1\n\n2\n", "line 2: an item is missing at byte 0"),
        (b"\n", "line 1: an item is missing at byte 0"),
        (b"1\n2\n\n", "line 3: an item is missing at byte 0"),
        (b"1 2\n", "line 1: trailing characters at byte 3"),
        (b"\xef\xbb\xbf1\n", "line 1: a byte order mark at byte 0"),
        (b'1\n"\xff"\n', "line 2: not UTF-8 at byte 1"),
    ],
)
def test_a_malformed_line_is_told_with_its_number_and_byte(raw: bytes, detail: str) -> None:
    assert refusal(raw, media=NDJSON) == ("invalid-json", detail)


@pytest.mark.parametrize("raw", [b"{}", b' "x"', b"5", b"null", LINE])
def test_what_is_no_array_is_invalid(raw: bytes) -> None:
    assert refusal(raw) == ("invalid", [("#", "expected an array")])


@pytest.mark.parametrize("raw", [b"[]", b"[ ]", b" [\n] "])
def test_an_empty_array_is_invalid(raw: bytes) -> None:
    assert refusal(raw) == ("invalid", [("#", "a batch has at least one item")])


@pytest.mark.parametrize("media", [JSON, NDJSON])
@pytest.mark.parametrize("number", [ITEMS_MAX - 1, ITEMS_MAX, ITEMS_MAX + 1])
def test_as_many_items_as_the_limit(media: str, number: int) -> None:
    raw = b"\n".join([b"1"] * number) if media == NDJSON else json.dumps([1] * number).encode()
    if number <= ITEMS_MAX:
        assert len(read(raw, media=media)) == number
    else:
        assert refusal(raw, media=media) == ("invalid", [("#", "a batch has at most 10000 items")])


def test_every_wrong_item_is_told_with_its_index() -> None:
    items = [{"to": "a"}, {"to": 1}, {"to": "b"}, {"tags": []}, {"to": "c", "tags": [1, "x"]}]
    expected = [
        ("#/1/to", "Expected `str`, got `int`"),
        ("#/3/to", "Object missing required field `to`"),
        ("#/4/tags/1", "Expected `int`, got `str`"),
    ]
    lines = "\n".join(map(json.dumps, items)).encode()
    assert refusal(json.dumps(items).encode(), Note) == ("invalid", expected)
    assert refusal(lines, Note, NDJSON) == ("invalid", expected)
    assert refusal(b"[1]", Note) == ("invalid", [("#/0", "Expected `object`, got `int`")])


@pytest.mark.parametrize("wrong", [ERRORS_MAX - 1, ERRORS_MAX, ERRORS_MAX + 1])
def test_so_many_errors_are_told_at_most(wrong: int) -> None:
    _, errors = refusal(json.dumps([{"to": "a"}] + [{}] * wrong).encode(), Note)
    assert len(errors) == min(wrong, ERRORS_MAX)


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("media", [JSON, NDJSON])
def test_an_item_has_the_size_of_a_body_at_most(media: str, more: int) -> None:
    item = b'"' + b"x" * (ITEM_BYTES_MAX - 2 + more) + b'"'
    raw = b"1\n" + item if media == NDJSON else b"[1," + item + b"]"
    if more <= 0:
        assert len(read(raw, media=media)) == 2
    else:
        detail = f"an item is at most {ITEM_BYTES_MAX} bytes"
        assert refusal(raw, media=media) == ("too-large", [("#/1", detail)])


def test_an_item_too_large_is_given_up_before_its_end() -> None:
    raw = b"[[" + b"1," * ITEM_BYTES_MAX  # malformed, but nobody has looked so far
    assert refusal(raw)[0] == "too-large"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'[{"to":"a"}]', b' [ {"tags":[], "to":"\\u0061"} ]', True),
        (b'[{"to":"a"},{"to":"b"}]', b'[{"to":"b"},{"to":"a"}]', False),
        (b'[{"to":"a"}]', b'[{"to":"a"},{"to":"a"}]', False),
        (b'[{"to":"a"}]', b'[{"to":"a","tags":[1]}]', False),
    ],
)
def test_the_digest_tells_items_apart_and_not_how_they_were_written(
    one: bytes, other: bytes, same: bool
) -> None:
    first, second = (read_items(Received(JSON, raw), Note).digest for raw in (one, other))
    assert (first == second) is same


def test_the_digest_is_the_same_for_an_array_and_for_lines() -> None:
    array = read_items(Received(JSON, b"[" + LINE + b"," + LINE + b"]"), Note)
    lines = read_items(Received(NDJSON, LINE + b"\n" + LINE + b"\n"), Note)
    assert array == lines


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.lists(_values, min_size=1, max_size=5), st.sampled_from([None, 1, "\t"]))
def test_an_array_is_split_into_what_a_parser_finds_in_it(values: Any, indent: Any) -> None:
    raw = json.dumps(values, indent=indent).encode()
    try:
        whole = strictjson.parse(raw)
    except strictjson.NotStrictJsonError:  # a U+0000, say
        assert refusal(raw)[0] == "invalid-json"
    else:
        assert read(raw) == whole


@given(st.text(alphabet='[]{},:" \\1a\n', max_size=12).map(str.encode))
@example(b"[{]}")
@example(b'["\\"]')
def test_nothing_is_taken_that_a_parser_would_not_take(raw: bytes) -> None:
    try:
        found = read(raw)
    except ProblemError:
        return
    assert found == strictjson.parse(raw)


def test_a_splitter_that_knows_no_strings_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items_module, "_STRUCTURE", items_module.re.compile(rb"[\[\]{},]"))
    with pytest.raises(ProblemError):
        read(b'["a,b"]')
