"""Strict JSON: what is refused and at which byte, and that everything else is read as it stands.

The property test compares with the standard library, which reads what we do when it is told to
refuse duplicates: so whatever one of the two refuses, the other must too. Another holds the quick
look, which most texts pass, against the scan of every token.
"""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.web import strictjson
from service.web.strictjson import DEPTH_MAX, INTEGER_MAX, NotStrictJsonError, parse


def refused(raw: bytes) -> tuple[str, int]:
    with pytest.raises(NotStrictJsonError) as error:
        parse(raw)
    what, _, byte = str(error.value).rpartition(" at byte ")
    assert int(byte) == error.value.byte
    return what, error.value.byte


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"null", None),
        (b' { "a" : [ 1 , -2.5e3 , true ] } ', {"a": [1, -2500.0, True]}),
        (b'"\\ud83d\\ude00 \\u00e9 \\\\u0000 \xc3\xa9"', "😀 é \\u0000 é"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"{[\\"a\\":1,\\"a\\":2]}"', '{["a":1,"a":2]}'),
        (b'{"a":1,"b":{"a":2}}', {"a": 1, "b": {"a": 2}}),
        (b'[{"a":3},{"a":4}]', [{"a": 3}, {"a": 4}]),
        (b'{"":0}', {"": 0}),
        (b"1e308", 1e308),
        (b"1e-400", 0.0),
        (
            b"[0.9007199254740993, -1.59007199254740993e1]",
            [0.9007199254740993, -15.9007199254740993],
        ),
        (b"1e-000000000000000000001", 0.1),
        (b"123456789012345678901234567890.5", 123456789012345678901234567890.5),
    ],
)
def test_what_is_fine_is_read_as_it_stands(raw: bytes, value: Any) -> None:
    assert parse(raw) == value


@pytest.mark.parametrize(
    ("raw", "byte"),
    [
        (b'{"a":1,"a":1}', 7),
        (b'{"a":1,"b":2, "a" : 3}', 14),
        (b'{"a":1,"\\u0061":2}', 7),
        (b'{"\xc3\xa9":1,"\\u00e9":2}', 8),
        (b'[{"x":{"k":1,"j":{"k":1},"k":2}}]', 25),
        (b'{"":1,"":2}', 6),
    ],
)
def test_a_member_given_twice(raw: bytes, byte: int) -> None:
    assert refused(raw) == ("a member given twice", byte)


@pytest.mark.parametrize(
    ("raw", "byte"),
    [
        (b'"\\ud800"', 1),
        (b'["a","b\\uDFFFc"]', 7),
        (b'"\\udc00\\ud800"', 1),
        (b'"\\ud800\\ud800\\udc00"', 1),
        (b'"\\ud800x\\udc00"', 1),
        (b'"\\ud800\\n"', 1),
        (b'"\\\\\\ud800"', 3),
        (b'{"\\ud800":1}', 2),
        (b'{"a":"\\ud83d"}', 6),
    ],
)
def test_half_a_surrogate_pair(raw: bytes, byte: int) -> None:
    assert refused(raw) == ("half a surrogate pair", byte)


@pytest.mark.parametrize(("raw", "byte"), [(b'"\\u0000"', 1), (b'{"a\\u0000":1}', 3)])
def test_u0000(raw: bytes, byte: int) -> None:
    assert refused(raw) == ("U+0000", byte)


@pytest.mark.parametrize("sign", [b"", b"-"])
def test_integers_to_2_to_the_53_and_no_further(sign: bytes) -> None:
    for integer in (INTEGER_MAX - 1, INTEGER_MAX):
        raw = sign + str(integer).encode()
        assert parse(raw) == int(raw)
    for digits in (str(INTEGER_MAX + 1), "9" * 17, "9" * 30, "9" * 100_000):
        assert refused(b"[" + sign + digits.encode() + b"]") == ("an integer beyond 2^53", 1)


