"""An event before and after recording, and the line it becomes.

`NewEvent` is what somebody wants recorded. `Event` is what was: it has a place in the log (`pos`),
a place in its stream (`rev`) and the bytes of its line. They are two types, so that nothing can be
mistaken for recorded.

One event is one line of JSON, written once and served as written:

    {"pos":1043,"time":"2026-11-23T23:37:42.130112Z","type":"AttemptStarted","v":1,
     "stream":"01a2…","rev":2,"data":{"attempt":1},"private":{"payload":{}},
     "meta":{"n":"5d0c1f7a9b3e2246","actor":"worker:w-3f9a"}}

| key       | rule |
|-----------|------|
| `pos`     | place in the whole log, from 1, growing; it is the event's id |
| `time`    | when it was decided; raised to the last time in the log, so it never goes back |
| `type`,`v`| PascalCase and past tense; version of this type's `data` |
| `stream`  | the thing it happened to, `[A-Za-z0-9_-]{1,64}` |
| `rev`     | its number in that stream: 1, 2, 3 … without gaps |
| `data`    | the clear facts; every decision a fold needs is here |
| `private` | payload, error text, result: no decision depends on it; optional |
| `meta`    | `n`, a nonce drawn once per append; optional `actor`, `request`, `trace` |

The keys stand in this order. That much is the *canonical* line: digests are defined on it, and
every store can render it. A file adds framing after `meta` (`eventstore/file/segment.py`). Readers
keep members they do not know.

This module knows nothing of jobs and does no I/O.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
import orjson

from eventstore.errors import TooLarge
from eventstore.timestamp import Timestamp

Json: TypeAlias = dict[str, Any]

LINE_BYTES_MAX = (
    65_535  # a canonical line: on every engine it fits a message, with room for framing
)
FRAMING_BYTES_MAX = 64  # `,"more":true,"commit":<16 digits>,"crc":"<8 digits>"}` and some
HEAD_BYTES_MAX = 256  # what `line_head` can take at most; a test holds it
EVENTS_PER_APPEND_MAX = 1_000  # JetStream's limit for one atomic batch; ours stays at 2 or 3

STREAM = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TYPE = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")
# JSON and nothing else: what orjson turns into text by itself would not come back equal.
_JSON = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_FRAMING = re.compile(rb'(?:,"more":true)?(?:,"commit":\d+)?,"crc":"[0-9a-f]{8}"\}$')


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """What somebody wants recorded: a fact of one type, decided at `time`.

    Once appended its objects are the log's: never change them.
    """

    type: str
    time: Timestamp
    data: Json
    private: Json | None = None
    meta: Json = {}
    v: int = 1


class Head(NamedTuple):
    """Where a stream ends, as its writer last knew it: revision and position of its last event."""

    rev: int
    pos: int


NEW = Head(0, 0)  # the head of a stream that does not exist


class Append(msgspec.Struct, frozen=True, gc=False):
    """Events for one stream, to be recorded all or none where the stream still ends at `expected`.

    `nonce` says which append this is: the same nonce again is the same append again. `bodies` holds
    each event's line from `"data"` on, which does not depend on the place it will get. `fresh`: the
    stream's name was drawn just now, so that nobody else can have it, and a store need not look
    for it beyond what this process wrote. Make one with `prepare`.
    """

    stream: str
    expected: Head
    events: tuple[NewEvent, ...]
    nonce: str
    bodies: tuple[bytes, ...]
    size: int  # bytes the lines will take at most
    fresh: bool = False

    @property
    def time(self) -> Timestamp:
        """When it was decided: one time for all its events."""
        if len(self.events) == 1:
            return self.events[0].time
        return latest(*(event.time for event in self.events))


class Event(msgspec.Struct, frozen=True, gc=False):
    """A recorded event. `line` is the line as the store holds it, without its newline."""

    pos: int
    time: Timestamp
    type: str
    v: int
    stream: str
    rev: int
    data: Json
    private: Json | None
    meta: Json
    line: bytes

    @property
    def head(self) -> Head:
        """The head of the stream once this event was its last."""
        return Head(self.rev, self.pos)

    @property
    def nonce(self) -> str:
        """Which append it came in."""
        return str(self.meta.get("n", ""))


def prepare(
    stream: str,
    expected: Head,
    events: Sequence[NewEvent],
    *,
    nonce: str,
    fresh: bool = False,
) -> Append:
    """An append, checked and encoded.

    Raises TooLarge for an event whose line would exceed LINE_BYTES_MAX, TypeError for data that is
    not JSON, ValueError for a new stream whose name is not one.
    """
    if expected == NEW and not STREAM.fullmatch(stream):
        raise ValueError(f"{stream!r} is not a stream name: {STREAM.pattern}")
    assert 1 <= len(events) <= EVENTS_PER_APPEND_MAX, len(events)
    assert nonce.isalnum(), nonce
    assert not fresh or expected == NEW, "what exists is not fresh"
    bodies, size = [], 0
    for event in events:
        assert _TYPE.fullmatch(event.type), event.type
        assert "n" not in event.meta, "the nonce is the append's"
        body = _body(event, nonce)
        most = len(body) + HEAD_BYTES_MAX
        if most > LINE_BYTES_MAX:
            raise TooLarge(most, LINE_BYTES_MAX)
        bodies.append(body)
        size += most
    return Append(stream, expected, tuple(events), nonce, tuple(bodies), size, fresh)


def recorded(append: Append, *, pos: int, time: Timestamp) -> list[Event]:
    """The events of an append once the store gave it its first position and its time; lines are
    canonical.
    """
    found = []
    for index, (new, body) in enumerate(zip(append.events, append.bodies, strict=True)):
        rev = append.expected.rev + 1 + index
        line = line_head(pos + index, time, new, append.stream, rev) + body + b"}"
        found.append(placed(append, new, rev, pos=pos + index, time=time, line=line))
    return found


def placed(
    append: Append, new: NewEvent, rev: int, *, pos: int, time: Timestamp, line: bytes
) -> Event:
    """An event of an append as it was recorded in this line."""
    meta = {"n": append.nonce, **new.meta}
    return Event(pos, time, new.type, new.v, append.stream, rev, new.data, new.private, meta, line)


def line_head(pos: int, time: Timestamp, new: NewEvent, stream: str, rev: int) -> bytes:
    """The line up to and without `"data"`: the part that depends on its place."""
    return (
        f'{{"pos":{pos},"time":"{time}","type":"{new.type}","v":{new.v},'
        f'"stream":"{stream}","rev":{rev},'
    ).encode()


def decode(line: bytes) -> Event:
    """The event of a line (with or without framing). Raises ValueError when it is not one."""
    try:
        found = _DECODER.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return Event(
        found.pos, found.time, found.type, found.v, found.stream, found.rev,
        found.data, found.private, found.meta, line,
    )  # fmt: skip


def canonical(line: bytes) -> bytes:
    """The line without what a file adds to it: `pos` … `meta`."""
    found = _FRAMING.search(line, max(0, len(line) - FRAMING_BYTES_MAX))
    return line if found is None else line[: found.start()] + b"}"


def latest(*times: Timestamp) -> Timestamp:
    """The latest of some timestamps: they sort as text."""
    return max(times)


def _body(event: NewEvent, nonce: str) -> bytes:
    members: Json = {"data": event.data}
    if event.private is not None:
        members["private"] = event.private
    members["meta"] = {"n": nonce, **event.meta}
    return orjson.dumps(members, option=_JSON)[1:-1]


class _Line(msgspec.Struct, gc=False):
    pos: int
    time: Timestamp
    type: str
    v: int
    stream: str
    rev: int
    data: Json
    private: Json | None = None
    meta: Json = {}


_DECODER = msgspec.json.Decoder(_Line)
