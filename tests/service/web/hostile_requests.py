"""Requests that nobody honest makes, to the whole application by ASGI: a part of the level `hostile
requests` (`tests/service/hostile_bytes.py` is the other, on sockets).

Each is a valid call of the API with something wrong by lot: its body, path, query, headers, method,
or how it arrives. Whatever it is, of every answer holds:

- one answer, no 5xx but a documented 503, and every error is a problem document that says the same;
- no traceback in it, and no error in the server's own log: nothing was unforeseen;
- what was refused left no job.

At the end the log is checked event by event, and every job is what its events make. That each
answer fits the API's document is `test_schemathesis.py`'s matter: it makes up what the document
has, this here what no document has.
"""

import asyncio
import logging
from collections.abc import Sequence
from random import Random
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote, unquote

import orjson
from starlette.types import ASGIApp, Message

from eventstore.log import EventLog
from projections.job import fold
from projections.verify import LifeCycles
from service.processors import remote_kind
from service.web.problems import KINDS, MEDIA_TYPE
from tests.support.loop import run_virtual
from tests.support.mutation import JUNK, mutated
from tests.support.service import EMAIL, RunningService, running_service

READ_S: Final = 40.0  # longer than any answer is held: then the client hangs up
BATCH: Final = [EMAIL, EMAIL | {"to": "grace@example.com"}]
ERROR: Final = {"class": "Oops", "message": "no luck"}
TIMES: Final = (b"2026-11-24T00:00:00Z", b"2026-12-24T00:00:00%2B02:00")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "X")
CREATING: Final = 6  # of the valid requests: those that may leave a job
PARTS: Final = ("body",) * 4 + ("query", "query", "path", "value", "value", "field", "method")
FIELDS: Final = (
    b"accept", b"authorization", b"content-encoding", b"content-length", b"content-type", b"cookie",
    b"expect", b"host", b"idempotency-key", b"if-match", b"if-none-match", b"last-event-id",
    b"origin", b"prefer", b"sec-fetch-site", b"traceparent", b"x-request-id",
)  # fmt: skip
LARGE: Final = (
    b'"' + b"x" * 1_100_000 + b'"', b'{"a":' * 150_000, b"[" + b"{}," * 300_000 + b"{}]",
    b'{"to":"a@b.c","subject":"x","body":"' + b"\\u00e4" * 30_000 + b'"}',
    b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(40_000)) + b"}", b"9" * 1_000_000,
)  # fmt: skip


class Asked(NamedTuple):
    """A request."""

    method: str
    path: bytes
    query: bytes = b""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


class Answered(NamedTuple):
    """What came back."""

    status: int
    fields: dict[bytes, bytes]
    body: bytes


class Broken(AssertionError):
    """The application broke a promise."""

    def __init__(self, what: str, asked: Asked) -> None:
        shown = asked._replace(body=asked.body[:300])
        super().__init__(f"{what}: {shown} ({len(asked.body)} bytes of body)")


def try_requests(seed: int, count: int) -> int:
    """Ask so many times. Raises AssertionError."""
    return run_virtual(lambda: _try_requests(Random(seed), count))