@pytest.mark.parametrize("raw", [b"1e999", b"-1e999", b"1E400", b"9" * 400 + b".0"])
def test_numbers_that_no_double_holds(raw: bytes) -> None:
    assert refused(b'{"n": ' + raw + b"}") == ("a number out of range", 6)


@pytest.mark.parametrize("raw", [b"NaN", b"Infinity", b"'a'", b"undefined", b"\x00", b"+1"])
def test_what_only_some_readers_take_for_json(raw: bytes) -> None:
    assert refused(b"[" + raw + b"]") == ("invalid character", 1)


@pytest.mark.parametrize(
    ("raw", "byte"),
    [
        (b"-Infinity", 1),
        (b"01", 1),
        (b"1.", 2),
        (b"[1,]", 3),
        (b'{"a" 1}', 5),
        (b"{} x", 4),
        (b'{"a\tb":1}', 3),
        (b'"\\x41"', 3),
        (b"\xc2\xa01", 0),
        (b"/**/1", 0),
    ],
)
def test_bad_grammar(raw: bytes, byte: int) -> None:
    assert refused(raw)[1] == byte


@pytest.mark.parametrize(
    "raw", [b"", b"[", b'"abc', b'{"a":', b"tru", b'"\\', b'"\\u00', b'{"\\u1":']
)
def test_a_text_that_ends_too_early(raw: bytes) -> None:
    assert refused(raw) == ("the text ends too early", len(raw))


@pytest.mark.parametrize(
    ("raw", "byte"),
    [
        (b'"\xff"', 1),
        (b"\xff", 0),
        (b'["ok","\xc3"]', 7),
        (b'"\xed\xa0\x80"', 1),
        (b'"\xc0\x80"', 1),
    ],
)
def test_bytes_that_are_not_utf_8(raw: bytes, byte: int) -> None:
    assert refused(raw) == ("not UTF-8", byte)


def test_a_byte_order_mark_and_other_encodings() -> None:
    assert refused(b"\xef\xbb\xbf1") == ("a byte order mark", 0)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        refused('{"a": 1}'.encode(encoding))


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_to_the_limit_and_no_deeper(opening: bytes, closing: bytes) -> None:
    for depth in (DEPTH_MAX - 1, DEPTH_MAX):
        parse(opening * depth + b"1" + closing * depth)
    for depth in (DEPTH_MAX + 1, 1_000, 100_000):
        raw = opening * depth + b"1" + closing * depth
        assert refused(raw) == ("nested deeper than 64", len(opening) * DEPTH_MAX)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(parse(b"[" + b"[[]]," * 1_000 + b"[]]")) == 1_001


@pytest.mark.parametrize(
    "raw",
    [b'"' + b'\\"' * 500_000, b'"' + b'\\"' * 500_000 + b"\\", b'"' * 1_000_000, b"9" * 1_000_000],
)
def test_no_text_takes_long_to_refuse(raw: bytes) -> None:
    refused(raw)  # quadratic time would be minutes here


def reference(raw: bytes) -> Any:
    """The standard library, told to be strict where it can be."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("twice")
        return found

    def refuse(text: str) -> Any:
        raise ValueError(text)

    value = json.loads(raw.decode(), object_pairs_hook=members, parse_constant=refuse)
    _check(value, 0)
    return value


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        value.encode()
        if "\0" in value:
            raise ValueError("U+0000")
    elif isinstance(value, int) and abs(value) > INTEGER_MAX:
        raise ValueError("integer")
    elif isinstance(value, float) and abs(value) == float("inf"):
        raise ValueError("float")
    elif isinstance(value, dict | list):
        if depth == DEPTH_MAX:
            raise ValueError("deep")
        for each in [*value, *value.values()] if isinstance(value, dict) else value:
            _check(each, depth + 1)


PIECES = st.sampled_from(
    r"""{ } [ ] : , " "a" "a": "\u0061": "b": 1 -0 1.5 1e999 00 9007199254740992 9007199254740993
    NaN null true \ \" \\ \u0000 \ud800 \udc00 \n é 😀""".split()  # noqa: SIM905  one at a glance
)


