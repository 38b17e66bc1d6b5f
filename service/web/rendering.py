"""Events as answers: one list of events, four ways to write it.

| media type                            | is |
|---------------------------------------|----|
| `application/json`                    | `{"events": […]}`, each as its canonical line has it |
| `application/x-ndjson`                | the lines as they stand in the log, byte for byte |
| `application/cloudevents-batch+json`  | CloudEvents 1.0, structured, a batch |
| `text/event-stream`                   | server-sent events, one each, that never end |

A CloudEvent says all that the line says: `id` is the position and `sequence` the same, padded, so
that it sorts as text; `source` is `/logs/<log id>`; `type` is the type and its version,
`dev.joblog.attempt_started.v1`; `subject` is the stream; `data` has the members that CloudEvents
has no name for: `rev`, `data`, `private`, `meta`.

A server-sent event has the position as its `id`, so that a browser which was cut off asks for what
comes after it, the type as its `event`, and the canonical line as its `data`. A comment says that
there is nothing to say.

All comes in slices of about SLICE_BYTES, so that whoever sends many large events can do something
else in between. Pure.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from eventstore.event import Event, canonical
from service.web.operation import CLOUDEVENTS, JSON, NDJSON, SSE

SLICE_BYTES: Final = 256 * 1024  # takes about a millisecond in the most laborious form
RETRY_MS: Final = 3_000
KEPT_MAX: Final = 2_000  # server-sent events: all followers are sent the same at about one time
KEPT_BYTES_MAX: Final = 2_048  # of a line: all that is kept has some 4 MB at most

STREAM_BEGIN: Final = b"retry: %d\n\n" % RETRY_MS
STREAM_SILENCE: Final = b": still here\n\n"

Render: TypeAlias = Callable[[Sequence[Event], str], Iterator[bytes]]

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class CloudEventData(msgspec.Struct, frozen=True, kw_only=True):
    """What CloudEvents has no attribute for."""

    rev: int
    data: dict[str, Any]
    private: dict[str, Any] | UnsetType = UNSET
    meta: dict[str, Any]


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event, as CloudEvents 1.0 has it."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: str
    sequence: str
    datacontenttype: Literal["application/json"] = "application/json"
    data: CloudEventData


def rendered(media_type: str, events: Sequence[Event], *, log_id: str) -> Iterator[bytes]:
    """The body of an answer with these events and no others."""
    return _RENDER[media_type](events, log_id)


def sent(events: Sequence[Event]) -> Iterator[bytes]:
    """The next part of a stream of server-sent events; of none, what shows that it is there."""
    if not events:
        yield STREAM_SILENCE
    for some in _slices(events):
        yield b"".join(map(_server_sent, some))


def cloud_event(event: Event, log_id: str) -> CloudEvent:
    """An event as a CloudEvent of this log."""
    return CloudEvent(
        id=str(event.pos),
        source=f"/logs/{log_id}",
        type=f"dev.joblog.{_WORD.sub('_', event.type).lower()}.v{event.v}",
        subject=event.stream,
        time=event.time,
        sequence=f"{event.pos:019d}",
        data=CloudEventData(
            rev=event.rev,
            data=event.data,
            private=UNSET if event.private is None else event.private,
            meta=event.meta,
        ),
    )


def _as_json(events: Sequence[Event], _: str) -> Iterator[bytes]:
    lines = ([canonical(event.line) for event in some] for some in _slices(events))
    return _enclosed(b'{"events":[', lines, b"]}")


def _as_lines(events: Sequence[Event], _: str) -> Iterator[bytes]:
    return (b"".join(event.line + b"\n" for event in some) for some in _slices(events))


def _as_cloud_events(events: Sequence[Event], log_id: str) -> Iterator[bytes]:
    encode = msgspec.json.Encoder().encode
    slices = _slices(events)
    return _enclosed(
        b"[", ([encode(cloud_event(e, log_id)) for e in some] for some in slices), b"]"
    )


def _enclosed(begin: bytes, slices: Iterable[list[bytes]], end: bytes) -> Iterator[bytes]:
    separator = begin
    for some in slices:
        yield separator + b",".join(some)
        separator = b","
    yield (begin if separator is begin else b"") + end


def _server_sent(event: Event) -> bytes:
    write = _written if len(event.line) <= KEPT_BYTES_MAX else _written.__wrapped__
    return write(event.pos, event.type, event.line)


@lru_cache(maxsize=KEPT_MAX)
def _written(pos: int, type_: str, line: bytes) -> bytes:
    head = f"id: {pos}\nevent: {type_}\ndata: ".encode()
    return head + canonical(line) + b"\n\n"  # a line of JSON has no line break


def _slices(events: Sequence[Event]) -> Iterator[list[Event]]:
    some: list[Event] = []
    size = 0
    for event in events:
        some.append(event)
        size += len(event.line)
        if size >= SLICE_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


_RENDER: Final[dict[str, Render]] = {
    JSON: _as_json,
    NDJSON: _as_lines,
    CLOUDEVENTS: _as_cloud_events,
}
MEDIA_TYPES: Final = (*_RENDER, SSE)  # of equals, the first is sent