async def _try_requests(dice: Random, count: int) -> int:
    with Errors() as errors:
        async with running_service(remote_kind("work"), seed=dice.getrandbits(32)) as service:
            valid = valid_requests(await _jobs(service))
            for number in range(count):
                asked = hostile(dice, valid)
                if number % 250 == 0:
                    asked = _json("POST", b"/jobs/work", {})._replace(
                        body=LARGE[number // 250 % len(LARGE)]
                    )
                await _try(service, asked, dice)
                if errors.found:
                    raise Broken(f"unforeseen: {errors.found[0]}", asked)
            await _require_sound(service.log, service)
    return count


async def _try(service: RunningService, asked: Asked, dice: Random) -> None:
    before = await service.log.head()
    answer = await ask(service.app, asked, dice)
    if answer is None:
        return
    require_documented(asked, answer)
    if answer.status >= 400:
        events = await service.log.read(before)
        if any(event.type == "JobCreated" for event in events):
            raise Broken(f"refused with {answer.status}, and a job is there", asked)


async def _jobs(service: RunningService) -> dict[str, str]:
    """Jobs to ask about: one that waits, one that runs, one that is over."""
    waits, runs, done = [await service.post() for _ in range(3)]
    token = (await service.start(runs)).pos
    await service.complete(done)
    return {"waits": waits, "runs": runs, "done": done, "token": str(token)}


def valid_requests(known: dict[str, str]) -> list[Asked]:
    """One of each call, and more of those that do more."""
    waits, runs, done = (known[name].encode() for name in ("waits", "runs", "done"))
    token = int(known["token"])
    lines = b"\n".join(map(orjson.dumps, BATCH))
    ndjson = (b"content-type", b"application/x-ndjson")
    stream = (b"accept", b"text/event-stream")
    one = b"/jobs/" + waits
    return [
        _json("POST", b"/jobs/email", EMAIL, b"priority=3&max_attempts=2", idempotency_key=b"a-1"),
        _json("POST", b"/jobs/email", EMAIL, b"delay=60&timeout=5", prefer=b"wait=1"),
        _json("POST", b"/jobs/email", EMAIL, b"run_at=%b&expires_at=%b" % TIMES),
        _json("POST", b"/jobs/work", {"n": 1, "deep": {"er": [1, 2.5, None, "x"]}}),
        _json("POST", b"/jobs/email/batch", BATCH, idempotency_key=b'"b-1"'),
        Asked("POST", b"/jobs/email/batch", b"", (ndjson,), lines),
        Asked("GET", b"/jobs", b"status=pending&kind=email&limit=5&count=true&q=ada"),
        Asked("GET", b"/jobs", b"created_after=2026-11-23T00:00:00Z&limit=1&cursor=x"),
        Asked("GET", one, b"as_of=5", ((b"if-none-match", b'"1"'), (b"prefer", b"wait=1"))),
        Asked("GET", one, b"min_position=2", ((b"accept", b"application/json"),)),
        Asked("GET", one + b"/events", b"", ((b"accept", b"application/x-ndjson"),)),
        Asked("GET", one + b"/events", b"", (stream, (b"last-event-id", b"1"))),
        _json("POST", one + b"/cancel", {"reason": "not wanted"}, if_match=b'"1"'),
        _json("POST", b"/jobs/" + done + b"/retry", {"reason": "again"}),
        Asked("GET", b"/events", b"after=0&limit=10", ((b"accept", b"application/json"),)),
        Asked("GET", b"/events", b"after=1", (stream,)),
        _json("POST", b"/actions", {"action": "cancel", "filter": {"kind": "work"}}),
        _json("POST", b"/claims", {"kinds": ["work"], "worker": "w", "max": 2, "wait": 1}),
        _json("POST", b"/claims/" + runs + b"/renew", {"token": token}),
        _json("POST", b"/claims/" + runs + b"/complete", {"token": token + 1, "result": {"a": 1}}),
        _json("POST", b"/claims/" + runs + b"/fail", {"token": token, "error": ERROR}),
        _json("POST", b"/kinds/email/pause", {"reason": "x"}),
        _json("POST", b"/kinds/email/resume", {}),
        _json("PUT", b"/kinds/work/limits", {"concurrency": 2, "rate": {"count": 3, "per_s": 1}}),
        *(Asked("GET", path) for path in (
            b"/kinds", b"/stats", b"/livez", b"/readyz", b"/openapi.json", b"/docs", b"/",
            b"/problems/invalid",
        )),
    ]  # fmt: skip


def _json(method: str, path: bytes, body: Any, query: bytes = b"", **fields: bytes) -> Asked:
    sent = [(name.replace("_", "-").encode(), value) for name, value in fields.items()]
    media = (b"content-type", b"application/json")
    return Asked(method, path, query, (media, *sent), orjson.dumps(body))


def hostile(dice: Random, valid: Sequence[Asked]) -> Asked:
    """A call with one to three things wrong."""
    asked = dice.choice(dice.choice((valid, valid[:CREATING])))
    bodies = [each.body for each in valid if each.body]
    for _ in range(dice.randint(1, 3)):
        part = dice.choice(PARTS)
        if part == "body":
            asked = asked._replace(body=mutated(dice, asked.body, bodies))
        elif part == "query":
            changed = mutated(dice, asked.query, [each.query for each in valid])
            asked = asked._replace(query=_of_url(dice, changed))
        elif part == "path":
            changed = mutated(dice, asked.path, [each.path for each in valid])
            path = _of_url(dice, changed).replace(b"?", b"").lstrip(b"/")
            asked = asked._replace(path=b"/" + path)
        elif part == "method":
            asked = asked._replace(method=dice.choice(METHODS))
        else:
            asked = asked._replace(fields=_fields(dice, asked.fields, change=part == "value"))
    return asked


def _fields(
    dice: Random, fields: tuple[tuple[bytes, bytes], ...], *, change: bool
) -> tuple[tuple[bytes, bytes], ...]:
    """One of them changed, or one more."""
    if change and fields:
        at = dice.randrange(len(fields))
        name, value = fields[at]
        changed = name, _of_field(mutated(dice, value, [value for _, value in fields]))
        return (*fields[:at], changed, *fields[at + 1 :])
    return (*fields, (dice.choice(FIELDS), _of_field(dice.choice(JUNK))))


def _of_url(dice: Random, text: bytes) -> bytes:
    """As it may stand in a request line: what may not is encoded, or left out."""
    if dice.random() < 0.5:
        return quote(text, safe="/?&=%:+-_.~,;@!").encode()
    return bytes(byte for byte in text if 0x21 <= byte < 0x7F and byte != 0x23)


def _of_field(text: bytes) -> bytes:
    """As it may stand in a header: no parser lets line ends and NUL through."""
    return bytes(byte for byte in text if byte not in b"\r\n\x00").strip()


async def ask(app: ASGIApp, asked: Asked, dice: Random) -> Answered | None:
    """What is answered, however the body arrives; None to who hung up before there was an answer.

    Raises Broken for two answers, and for none.
    """
    coming = _pieces(dice, asked.body)
    hangs_up = dice.random() < 0.03
    sent: list[Message] = []

    async def receive() -> Message:
        if coming and not (hangs_up and len(coming) == 1):
            return coming.pop(0)
        if not hangs_up:
            await asyncio.sleep(READ_S)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        async with asyncio.timeout(READ_S):
            await app(_scope(asked), receive, send)
    except TimeoutError:
        pass  # a stream, which does not end
    except Exception as error:
        raise Broken(f"{error!r} comes out", asked) from error
    if not sent and hangs_up:
        return None
    if [message["type"] for message in sent].count("http.response.start") != 1:
        raise Broken(f"not one answer: {sent}", asked)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answered(sent[0]["status"], dict(sent[0]["headers"]), body)


def _pieces(dice: Random, body: bytes) -> list[Message]:
    """A body in one piece or several, empty ones among them."""
    cuts = sorted(dice.randint(0, len(body)) for _ in range(dice.choice((0, 0, 0, 1, 3))))
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    return [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]


def _scope(asked: Asked) -> dict[str, Any]:
    fields = list(asked.fields)
    if all(name != b"host" for name, _ in fields):
        fields.append((b"host", b"localhost:8080"))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": unquote(asked.path.decode()),
        "raw_path": asked.path,
        "query_string": asked.query,
        "root_path": "",
        "headers": fields,
        "client": ("127.0.0.1", 50_000),
        "server": ("localhost", 8080),
    }


