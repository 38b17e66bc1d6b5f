"""Events as JSON, lines, CloudEvents and server-sent events: what each has, and that large ones
come in slices.
"""

import json
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from eventstore.event import NEW, Event, canonical, decode, prepare, recorded
from service.web import rendering
from service.web.operation import CLOUDEVENTS, JSON, NDJSON
from service.web.rendering import (
    KEPT_BYTES_MAX,
    SLICE_BYTES,
    STREAM_SILENCE,
    cloud_event,
    rendered,
    sent,
)
from tests.support.build import BUILDERS, LOG_ID, job_created, random_life, record

FRAMING = b',"commit":7,"crc":"0123abcd"}'
WHOLE = [JSON, NDJSON, CLOUDEVENTS]


def framed(payload: object, pos: int = 8) -> Event:
    """An event as a file has it."""
    append = prepare("j", NEW, [job_created(payload=payload)], nonce="f" * 16)
    [event] = recorded(append, pos=pos, time=append.time)
    return replace(event, line=event.line[:-1] + FRAMING)


def body(media_type: str, events: list[Event]) -> bytes:
    return b"".join(rendered(media_type, events, log_id=LOG_ID))


def test_json_leaves_out_what_a_file_adds() -> None:
    event = framed({"to": "ada"})
    assert json.loads(body(JSON, [event])) == {"events": [json.loads(canonical(event.line))]}


def test_ndjson_is_the_file_byte_for_byte() -> None:
    events = [framed(1), framed(2, pos=9)]
    assert body(NDJSON, events) == events[0].line + b"\n" + events[1].line + b"\n"
    assert b'"crc"' in body(NDJSON, events)


@pytest.mark.parametrize(
    ("media_type", "nothing"), [(JSON, b'{"events":[]}'), (NDJSON, b""), (CLOUDEVENTS, b"[]")]
)
def test_no_events_are_an_empty_list(media_type: str, nothing: bytes) -> None:
    assert body(media_type, []) == nothing


def test_a_cloud_event_says_all_that_the_line_says() -> None:
    event = framed({"to": "ada"})
    [found] = json.loads(body(CLOUDEVENTS, [event]))
    line = json.loads(canonical(event.line))
    assert found == {
        "specversion": "1.0",
        "id": "8",
        "source": f"/logs/{LOG_ID}",
        "type": "dev.joblog.job_created.v1",
        "subject": "j",
        "time": event.time,
        "sequence": "0000000000000000008",
        "datacontenttype": "application/json",
        "data": {name: line[name] for name in ("rev", "data", "private", "meta")},
    }


def test_a_cloud_event_of_an_event_without_private_members_has_none() -> None:
    [_, started] = record(job_created(), BUILDERS["AttemptStarted"](1))
    [found] = json.loads(body(CLOUDEVENTS, [started]))
    assert sorted(found["data"]) == ["data", "meta", "rev"]


@pytest.mark.parametrize(
    ("type_", "v", "expected"),
    [
        ("JobCreated", 1, "dev.joblog.job_created.v1"),
        ("LeaseRenewed", 12, "dev.joblog.lease_renewed.v12"),
        ("Noted", 1, "dev.joblog.noted.v1"),
        ("HTTPCalled", 1, "dev.joblog.httpcalled.v1"),
        ("Sha256Drawn", 1, "dev.joblog.sha256_drawn.v1"),
    ],
)
def test_the_type_of_a_cloud_event_is_in_snake_case(type_: str, v: int, expected: str) -> None:
    line = {"pos": 1, "time": "t", "type": type_, "v": v, "stream": "s", "rev": 1, "data": {}}
    assert cloud_event(decode(json.dumps(line).encode()), LOG_ID).type == expected


def test_the_sequence_of_cloud_events_sorts_as_text() -> None:
    events = [framed(None, pos=pos) for pos in (2, 10, 99, 2**63 - 1)]
    sequences = [cloud_event(event, LOG_ID).sequence for event in events]
    assert sequences == sorted(sequences)
    assert all(re.fullmatch("[0-9]{19}", each) for each in sequences)


def test_a_server_sent_event_takes_three_lines_whatever_is_in_it() -> None:
    event = framed("line\nline\r\n\rline\u2028 id: 5\n\n")
    text = b"".join(sent([event]))
    assert text == b"id: 8\nevent: JobCreated\ndata: " + canonical(event.line) + b"\n\n"
    assert text.count(b"\n") == 4
    assert b"\r" not in text


def test_a_server_sent_event_is_written_once_for_all_who_follow_unless_it_is_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = []

    def counting(line: bytes) -> bytes:
        written.append(line)
        return canonical(line)

    monkeypatch.setattr(rendering, "canonical", counting)
    small, large = record(
        *(job_created(payload="x" * size, kind="told-once") for size in (9, KEPT_BYTES_MAX)),
    )
    first, *others = (list(sent([small, large])) for _ in range(3))
    assert others == [first, first]
    assert [written.count(event.line) for event in (small, large)] == [1, 3]


def test_nothing_to_say_is_a_comment() -> None:
    assert b"".join(sent([])) == STREAM_SILENCE
    assert STREAM_SILENCE.startswith(b":")
    assert STREAM_SILENCE.endswith(b"\n\n")


@given(st.randoms(use_true_random=False).map(random_life))
def test_any_life_is_the_same_in_every_form(life: list) -> None:
    events = record(*life)
    lines = [json.loads(event.line) for event in events]
    assert json.loads(body(JSON, events))["events"] == lines
    assert [json.loads(line) for line in body(NDJSON, events).splitlines()] == lines
    clouds = json.loads(body(CLOUDEVENTS, events))
    assert [cloud["data"]["data"] for cloud in clouds] == [line["data"] for line in lines]
    blocks = b"".join(sent(events)).decode().split("\n\n")[:-1]
    assert [json.loads(block.split("data: ", 1)[1]) for block in blocks] == lines


@pytest.mark.parametrize("media_type", WHOLE)
def test_large_events_come_in_slices(media_type: str) -> None:
    dice = Random(1)
    events = [framed("x" * dice.randrange(60_000), pos=pos) for pos in range(1, 101)]
    parts = list(rendered(media_type, events, log_id=LOG_ID))
    largest = max(len(event.line) for event in events)
    assert len(parts) > 5
    assert max(map(len, parts)) <= SLICE_BYTES + largest + 10_000
    assert max(map(len, sent(events))) <= SLICE_BYTES + largest + 10_000
