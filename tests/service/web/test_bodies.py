"""The room in memory that all bodies share: who takes it, who finds none, and that all of it comes
back, however a request ends.

What becomes of a single body is `test_body`'s matter.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventstore.offload import Inline
from service.web import batch
from service.web.batch import BATCH_BYTES_MAX
from service.web.body import BODIES_BYTES_MAX, BODY_BYTES_MAX, Bodies, Received
from service.web.items import Items, read_items
from tests.support.loop import elapsed
from tests.support.service import EMAIL, RunningService, running_service

JSON = {"Content-Type": "application/json"}
BODY = json.dumps(EMAIL).encode()
ROOM = 1_000
PATHS = ["/jobs/email", "/jobs/email/batch"]


def body_for(path: str, size: int) -> bytes:
    """A valid body of exactly this many bytes."""
    return (b"[" + BODY + b"]" if path.endswith("batch") else BODY).ljust(size)


async def slowly(*chunks: bytes) -> AsyncIterator[bytes]:
    """A chunk at once, then each a second later."""
    for number, chunk in enumerate(chunks):
        await asyncio.sleep(1 if number else 0)
        yield chunk


def with_room(service: RunningService, size: int) -> Bodies:
    bodies = service.app.bodies = Bodies(size, offload=Inline())
    return bodies


async def post(
    service: RunningService, content: Any, path: str = "/jobs/email", **more: str
) -> Any:
    return await service.http.post(path, content=content, headers=JSON | more)


async def test_there_is_room_for_many_of_the_largest() -> None:
    async with running_service() as service:
        assert service.app.bodies.free == BODIES_BYTES_MAX == 256 * 1024 * 1024
    assert BODIES_BYTES_MAX >= 20 * BATCH_BYTES_MAX >= 20 * BODY_BYTES_MAX


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("size", "status"), [(499, 202), (500, 202), (501, 503)])
async def test_503_for_a_byte_more_than_the_others_leave(path: str, size: int, status: int) -> None:
    async with running_service() as service:
        bodies = with_room(service, ROOM)
        first = asyncio.create_task(post(service, slowly(BODY.ljust(400), b" " * 100, b"")))
        await asyncio.sleep(1.5)
        assert bodies.free == ROOM - 500
        answer = await post(service, body_for(path, size), path)
        assert answer.status_code == status
        if status == 503:
            assert answer.json()["type"] == "/problems/too-busy"
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["connection"] == "close"
        assert elapsed() == 1.5, "it waits for nobody"
        assert (await first).status_code == 202, "who has room keeps it"
        assert bodies.free == ROOM


async def test_room_is_taken_while_bytes_arrive_and_not_for_what_is_announced() -> None:
    async with running_service() as service:
        bodies = with_room(service, ROOM)
        announced = {"Content-Length": "900"}
        asking = asyncio.create_task(
            post(service, slowly(BODY.ljust(300), b" " * 300, b" " * 300), **announced)
        )
        left = []
        for _ in range(3):
            await asyncio.sleep(0.5 if not left else 1)
            left.append(bodies.free)
        assert left == [700, 400, ROOM]
        assert (await asking).status_code == 202


async def test_who_is_refused_half_way_gives_back_what_he_took() -> None:
    async with running_service() as service:
        bodies = with_room(service, ROOM)
        answer = await post(service, slowly(BODY.ljust(ROOM), b" "))
        assert answer.status_code == 503
        assert bodies.free == ROOM
        assert (await post(service, BODY.ljust(ROOM))).status_code == 202


@pytest.mark.parametrize("path", [*PATHS, "/kinds/email/pause"])
@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        ([b"[{"], 400),
        ([b'{"a"', b":1}"], 422),
        ([b" ", *[b" "] * 31], 408),
        ([b" " * BATCH_BYTES_MAX, b" "], 413),
    ],
)
async def test_all_of_it_comes_back_however_a_body_fails(
    path: str, chunks: list[bytes], status: int
) -> None:
    async with running_service() as service:
        answer = await post(service, slowly(*chunks), path)
        assert answer.status_code == status
        assert service.app.bodies.free == BODIES_BYTES_MAX


async def test_it_comes_back_from_who_goes_away() -> None:
    async with running_service() as service:
        bodies = with_room(service, ROOM)
        asking = asyncio.create_task(post(service, slowly(BODY, b" ")))
        await asyncio.sleep(0.5)
        assert bodies.free == ROOM - len(BODY)
        asking.cancel()
        await asyncio.wait([asking])
        assert bodies.free == ROOM


async def test_a_batch_has_its_room_until_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_service() as service:
        bodies, left = with_room(service, ROOM), []

        def noting(body: Received, type_: Any) -> Items:
            left.append(bodies.free)
            return read_items(body, type_)

        monkeypatch.setattr(batch, "read_items", noting)
        answer = await post(service, body_for("batch", 600), "/jobs/email/batch")
        assert answer.status_code == 202
        assert (left, bodies.free) == ([ROOM - 600], ROOM)


async def test_who_waits_for_his_job_has_given_it_back() -> None:
    async with running_service() as service:
        bodies = with_room(service, ROOM)
        asking = asyncio.create_task(post(service, BODY, Prefer="wait=20"))
        await asyncio.sleep(10)
        assert not asking.done()
        assert bodies.free == ROOM
        await asking


async def test_a_request_without_a_body_needs_no_room() -> None:
    async with running_service() as service:
        job_id = await service.post()
        with_room(service, 0)
        assert (await service.http.post(f"/jobs/{job_id}/cancel")).status_code == 200
        assert (await service.http.get("/jobs")).status_code == 200
