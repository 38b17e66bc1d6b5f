"""An event and its line: the bytes are golden, come back as they went, and hold only what belongs.

Logs outlive programs, so a line is compared byte for byte. The framing that a file adds must come
off again whatever the data look like, and nothing that is not an event may pass for one.
"""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.errors import TooLarge
from eventstore.event import (
    EVENTS_PER_APPEND_MAX,
    HEAD_BYTES_MAX,
    LINE_BYTES_MAX,
    NEW,
    Event,
    Head,
    NewEvent,
    canonical,
    decode,
    latest,
    line_head,
    prepare,
    recorded,
)
from eventstore.file.segment import MORE, closed, commit_mark

TIME = "2026-11-23T23:37:42.130112Z"
NONCE = "5d0c1f7a9b3e2246"
LINE = (
    b'{"pos":1043,"time":"2026-11-23T23:37:42.130112Z","type":"AttemptStarted","v":1,'
    b'"stream":"01a2","rev":2,"data":{"attempt":1},"private":{"payload":{"to":"\xc3\xa9"}},'
    b'"meta":{"n":"5d0c1f7a9b3e2246","actor":"worker:w-3f9a"}}'
)
EVENT = NewEvent(
    "AttemptStarted", TIME, {"attempt": 1}, {"payload": {"to": "é"}}, {"actor": "worker:w-3f9a"}
)
LOOKALIKES = [
    ',"crc":"9f3a61c2"}',
    ',"commit":7,"crc":"9f3a61c2"}',
    ',"more":true,"commit":7,"crc":"9f3a61c2"}',
    ',"more":true',
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(LOOKALIKES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
FACTS = st.dictionaries(st.sampled_from(["a", "more", "commit", "crc", "é"]), JSON)
FRAMINGS = st.tuples(st.booleans(), st.none() | st.integers(1, 2**63 - 1), st.integers(0, 2**32))


def one(new: NewEvent) -> Event:
    """The event of an append of one, as the second of its stream."""
    [found] = recorded(prepare("01a2", Head(1, 9), [new], nonce=NONCE), pos=1043, time=TIME)
    return found


def framed(line: bytes, more: bool, commit: int | None, seed: int) -> bytes:
    """A canonical line as a file holds it."""
    marks = (MORE if more else b"") + (b"" if commit is None else commit_mark(commit))
    return closed(line[:-1] + marks, seed)


# The line


def test_a_line_is_these_bytes():
    assert one(EVENT).line == LINE


def test_what_is_absent_is_left_out_and_what_is_empty_is_not():
    bare = one(NewEvent("Bare", TIME, {}))
    assert bare.line.endswith(b'"rev":2,"data":{},"meta":{"n":"5d0c1f7a9b3e2246"}}')
    assert b'"data":{},"private":{},"meta"' in one(NewEvent("Bare", TIME, {}, {})).line


def test_an_event_knows_its_head_and_its_append():
    found = one(EVENT)
    assert (found.head, found.nonce) == (Head(2, 1043), NONCE)
    assert (
        decode(b'{"pos":1,"time":"","type":"A","v":1,"stream":"a","rev":1,"data":{}}').nonce == ""
    )


def test_the_events_of_an_append_stand_one_after_the_other_at_one_time():
    append = prepare("01a2", Head(4, 9), [EVENT, EVENT, EVENT], nonce=NONCE)
    found = recorded(append, pos=20, time="2026-11-24T00:00:00.000000Z")
    assert [(e.pos, e.rev) for e in found] == [(20, 5), (21, 6), (22, 7)]
    assert {e.time for e in found} == {"2026-11-24T00:00:00.000000Z"}
    assert [decode(e.line) for e in found] == found


@given(FACTS, st.none() | FACTS, FACTS)
def test_a_line_comes_back_as_the_event_it_was(data: Any, private: Any, meta: Any):
    found = one(NewEvent("Kept", TIME, data, private, meta, v=3))
    assert decode(found.line) == found


@given(FACTS, st.none() | FACTS, FACTS, FRAMINGS)
def test_framing_comes_off_again_whatever_the_data_look_like(
    data: Any, private: Any, meta: Any, marks: Any
):
    line = one(NewEvent("Kept", TIME, data, private, meta)).line
    assert canonical(framed(line, *marks)) == line
    assert canonical(line) == line


@pytest.mark.parametrize("lookalike", LOOKALIKES)
def test_framing_in_the_data_is_data(lookalike: str):
    for new in (
        NewEvent("Kept", TIME, {"a": lookalike}),
        NewEvent("Kept", TIME, {}, {"a": lookalike}),
        NewEvent("Kept", TIME, {}, None, {"z": lookalike}),
        NewEvent("Kept", TIME, {}, None, {"more": True, "commit": 7, "crc": "9f3a61c2"}),
    ):
        line = one(new).line
        assert canonical(line) == line
        assert canonical(framed(line, more=True, commit=3, seed=0)) == line


def test_a_framed_line_is_the_same_event():
    line = framed(LINE, more=True, commit=1040, seed=7)
    assert msgspec.structs.replace(decode(line), line=LINE) == decode(LINE)
    assert decode(line).line == line


def test_members_from_the_future_are_passed_over():
    line = LINE.replace(b'"meta":', b'"future":[1,{"x":2}],"meta":')
    assert decode(line).data == {"attempt": 1}


def test_the_head_of_a_line_is_at_most_so_long():
    name, most = "T" * 64, 2**63 - 1
    new = NewEvent(name, TIME, {}, v=2**31 - 1)
    head = line_head(most, TIME, new, "s" * 64, most)
    assert len(head + b"}") == HEAD_BYTES_MAX


@given(st.lists(FACTS, min_size=1, max_size=4))
def test_the_size_of_an_append_is_an_upper_bound(facts: list[Any]):
    append = prepare("01a2", NEW, [NewEvent("Kept", TIME, data) for data in facts], nonce=NONCE)
    lines = [event.line for event in recorded(append, pos=2**62, time=TIME)]
    assert sum(map(len, lines)) <= append.size


# What is refused


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"\0" * 80,
        LINE[:-1],
        LINE + b"}",
        LINE.replace(b'"pos":1043,', b""),
        LINE.replace(b'"pos":1043', b'"pos":"1043"'),
        LINE.replace(b'"pos":1043', b'"pos":1043.5'),
        LINE.replace(b'"rev":2', b'"rev":null'),
        LINE.replace(b'"data":{"attempt":1}', b'"data":[1]'),
        LINE.replace(b'"data":{"attempt":1}', b'"data":{"attempt":NaN}'),
        LINE.replace(b"AttemptStarted", b"Attempt\xffStarted"),
        LINE.replace(b'"attempt":1', b'"a":' + b"[" * 100_000),
    ],
)
def test_what_is_not_a_line_is_refused(junk: bytes):
    with pytest.raises(ValueError):
        decode(junk)


