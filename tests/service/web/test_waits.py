"""How many requests may be held at a time: who finds no place is refused, and nothing was done.

Places are counted for all kinds of waiting together, and given back however a wait ends.
"""

import asyncio
from typing import Any

import pytest

from service.web import problems
from service.web.problems import ProblemError
from service.web.waits import Waits
from tests.support.loop import elapsed
from tests.support.service import EMAIL, RunningService, running_service

WAIT = {"Prefer": "wait=20"}


def get(service: RunningService, job_id: str, prefer: str = "wait=20") -> Any:
    return service.http.get(f"/jobs/{job_id}", headers={"Prefer": prefer})


def post(service: RunningService) -> Any:
    return service.http.post("/jobs/email", json=EMAIL, headers=WAIT)


def refused(answer: Any) -> bool:
    if answer.status_code != 503:
        return False
    assert answer.json()["type"] == "/problems/too-many-waiting"
    assert int(answer.headers["retry-after"]) > 0
    return True


@pytest.mark.parametrize(("asking", "without"), [(2, 0), (3, 0), (4, 1)])
async def test_there_are_places_for_so_many_and_no_more(asking: int, without: int) -> None:
    async with running_service(held_max=3) as service:
        job_id = await service.post()
        answers = await asyncio.gather(*(get(service, job_id) for _ in range(asking)))
        assert sum(map(refused, answers)) == without
        assert elapsed() == 20


async def test_who_is_refused_has_made_no_job() -> None:
    async with running_service(held_max=1) as service:
        first = asyncio.create_task(post(service))
        await asyncio.sleep(1)
        head = await service.log.head()
        assert refused(await post(service))
        assert await service.log.head() == head
        assert (await first).status_code == 202


async def test_who_does_not_wait_needs_no_place() -> None:
    async with running_service(held_max=0) as service:
        job_id = await service.post()
        assert refused(await get(service, job_id))
        assert (await get(service, job_id, "respond-async")).status_code == 200
        at_once = await get(service, job_id, "wait=0")
        assert at_once.headers["preference-applied"] == "wait=0"


async def test_a_place_is_given_back_however_the_wait_ends() -> None:
    async with running_service(held_max=1) as service:
        job_id = await service.post()
        assert (await get(service, "nothing")).status_code == 404
        gone = asyncio.create_task(get(service, job_id))
        await asyncio.sleep(1)
        gone.cancel()
        await asyncio.wait([gone])
        assert (await post(service)).status_code == 202
        assert (await get(service, job_id)).status_code == 200


async def test_a_place_outside_of_a_request() -> None:
    waits = Waits(1)
    for _ in range(2):
        async with waits.place():
            with pytest.raises(ProblemError) as caught:
                async with waits.place():
                    raise AssertionError
            assert caught.value.kind is problems.TOO_MANY_WAITING
