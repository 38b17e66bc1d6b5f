"""`min_position`: an answer that has seen what the client has seen elsewhere, or none.

Every call that rests on the read model takes it; waiting for it ends after five seconds, when the
position comes, or when the service stops.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventstore.leisure import Rest
from service.jobs import REACH_S
from tests.support.loop import elapsed
from tests.support.service import EMAIL, RunningService, running_service

PATHS = ["/jobs", "/jobs/{id}", "/jobs/{id}/events", "/events", "/stats"]


@asynccontextmanager
async def disk_full(service: RunningService) -> AsyncIterator[None]:
    """The table cannot be written inside."""
    table = service.projector._table
    flush = table.flush

    def failing(_checkpoint: int, _rest: Rest) -> None:
        raise OSError(28, "disk is full")

    table.flush = failing  # type: ignore[method-assign]
    try:
        yield
    finally:
        table.flush = flush  # type: ignore[method-assign]


async def asked(service: RunningService, path: str, position: int, **headers: str) -> Any:
    return await service.http.get(f"{path}?min_position={position}", headers=headers)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("position", "status"), [(0, 200), (2, 200), (3, 503)])
async def test_the_log_must_have_been_read_so_far(path: str, position: int, status: int) -> None:
    async with running_service() as service:
        answer = await asked(service, path.format(id=await service.post()), position)
        assert answer.status_code == status
        assert elapsed() == (0 if status == 200 else REACH_S)


async def test_503_says_how_far_it_was_read_and_when_to_ask_again() -> None:
    async with running_service() as service:
        answer = await asked(service, "/jobs", 99)
        assert answer.json()["type"] == "/problems/not-reached"
        assert answer.json()["detail"].endswith("up to position 1 here, not yet to 99")
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("path", PATHS)
async def test_it_waits_until_it_has_been(path: str) -> None:
    async with running_service() as service:
        path = path.format(id=await service.post())
        asking = asyncio.create_task(asked(service, path, 3))
        await asyncio.sleep(4)
        await service.post()
        assert (await asking).status_code == 200
        assert elapsed() == 4


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("position", ["-1", str(2**63), "9" * 99, "x", ""])
async def test_422_for_what_no_log_has(path: str, position: str) -> None:
    async with running_service() as service:
        url = path.format(id=await service.post())
        answer = await service.http.get(f"{url}?min_position={position}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "?min_position"


async def test_a_stop_ends_the_wait() -> None:
    async with running_service() as service:
        asking = asyncio.create_task(asked(service, "/jobs", 99))
        await asyncio.sleep(1)
        service.jobs.hold_nothing()
        assert (await asking).status_code == 503
        assert (await asked(service, "/jobs", 99)).status_code == 503
        assert elapsed() == 1


async def test_who_must_wait_needs_a_place_and_who_need_not_does_not() -> None:
    async with running_service(held_max=0) as service:
        assert (await asked(service, "/jobs", 1)).status_code == 200
        answer = await asked(service, "/jobs", 2)
        assert answer.json()["type"] == "/problems/too-many-waiting"


async def test_a_job_as_it_was_waits_for_it_as_well() -> None:
    async with running_service() as service:
        job_id = await service.post()
        answer = await service.http.get(f"/jobs/{job_id}?as_of=2&min_position=9")
        assert answer.status_code == 503


async def test_nothing_is_kept_for_those_who_waited_in_vain() -> None:
    async with running_service() as service:
        for _ in range(30):
            await asyncio.gather(*(asked(service, "/jobs", 10**9 + n) for n in range(10)))
        assert len(service.projector._waiting) < 20


async def test_lists_and_counts_are_refused_while_their_table_cannot_be_written() -> None:
    async with running_service() as service, disk_full(service):
        position = (await service.http.post("/jobs/email", json=EMAIL)).headers["log-position"]
        for path in ("/jobs?count=true&", "/stats?"):
            answer = await service.http.get(f"{path}min_position={position}")
            assert answer.status_code == 503
            assert answer.json()["type"] == "/problems/not-reached"
            assert int(answer.headers["retry-after"]) > 0


async def test_a_single_job_is_told_though_the_table_cannot_be_written() -> None:
    async with running_service() as service, disk_full(service):
        job_id = await service.post()
        assert (await asked(service, f"/jobs/{job_id}", 2)).json()["id"] == job_id


async def test_lists_go_on_when_there_is_room_again() -> None:
    async with running_service() as service:
        async with disk_full(service):
            job_id = await service.post()
            assert (await asked(service, "/jobs", 2)).status_code == 503
        answer = await asked(service, "/jobs", 2)
        assert [job["id"] for job in answer.json()["jobs"]] == [job_id]