@given(st.lists(PIECES, max_size=30).map("".join).map(str.encode))
@example(b'{"a":"\\ud800","a":1}')
@example(b'"\\\\\\u0000"')
def test_what_the_standard_library_refuses_is_refused_and_the_rest_is_the_same(raw: bytes) -> None:
    try:
        expected = reference(raw)
    except ValueError:
        refused(raw)
    else:
        assert parse(raw) == expected


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NUMBERS = st.integers(-INTEGER_MAX, INTEGER_MAX) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_is_written_is_read(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


MEMBERS = st.sampled_from(
    r"""a b \u0061 \" \u0022 \\ \/ / \\u0061 é \u00e9 \n \u0000 \\u0000
    {[ ]}""".split()  # noqa: SIM905  one at a glance
)
NUMERALS = st.sampled_from(
    """0 -1 1.5 1e308 1e999 12E400 999999999999999 1000000000000000 9007199254740992
    -9007199254740993 0.1234567890123456 18446744073709551616
    1e0000000000000000001""".split()  # noqa: SIM905  one at a glance
)
STRINGS = st.lists(MEMBERS | st.sampled_from([r"\ud83d\ude00", r"\udc00", "😀"]), max_size=4)
LITERALS = NUMERALS | STRINGS.map(lambda pieces: f'"{"".join(pieces)}"') | st.just("null")
RAW_TEXTS = st.recursive(
    LITERALS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(MEMBERS, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f'"{name}" : {each}' for name, each in pairs) + "}"
        )
    ),
    max_leaves=12,
)


def is_fine(raw: bytes) -> bool:
    """Whether the scan of every token finds nothing."""
    try:
        strictjson._inspect(raw)
    except NotStrictJsonError:
        return False
    return True


def is_surely_fine(raw: bytes) -> bool:
    """Whether the quick look, at what can be decoded, finds nothing."""
    return strictjson._surely_fine(raw, msgspec.json.decode(raw))


@given(RAW_TEXTS.map(str.encode))
@example(b'{"a":1,"a":1}')
@example(b'{"a":1,"\\u0061":1}')
@example(b'{"/":1,"\\/":1}')
@example(b'{"a":1,"a":"\\u0022\\u0022"}')
@example(b'[{"a":"","a":""},"\\u0022\\u0022\\u0022\\u0022"]')
@example(b'{"a":{"b":[{"c":1,"c":2}]}}')
@example(b'["\\u0000"]')
@example(b"[-9007199254740993]")
@example(b"[9999999999999999]")
@example(b"[" * 65 + b"]" * 65)
@example(b'{"a":' * 65 + b"0" + b"}" * 65)
@example(b'[{"a":' * 33 + b"0" + b"}]" * 33)
@settings(max_examples=500)
def test_what_passes_the_quick_look_has_nothing_that_the_scan_would_find(raw: bytes) -> None:
    try:
        sure = is_surely_fine(raw)
    except msgspec.DecodeError:
        return
    assert is_fine(raw) or not sure


@pytest.mark.parametrize(
    "raw",
    [
        b'{"to": "ada@example.com", "subject": "Hello", "body": "How are you?"}',
        b'{"to":["a@example.com"],"body":"A \\"word\\",\\n\\tand {another}","n":[1,2.5e3,null]}',
        '{"body": "Grüße ☕, \\u00fc, C:\\\\users", "html": "<p>\\/</p>"}'.encode(),
        b'{"n": 999999999999999}',
        b"[" * DEPTH_MAX + b"]" * DEPTH_MAX,
    ],
)
def test_most_texts_pass_the_quick_look(raw: bytes) -> None:
    assert is_surely_fine(raw)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_at_one_of_them(raw: bytes) -> None:
    with suppress(NotStrictJsonError):
        parse(raw)
        return
    assert 0 <= refused(raw)[1] <= len(raw)
