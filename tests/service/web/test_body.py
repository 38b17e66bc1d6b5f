"""Bodies: their type, their size, the time they take, and what is wrong in them, said with a place.

Size and time are tested with bodies that arrive in pieces, from a client that waits between them;
the waiting is virtual. What strict JSON is in detail is `test_strictjson`'s matter.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventstore import clock
from service.web.body import BODY_BYTES_MAX
from tests.support.service import EMAIL, RunningService, running_service

JSON = {"Content-Type": "application/json"}


async def post(service: RunningService, content: Any, headers: Any = JSON) -> Any:
    return await service.http.post("/jobs/email", content=content, headers=headers)


def padded(size: int) -> bytes:
    """A valid body of exactly this many bytes."""
    return json.dumps(EMAIL).encode().ljust(size)


async def pieces(*chunks: bytes, pause_s: float = 0) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(pause_s)
        yield chunk


async def test_a_body_may_be_as_large_as_the_limit() -> None:
    async with running_service() as service:
        for size in (BODY_BYTES_MAX - 1, BODY_BYTES_MAX):
            assert (await post(service, padded(size))).status_code == 202


async def test_413_for_a_byte_more_as_announced() -> None:
    async with running_service() as service:
        answer = await post(service, padded(BODY_BYTES_MAX + 1))
        assert answer.status_code == 413
        assert answer.json()["type"] == "/problems/too-large"
        assert answer.headers["connection"] == "close"


async def test_413_from_the_announcement_before_a_byte_is_read() -> None:
    async with running_service() as service:
        began = clock.monotonic()
        headers = JSON | {"Content-Length": str(BODY_BYTES_MAX + 1)}
        answer = await post(service, pieces(b"{", pause_s=10), headers)
        assert answer.status_code == 413
        assert clock.monotonic() == began


@pytest.mark.parametrize("lie", [None, "5", "-1", "x", "٣", "9" * 5000])
async def test_413_counted_while_it_arrives_whatever_is_announced(lie: str | None) -> None:
    async with running_service() as service:
        headers = [(b"Content-Type", b"application/json")]
        if lie is not None:
            headers.append((b"Content-Length", lie.encode()))
        answer = await post(service, pieces(*[b" " * 65_536] * 16, b"{"), headers)
        assert answer.status_code == 413


async def test_a_body_in_pieces_is_one_body() -> None:
    async with running_service() as service:
        whole = json.dumps(EMAIL).encode()
        answer = await post(service, pieces(whole[:7], whole[7:], pause_s=14.9))
        assert answer.json()["payload"] == EMAIL


async def test_408_for_a_body_that_is_not_there_within_30_s() -> None:
    async with running_service() as service:
        began = clock.monotonic()
        answer = await post(service, pieces(b"{", b"}", pause_s=15.000001))
        assert answer.status_code == 408
        assert answer.json()["type"] == "/problems/body-timeout"
        assert answer.headers["connection"] == "close"
        assert clock.monotonic() - began == pytest.approx(30)


async def test_a_client_that_goes_away_leaves_no_job_and_no_fault() -> None:
    async with running_service() as service:
        head = await service.log.head()
        sent = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/jobs/email",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        }
        await service.app(scope, receive, send)
        assert sent[0]["status"] == 400
        assert await service.log.head() == head


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json ;x=y",
    ],
)
async def test_json_by_any_spelling(content_type: str) -> None:
    async with running_service() as service:
        answer = await post(service, json.dumps(EMAIL), {"Content-Type": content_type})
        assert answer.status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "x" * 5000},
        {"Content-Type": "application/json, application/json"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_415_for_anything_else(headers: dict[str, str]) -> None:
    async with running_service() as service:
        answer = await post(service, json.dumps(EMAIL).encode(), headers)
        assert answer.status_code == 415
        assert answer.json()["type"] == "/problems/unsupported-media-type"
        accepted = ("accept-post", "application/json"), ("accept-encoding", "identity")
        assert any(answer.headers.get(name) == value for name, value in accepted)
        assert len(answer.content) < 500


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "the body is empty"),
        (b" ", "the text ends too early at byte 1"),
        (b'{"to":"a@example.com","subject":', "the text ends too early at byte 32"),
        (b'{"to":"a@example.com", "to":"b@example.com"}', "a member given twice at byte 23"),
        (b'{"to":"\xff"}', "not UTF-8 at byte 7"),
        (b'\xef\xbb\xbf{"to":"a"}', "a byte order mark at byte 0"),
        ('{"to":"ä"}'.encode("utf-16-le"), "not UTF-8 at byte 14"),
        (b'{"subject":"\\u0000"}', "U+0000 at byte 12"),
        (b'{"subject":"\\ud83d"}', "half a surrogate pair at byte 12"),
        (b'{"n":NaN}', "invalid character at byte 5"),
        (b"[" * 1_000_000, "nested deeper than 64 at byte 64"),
    ],
)
async def test_400_with_the_byte_where_it_goes_wrong(content: bytes, detail: str) -> None:
    async with running_service() as service:
        answer = await post(service, content)
        assert answer.status_code == 400
        assert answer.json()["type"] == "/problems/invalid-json"
        assert answer.json()["detail"] == detail


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/subject"),
        ({"subject": "Hello"}, "#/to"),
        ({**EMAIL, "to": ["ada@example.com", "nobody"]}, "#/to/1"),
        ({**EMAIL, "headers": {"Bcc": "eve@example.com"}}, "#/headers/Bcc"),
        ({**EMAIL, "to": 5}, "#/to"),
        ({**EMAIL, "to": None}, "#/to"),
        ({**EMAIL, "to": "not an address"}, "#/to"),
        ({"to": EMAIL["to"]}, "#/subject"),
        ({**EMAIL, "subject": "a\r\nBcc: all@example.com"}, "#/subject"),
        ({**EMAIL, "subject": "=?utf-8?q?=0D=0ABcc:x@example.com?="}, "#/subject"),
        ({**EMAIL, "body": "x" * 50_001}, "#/body"),
        ({**EMAIL, "colour": "red"}, "#/colour"),
        ({**EMAIL, "a/b~c d": 1}, "#/a~1b~0c%20d"),
        ([], "#"),
        ("text", "#"),
        (5, "#"),
    ],
)
async def test_422_with_a_pointer_to_what_is_wrong(body: Any, pointer: str) -> None:
    async with running_service() as service:
        answer = await post(service, json.dumps(body))
        assert answer.status_code == 422
        assert answer.json()["type"] == "/problems/invalid"
        [error] = answer.json()["errors"]
        assert error["pointer"] == pointer
        assert "$" not in error["detail"]
        assert answer.json()["detail"] == f"{pointer}: {error['detail']}"


async def test_a_long_text_at_its_limit_is_taken() -> None:
    async with running_service() as service:
        for length in (49_999, 50_000):
            body = json.dumps({**EMAIL, "body": "x" * length})
            assert (await post(service, body)).status_code == 202