def require_documented(asked: Asked, answer: Answered) -> None:
    """Raise Broken unless it is an answer that the API may give."""
    status = answer.status
    if b"Traceback" in answer.body:
        raise Broken("a traceback is told", asked)
    if not answer.fields.get(b"x-request-id"):
        raise Broken("an answer without X-Request-Id", asked)
    if any(set(value) & set(b"\r\n\x00") for value in answer.fields.values()):
        raise Broken(f"a header that is two: {answer.fields}", asked)
    if status < 400:
        return
    if answer.fields.get(b"content-type", b"").decode() != MEDIA_TYPE:
        raise Broken(f"{status} is no problem document: {answer.fields}", asked)
    if asked.method == "HEAD":
        return
    problem = orjson.loads(answer.body)
    kind = KINDS.get(problem["type"].removeprefix("/problems/"))
    if kind is None or not status == problem["status"] == kind.status:
        raise Broken(f"{status} with {problem}", asked)
    if status >= 500 and status != 503:
        raise Broken(f"{status}: {problem['detail']}", asked)


async def _require_sound(log: EventLog, service: RunningService) -> None:
    """Raise AssertionError unless the log is, and all jobs are what it says."""
    stories, streams = LifeCycles(), dict[str, list[Any]]()
    events, position = [], 0
    while page := await log.read(position):
        events += page
        position = page[-1].pos
    for event in events:
        assert [found for found, is_note in stories.check(event) if not is_note] == [], event
        streams.setdefault(event.stream, []).append(event)
    await service.projector.reached(position)
    for stream, story in streams.items():
        if story[0].type == "JobCreated":
            assert service.projector.get(stream) == fold(story), stream


class Errors(logging.Handler):
    """What joblog or its server log as errors, for the length of a `with`."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        self.found.append(f"{record.getMessage()} {record.exc_info and record.exc_info[1]!r}")

    def __enter__(self) -> Self:
        for name in ("joblog", "uvicorn.error", "asyncio"):
            logging.getLogger(name).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("joblog", "uvicorn.error", "asyncio"):
            logging.getLogger(name).removeHandler(self)
