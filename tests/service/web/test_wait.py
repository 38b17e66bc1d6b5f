"""`Prefer: wait=N`, RFC 7240: an answer that is held until there is something to say.

On `POST` until the job has ended; on `GET` until it has changed from what the client has, or ended.
All on virtual time, so every hold is checked to the instant.
"""

import asyncio
from typing import Any

import pytest

from eventstore import clock
from service.commands import Ending
from tests.support.service import EMAIL, RunningService, running_service


async def held(request: Any) -> tuple[Any, float]:
    """An answer, and how long it took."""
    began = clock.monotonic()
    answer = await request
    return answer, round(clock.monotonic() - began, 3)


def post(service: RunningService, prefer: str) -> Any:
    return service.http.post("/jobs/email", json=EMAIL, headers={"Prefer": prefer})


def get(service: RunningService, job_id: str, prefer: str, tag: str | None = None) -> Any:
    condition = {} if tag is None else {"If-None-Match": tag}
    return service.http.get(f"/jobs/{job_id}", headers={"Prefer": prefer, **condition})


async def newest(service: RunningService) -> str:
    """The id of the job that a held request made, once it is made."""
    while True:
        for event in await service.log.read(1):
            return event.stream
        await asyncio.sleep(0)


async def test_post_is_200_with_the_final_state_if_it_comes_in_time() -> None:
    async with running_service() as service:
        request = asyncio.create_task(held(post(service, "wait=10")))
        await service.complete(await newest(service), {"reply": "250"})
        answer, took_s = await request
        assert (answer.status_code, took_s) == (200, 0)
        assert answer.json()["status"] == "completed"
        assert answer.json()["result"] == {"reply": "250"}
        assert answer.headers["etag"] == '"3"'
        assert answer.headers["preference-applied"] == "wait=10"
        assert answer.headers["content-location"] == answer.headers["location"]


async def test_post_is_200_for_a_job_that_failed() -> None:
    async with running_service() as service:
        request = asyncio.create_task(post(service, "wait=10"))
        await service.fail(await newest(service), Ending("error", "E", "no", permanent=True))
        answer = await request
        assert (answer.status_code, answer.json()["status"]) == (200, "failed")


async def test_post_is_202_with_the_present_state_if_it_does_not() -> None:
    async with running_service() as service:
        request = asyncio.create_task(held(post(service, "wait=10")))
        await service.start(await newest(service))
        answer, took_s = await request
        assert (answer.status_code, took_s) == (202, 10)
        assert answer.json()["status"] == "processing"
        assert answer.headers["etag"] == '"2"'


async def test_no_wait_is_no_preference_applied() -> None:
    async with running_service() as service:
        answer, took_s = await held(post(service, "respond-async"))
        assert (answer.status_code, took_s) == (202, 0)
        assert "preference-applied" not in answer.headers
        assert "content-location" not in answer.headers


@pytest.mark.parametrize(
    ("prefer", "applied", "held_s"),
    [
        ("wait=0", "wait=0", 0),
        ("wait=29", "wait=29", 29),
        ("wait=30", "wait=30", 30),
        ("wait=31", "wait=30", 30),
        ("wait=" + "9" * 5000, "wait=30", 30),
        ('Wait="7"', "wait=7", 7),
        ("respond-async, wait=5;x=y", "wait=5", 5),
        ("wait=3, wait=9", "wait=3", 3),
        ("wait=-1", None, 0),
        ("wait=1.5", None, 0),
        ("wait=٣", None, 0),
        ("wait", None, 0),
    ],
)
async def test_the_seconds_are_capped_and_what_is_no_number_is_ignored(
    prefer: str, applied: str | None, held_s: float
) -> None:
    async with running_service() as service:
        headers = [(b"Prefer", prefer.encode())]
        answer, took_s = await held(service.http.post("/jobs/email", json=EMAIL, headers=headers))
        assert answer.status_code == 202
        assert answer.headers.get("preference-applied") == applied
        assert took_s == held_s


async def test_get_is_held_until_the_job_changes() -> None:
    async with running_service() as service:
        job_id = await service.post()
        request = asyncio.create_task(held(get(service, job_id, "wait=20", '"1"')))
        await asyncio.sleep(4)
        await service.start(job_id)
        answer, took_s = await request
        assert (answer.status_code, took_s) == (200, 4)
        assert answer.headers["etag"] == '"2"'
        assert answer.headers["preference-applied"] == "wait=20"


async def test_get_answers_at_once_when_it_has_changed_already() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.start(job_id)
        answer, took_s = await held(get(service, job_id, "wait=20", '"1"'))
        assert (answer.status_code, took_s) == (200, 0)


async def test_get_is_304_when_nothing_came() -> None:
    async with running_service() as service:
        job_id = await service.post()
        answer, took_s = await held(get(service, job_id, "wait=20", '"1"'))
        assert (answer.status_code, took_s, answer.content) == (304, 20, b"")
        assert answer.headers["etag"] == '"1"'
        assert answer.headers["preference-applied"] == "wait=20"


async def test_get_without_a_tag_is_held_until_the_job_ends() -> None:
    async with running_service() as service:
        job_id = await service.post()
        request = asyncio.create_task(held(get(service, job_id, "wait=20")))
        await asyncio.sleep(3)
        await service.complete(job_id)
        answer, took_s = await request
        assert (answer.json()["status"], took_s) == ("completed", 3)


async def test_get_without_a_tag_answers_with_the_present_state_in_the_end() -> None:
    async with running_service() as service:
        answer, took_s = await held(get(service, await service.post(), "wait=20"))
        assert (answer.status_code, answer.json()["status"], took_s) == (200, "pending", 20)


async def test_nobody_waits_for_what_never_existed() -> None:
    async with running_service() as service:
        answer, took_s = await held(get(service, "nothing", "wait=20"))
        assert (answer.status_code, took_s) == (404, 0)


async def test_many_wait_for_one_job() -> None:
    async with running_service() as service:
        job_id = await service.post()
        requests = [asyncio.create_task(get(service, job_id, "wait=20")) for _ in range(50)]
        await asyncio.sleep(1)
        await service.complete(job_id)
        answers = await asyncio.gather(*requests)
        assert {answer.headers["etag"] for answer in answers} == {'"3"'}


async def test_nobody_waits_for_a_job_that_waits_for_a_person() -> None:
    doubt = Ending("unknown", "Unsure", "who knows", then="hold")
    async with running_service() as service:
        posting = asyncio.create_task(held(post(service, "wait=30")))
        await asyncio.sleep(2)
        job_id = await newest(service)
        await service.fail(job_id, doubt)
        answer, took = await posting
        assert (answer.status_code, took) == (202, 2)
        assert answer.json()["held_at"] is not None
        again, took = await held(get(service, job_id, "wait=30"))
        assert (again.status_code, took) == (200, 0)
