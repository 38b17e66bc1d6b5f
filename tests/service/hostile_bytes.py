"""Bytes that are no honest HTTP, to a real socket: a part of the level `hostile requests`
(`tests/service/web/hostile_requests.py` is the other, without sockets).

| sent      | what it is |
|-----------|------------|
| pipelined | one to three hostile calls (`hostile_requests`) in honest HTTP, whole or in chunks |
| garbled   | the same bytes, changed by lot |
| behind    | an honest call, and nonsense behind it |
| broken off | an honest call, up to some byte of it |
| ambiguous | a request of which two readers see two ends, and a job hidden in what is between |
| chunks    | a chunked body with sizes, extensions and trailers as nobody sends them |
| targets   | a request line with percent-encodings, controls and lengths as nobody sends them |

Behind each (but who breaks off) stands an honest request that ends the connection. What comes back
must be whole answers: no 5xx but a documented 503, every error a problem document; and the
connection ends soon. Every job in the log was acknowledged, every acknowledged one is there, no
hidden one is; the server lives, nothing was unforeseen, `joblog verify` finds a sound log.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import orjson

from service.http import Limits
from service.web.problems import KINDS, MEDIA_TYPE
from tests.service.cli.runner import joblog
from tests.service.web.hostile_requests import CREATING, Asked, Errors, hostile, valid_requests
from tests.support.loop import run_real
from tests.support.mutation import JUNK, NUMBERS, mutated
from tests.support.served import LIVEZ, served

AT_A_TIME: Final = 100
SOON_S: Final = 20.0  # real time, on a machine that does other things too; it takes half a second
LATE_S: Final = 0.4
LIMITS: Final = Limits(connections=2 * AT_A_TIME, header_s=LATE_S, body_s=LATE_S, idle_s=LATE_S)
HIDDEN: Final = b'{"to":"eve@example.com","subject":"hidden"}'
SMUGGLED: Final = (
    b"POST /jobs/email HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(HIDDEN), HIDDEN)
)
FRAMINGS: Final = (
    (b"Content-Length: %d", b"Transfer-Encoding: chunked"),
    (b"Transfer-Encoding: chunked", b"Content-Length: %d"),
    (b"Content-Length: %d", b"Transfer-Encoding : chunked"),
    (b"Content-Length: %d", b"Transfer-Encoding:\tchunked"),
    (b"Content-Length: %d", b"Transfer-Encoding: \x0bchunked"),
    (b"Content-Length: %d", b"Transfer-Encoding: chunked, identity"),
    (b"Content-Length: %d", b"Transfer-Encoding: identity, chunked"),
    (b"Content-Length: %d", b"TRANSFER-ENCODING: CHUNKED"),
    (b"Content-Length: %d", b"X: y\r\n Transfer-Encoding: chunked"),
    (b"Content-Length: %d", b"X: y\nTransfer-Encoding: chunked"),
    (b"Content-Length: 0", b"Content-Length: %d"),
    (b"Content-Length: %d", b"Content-Length: 5"),
    (b"Content-Length: 5, %d",),
    (b"Content-Length: +%d",),
    (b"Content-Length: 0x%x",),
    (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    (b"Transfer-Encoding: xchunked",),
    (b"Content-Length : %d",),
)
_HEADER = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z' -]+\r\n((?:[!-9;-~]+: [^\r\n\x00]*\r\n)*)\r\n")


class Broken(AssertionError):
    """The server broke a promise."""

    def __init__(self, what: str, sent: bytes, received: bytes = b"") -> None:
        shown = f"{sent[:1500]!r} ({len(sent)} bytes)"
        super().__init__(f"{what}\nsent: {shown}\nreceived: {received[:1500]!r}")


class Answer(NamedTuple):
    """What a server said."""

    status: int
    fields: dict[bytes, bytes]
    body: bytes


def try_bytes(seed: int, count: int) -> tuple[int, int]:
    """So many connections; how many there were, and how many answers. Raises AssertionError."""
    with TemporaryDirectory() as made, patch("service.web.body.BODY_S_MAX", LATE_S / 2):
        root = Path(made) / "data"
        answers = run_real(lambda: _try_bytes(root, seed, count))
        verified = joblog("verify", "--data", root)
        assert verified.exit_code == 0, verified.output
    return count, answers


async def _try_bytes(root: Path, seed: int, count: int) -> int:
    answers: list[Answer] = []
    with Errors() as errors:
        async with served(root, LIMITS, seed) as there:
            known = valid_requests({"waits": "w", "runs": "r", "done": "d", "token": "3"})
            valid = [asked for asked in known if not _holds(asked)]
            for start in range(0, count, AT_A_TIME):
                numbers = range(start, min(count, start + AT_A_TIME))
                each = [_sent(Random(f"{seed} {number}"), valid) for number in numbers]
                found = await asyncio.gather(*(exchanged(there.port, sent) for sent in each))
                answers += [answer for some in found for answer in some]
                if errors.found:
                    raise Broken(f"unforeseen: {errors.found[0]}", b"".join(each))
            await there.lives()
            created = [event async for event in _created(there.service.log)]
    _require_what_was_acknowledged(answers, created)
    return len(answers)


def _holds(asked: Asked) -> bool:
    """Whether an answer may take its time."""
    said = b" ".join([asked.query, asked.body, *(value for _, value in asked.fields)])
    return any(word in said for word in (b"wait", b"stream", b"min_position"))


def _bytes_of(dice: Random, asked: Asked) -> bytes:
    """In honest HTTP."""
    target = asked.path + (b"?" + asked.query if asked.query else b"")
    length = len(asked.body)
    framing, body = (b"Content-Length", b"%d" % length), asked.body
    if length and dice.random() < 0.3:
        framing, at = (b"Transfer-Encoding", b"chunked"), dice.randint(0, length)
        parts = [part for part in (body[:at], body[at:]) if part]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    fields = [(b"Host", b"localhost"), *asked.fields, *([framing] if length else [])]
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (asked.method.encode(), target, lines, body)


def _sent(dice: Random, valid: Sequence[Asked]) -> bytes:
    """What one connection sends."""
    sent = dice.choice(SORTS)
    return sent(dice, valid) + (b"" if sent is _broken_off else LIVEZ)


def _broken_off(dice: Random, valid: Sequence[Asked]) -> bytes:
    asked = dice.choice(valid)
    if dice.random() < 0.5:
        asked = asked._replace(path=b"/nowhere")  # where nobody reads the body
    call = _bytes_of(dice, asked)
    return call[: dice.randrange(len(call))]


def _behind(dice: Random, valid: Sequence[Asked]) -> bytes:
    call, junk = _bytes_of(dice, dice.choice(valid[:CREATING])), _target(dice, valid)
    return call + dice.choice((junk, dice.choice(JUNK) + b"\r\n\r\n"))


def _pipelined(dice: Random, valid: Sequence[Asked]) -> bytes:
    calls = [dice.choice((dice.choice(valid), hostile(dice, valid))) for _ in range(3)]
    return b"".join(_bytes_of(dice, asked) for asked in calls[: dice.randint(1, 3)])


def _garbled(dice: Random, valid: Sequence[Asked]) -> bytes:
    return mutated(dice, _pipelined(dice, valid), [_bytes_of(dice, asked) for asked in valid])


def _ambiguous(dice: Random, _: Sequence[Asked]) -> bytes:
    """The hidden request is the body for one reader, and the next request for another."""
    body = b"0\r\n\r\n" + SMUGGLED
    length = dice.choice((len(body), len(body), len(body) + 5))
    framing = [field % length if b"%" in field else field for field in dice.choice(FRAMINGS)]
    lines = b"".join(field + b"\r\n" for field in framing)
    first = b"POST /jobs/work HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return first + lines + b"\r\n" + body


def _chunks(dice: Random, _: Sequence[Asked]) -> bytes:
    first = (
        b"POST /jobs/work HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    parts = [_chunk(dice, part) for part in (b'{"n":', b"1", b"}")]
    end = dice.choice(
        (b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"00;x=y\r\n\r\n", b"0\n\n", b"-0\r\n\r\n")
    )
    return first + b"".join(parts) + end


def _chunk(dice: Random, part: bytes) -> bytes:
    size = b"%x" % len(part)
    size = dice.choice((size, size, size, dice.choice(NUMBERS), b"f" * 20, b"0x1", size + b";a=b",
                        size + b";" + b"x" * 2_000, b" " + size, size + b" "))  # fmt: skip
    return size + dice.choice((b"\r\n",) * 8 + (b"\n", b"\r")) + part + b"\r\n"


def _target(dice: Random, _: Sequence[Asked]) -> bytes:
    junk = dice.choice(
        (
            *JUNK,
            b"%zz",
            b"%c0%af",
            b"%ed%a0%80",
            b"%",
            b"%2",
            b"%00",
            b"?" * 9_000,
            b"http://evil.example/",
            b"//evil.example/x",
            b"*",
            b"/%2e%2e/%2e%2e/",
        )
    )
    path = dice.choice((b"/jobs/", b"/jobs?q=", b"/kinds/", b"/problems/", b"/jobs?cursor=", b""))
    method = dice.choice((b"GET", b"GET", b"POST", b"HEAD", b"CONNECT", b"PRI", b"\x16\x03"))
    version = dice.choice((b"1.1", b"1.1", b"1.1", b"1.0", b"2.0", b"0.9", b"9" * 20))
    return b"%b %b%b HTTP/%b\r\nHost: localhost\r\n\r\n" % (method, path, junk, version)


SORTS: Final[tuple[Callable[[Random, Sequence[Asked]], bytes], ...]] = (
    _pipelined, _pipelined, _pipelined, _garbled, _garbled, _behind, _broken_off, _ambiguous,
    _chunks, _target,
)  # fmt: skip


async def exchanged(port: int, sent: bytes) -> list[Answer]:
    """What a server answers until it ends the connection. Raises Broken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        async with asyncio.timeout(SOON_S):
            writer.write(sent)
            while part := await reader.read(65_536):
                received += part
    except ConnectionResetError:
        pass  # it closed with bytes of ours unread
    except TimeoutError:
        raise Broken("the connection does not end", sent, received) from None
    finally:
        writer.transport.abort()
    return answers_in(received, sent)


