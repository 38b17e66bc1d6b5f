"""`expires_at` of a new job: when it is too late to begin, chosen by who posts it.

Its bounds, and what the answer says of it. That nothing begins at that instant is tested with the
board and the commands, and that the job is then given up with rescue.
"""

import asyncio

import pytest

from eventstore import clock
from eventstore.timestamp import later
from tests.support.build import US
from tests.support.service import EMAIL, running_service

NOW = "2026-11-23T12:00:00.000000Z"


async def test_a_job_may_have_an_expiry_in_any_zone() -> None:
    async with running_service() as service:
        query = "expires_at=2026-11-24T14:00:00.5%2B02:00"
        answer = await service.http.post(f"/jobs/email?{query}", json=EMAIL)
        assert answer.status_code == 202
        assert answer.json()["expires_at"] == "2026-11-24T12:00:00.500000Z"
        [created] = await service.log.read_stream(answer.json()["id"])
        assert created.data["expires_at"] == "2026-11-24T12:00:00.500000Z"


async def test_without_one_it_never_expires() -> None:
    async with running_service() as service:
        answer = await service.http.post("/jobs/email", json=EMAIL)
        assert answer.json()["expires_at"] is None
        [created] = await service.log.read_stream(answer.json()["id"])
        assert "expires_at" not in created.data


@pytest.mark.parametrize(
    ("query", "first_start_s"),
    [
        ({}, 0),
        ({"delay": 60}, 60),
        ({"run_at": later(NOW, 3600)}, 3600),
        ({"run_at": later(NOW, -60)}, 0),
    ],
    ids=["now", "delay", "run_at", "run_at in the past"],
)
@pytest.mark.parametrize(
    ("after_s", "accepted"), [(-US, False), (0, False), (US, True)], ids=["-1us", "0", "+1us"]
)
async def test_a_job_that_could_never_begin_is_refused(
    query: dict[str, str], first_start_s: float, after_s: float, *, accepted: bool
) -> None:
    async with running_service() as service:
        expires_at = later(clock.now(), first_start_s + after_s)
        params = query | {"expires_at": expires_at}
        answer = await service.http.post("/jobs/email", params=params, json=EMAIL)
        assert answer.status_code == (202 if accepted else 422)
        if not accepted:
            [error] = answer.json()["errors"]
            assert error["pointer"] == "?expires_at"
            assert later(NOW, first_start_s) in error["detail"]


@pytest.mark.parametrize(
    "sent",
    ["tomorrow", "", "2026-12-01", "2026-12-01T08:00:00", "1764576000", "2026-02-30T08:00:00Z"],
)
async def test_422_for_what_is_no_point_in_time(sent: str) -> None:
    async with running_service() as service:
        answer = await service.http.post(f"/jobs/email?expires_at={sent}", json=EMAIL)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "?expires_at"


async def test_a_job_tried_again_has_no_expiry_any_more() -> None:
    async with running_service() as service:
        job_id = await service.post(expires_at=later(NOW, 60))
        await service.http.post(f"/jobs/{job_id}/cancel")
        answer = await service.http.post(f"/jobs/{job_id}/retry")
        assert answer.json()["expires_at"] is None


@pytest.mark.parametrize("path", ["/jobs/email", "/jobs/email/batch"])
async def test_a_repeat_after_the_expiry_has_the_first_answer(path: str) -> None:
    async with running_service() as service:
        expires_at = later(clock.now(), 60)
        body = [EMAIL] if path.endswith("batch") else EMAIL
        sent = {"json": body, "params": {"expires_at": expires_at}}
        first = await service.http.post(path, headers={"Idempotency-Key": "k"}, **sent)
        await asyncio.sleep(61)
        again = await service.http.post(path, headers={"Idempotency-Key": "k"}, **sent)
        assert (again.status_code, again.json()) == (202, first.json())
        assert again.headers["idempotency-replayed"] == "true"
        another = await service.http.post(path, headers={"Idempotency-Key": "l"}, **sent)
        assert another.status_code == 422
        assert another.json()["errors"][0]["pointer"] == "?expires_at"
