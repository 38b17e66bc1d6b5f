"""`GET /jobs/{id}?as_of=`: a job as it was, with the tag that it had.

What a moment is, is `tests/projections/test_moment`'s matter; here is what HTTP makes of it.
"""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.loop import elapsed
from tests.support.service import RunningService, running_service


async def lived(service: RunningService) -> str:
    """A job: created at position 2 and noon, started and completed at 3 and 4 a second later."""
    job_id = await service.post()
    await asyncio.sleep(1)
    await service.complete(job_id)
    return job_id


async def as_of(service: RunningService, job_id: str, moment: str, **headers: str) -> Any:
    url = f"/jobs/{job_id}?as_of={quote(moment)}"
    return await service.http.get(url, headers=headers)


@pytest.mark.parametrize(
    ("moment", "status", "rev"),
    [
        ("2", "pending", 1),
        ("3", "processing", 2),
        ("4", "completed", 3),
        ("5", "completed", 3),
        (str(2**63 - 1), "completed", 3),
        ("2026-11-23T12:00:00Z", "pending", 1),
        ("2026-11-23T12:00:00.999999Z", "pending", 1),
        ("2026-11-23T12:00:01Z", "completed", 3),
        ("2026-11-23T13:00:01+01:00", "completed", 3),
        ("2999-01-01T00:00:00Z", "completed", 3),
    ],
)
async def test_a_job_is_as_it_was_and_so_is_its_tag(moment: str, status: str, rev: int) -> None:
    async with running_service() as service:
        job_id = await lived(service)
        answer = await as_of(service, job_id, moment)
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["rev"]) == (status, rev)
        assert answer.headers["etag"] == f'"{rev}"'
        assert answer.headers["log-position"] == str(rev + 1)


async def test_it_is_what_everybody_was_told_then() -> None:
    async with running_service() as service:
        job_id = await service.post()
        told = (await service.http.get(f"/jobs/{job_id}")).content
        await service.complete(job_id)
        assert (await as_of(service, job_id, "2")).content == told


@pytest.mark.parametrize("moment", ["0", "1", "2026-11-23T11:59:59.999999Z"])
async def test_404_before_its_creation_says_when_that_was(moment: str) -> None:
    async with running_service() as service:
        answer = await as_of(service, await lived(service), moment)
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/not-found"
        created = "it was created at position 2, 2026-11-23T12:00:00.000000Z"
        assert answer.json()["detail"].endswith(created)


async def test_404_for_a_job_that_never_was() -> None:
    async with running_service() as service:
        answer = await as_of(service, "nobody", "1")
        assert answer.status_code == 404
        assert answer.json()["detail"] == "there is no job nobody"


@pytest.mark.parametrize(("known", "status"), [('"1"', 304), ('"3"', 200), ('W/"1"', 304)])
async def test_304_for_who_has_the_job_as_it_was(known: str, status: int) -> None:
    async with running_service() as service:
        answer = await as_of(service, await lived(service), "2", **{"If-None-Match": known})
        assert answer.status_code == status
        assert answer.headers["etag"] == '"1"'


async def test_the_past_is_not_waited_for() -> None:
    async with running_service(held_max=0) as service:
        job_id = await service.post()
        answer = await as_of(service, job_id, "9", Prefer="wait=20")
        assert (answer.status_code, elapsed()) == (200, 0)
        assert "preference-applied" not in answer.headers


@pytest.mark.parametrize(
    "moment", ["", "yesterday", "-1", "1.5", "²", "2026-11-23", str(2**63), "9" * 5000]
)
async def test_422_for_what_is_no_moment(moment: str) -> None:
    async with running_service() as service:
        answer = await as_of(service, await service.post(), moment)
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error["pointer"] == "?as_of"
        assert error["detail"].startswith("expected a position of the log, or an RFC 3339 time")


async def test_a_plus_that_became_a_space_is_pointed_out() -> None:
    async with running_service() as service:
        job_id = await service.post()
        answer = await service.http.get(f"/jobs/{job_id}?as_of=2026-11-23T13:00:00+01:00")
        assert "%2B" in answer.json()["errors"][0]["detail"]