@pytest.mark.parametrize("name", ["", " ", "a b", "a.b", "a/b", "é", "a\n", "a" * 65, "..", "a\0"])
def test_what_is_not_a_stream_name_is_refused(name: str):
    with pytest.raises(ValueError, match="not a stream name"):
        prepare(name, NEW, [EVENT], nonce=NONCE)


@pytest.mark.parametrize("new", [b"bytes", {1, 2}, object(), 2**64, "\ud800", {1: "a"}])
def test_data_that_are_not_json_are_refused(new: Any):
    with pytest.raises(TypeError):
        prepare("a", NEW, [NewEvent("Kept", TIME, {"it": new})], nonce=NONCE)


def test_data_nested_deeper_than_a_reader_could_follow_are_refused():
    def nested(depth: int) -> Any:
        found: Any = {}
        for _ in range(depth):
            found = {"a": found}
        return found

    deep = one(NewEvent("Kept", TIME, nested(200)))
    assert decode(deep.line) == deep
    with pytest.raises(TypeError):
        prepare("a", NEW, [NewEvent("Kept", TIME, nested(300))], nonce=NONCE)


def test_an_event_takes_at_most_a_line():
    room = (
        LINE_BYTES_MAX - HEAD_BYTES_MAX - len(prepare("a", NEW, [_text(0)], nonce=NONCE).bodies[0])
    )
    prepare("a", NEW, [_text(room)], nonce=NONCE)
    with pytest.raises(TooLarge) as caught:
        prepare("a", NEW, [_text(1), _text(room + 1)], nonce=NONCE)
    assert (caught.value.size, caught.value.limit) == (LINE_BYTES_MAX + 1, LINE_BYTES_MAX)


def _text(length: int) -> NewEvent:
    return NewEvent("Kept", TIME, {"text": "x" * length})


@pytest.mark.parametrize(
    "events",
    [
        [],
        [EVENT] * (EVENTS_PER_APPEND_MAX + 1),
        [NewEvent("lowerCase", TIME, {})],
        [NewEvent('Quo"te', TIME, {})],
        [NewEvent("T" * 65, TIME, {})],
        [NewEvent("Kept", TIME, {}, None, {"n": "mine"})],
    ],
)
def test_our_own_mistakes_are_assertions(events: list[NewEvent]):
    with pytest.raises(AssertionError):
        prepare("a", NEW, events, nonce=NONCE)


def test_before_and_after_recording_nothing_can_be_changed():
    for it in (EVENT, one(EVENT), prepare("a", NEW, [EVENT], nonce=NONCE)):
        with pytest.raises(AttributeError):
            it.stream = "other"  # type: ignore[misc, union-attr]


def test_the_latest_of_some_times_is_the_last():
    assert latest("2026-11-23T12:00:00.000001Z", TIME, "2026-11-23T12:00:00.000000Z") == TIME