def answers_in(received: bytes, sent: bytes) -> list[Answer]:
    """The answers, each as it must be. Raises Broken."""
    answers, at = [], 0
    while at < len(received):
        found = _HEADER.match(received, at)
        if found is None:
            raise Broken("no answer of HTTP", sent, received[at:])
        lines = found[2].split(b"\r\n")[:-1]
        fields = {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}
        at, body = _body(received, found.end(), fields, may_lack=b"HEAD" in sent)
        answers.append(Answer(int(found[1]), fields, body))
        _require_documented(answers[-1], sent, received)
    return answers


def _body(
    received: bytes, at: int, fields: dict[bytes, bytes], *, may_lack: bool
) -> tuple[int, bytes]:
    """A body, and where it ends."""
    if fields.get(b"transfer-encoding") == b"chunked":
        end = received.find(b"0\r\n\r\n", at)
        return (len(received), b"") if end < 0 else (end + 5, received[at:end])
    length = int(fields.get(b"content-length", b"0"))
    if may_lack and received[at : at + 5] in (b"", b"HTTP/"):
        return at, b""
    return at + length, received[at : at + length]


def _require_documented(answer: Answer, sent: bytes, received: bytes) -> None:
    if b"Traceback" in answer.body:
        raise Broken("a traceback is told", sent, received)
    if answer.status < 400:
        return
    if answer.fields.get(b"content-type", b"").decode() != MEDIA_TYPE:
        raise Broken(f"{answer.status} is no problem document", sent, received)
    if not answer.body and b"HEAD" in sent:
        return
    problem = orjson.loads(answer.body)
    kind = KINDS.get(problem["type"].removeprefix("/problems/"))
    if kind is None or not answer.status == problem["status"] == kind.status:
        raise Broken(f"{answer.status} with {problem}", sent, received)
    if answer.status >= 500 and answer.status != 503:
        raise Broken(f"{answer.status}", sent, received)


async def _created(log: Any) -> Any:
    position = 0
    while page := await log.read(position):
        position = page[-1].pos
        for event in page:
            if event.type == "JobCreated":
                yield event


def _require_what_was_acknowledged(answers: Sequence[Answer], created: Sequence[Any]) -> None:
    """Raise AssertionError unless the jobs there are those that were acknowledged."""
    hidden = [event for event in created if (event.private or {}).get("payload", {})]
    for event in hidden:
        assert event.private["payload"].get("subject") != "hidden", "a hidden request was heard"
    acknowledged = set[str]()
    for answer in answers:
        if answer.status == 202:
            told = orjson.loads(answer.body)
            acknowledged |= set(told["ids"]) if "ids" in told else {told["id"]}
    there = {event.stream for event in created}
    assert acknowledged <= there, f"acknowledged and not there: {acknowledged - there}"
    assert there <= acknowledged, f"there and not acknowledged: {there - acknowledged}"
