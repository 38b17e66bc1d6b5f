"""A page of large jobs: where it ends, that it leads on, and that others have their turns.

What is listed, and in which order, is `test_list`'s matter.
"""

from itertools import chain
from typing import Any

import pytest

from eventstore import pace
from projections.table import Filter
from service.processors import Attempt, processor
from service.web import listed
from tests.service.web.test_list import walked
from tests.support.service import RunningService, running_service
from tests.support.turns import counting_turns


@processor("large")
async def do_large(payload: dict[str, Any], attempt: Attempt) -> None:
    """Never run here."""


async def post(service: RunningService, number: int) -> list[str]:
    """Jobs with documents of one size, newest first."""
    made = [await service.http.post("/jobs/large", json={"text": "x" * 500}) for _ in range(number)]
    return [each.json()["id"] for each in made[::-1]]


@pytest.mark.parametrize(("more", "sizes"), [(-1, [2, 2, 1]), (0, [2, 2, 1]), (1, [3, 2])])
async def test_a_page_ends_with_the_job_that_fills_it(
    more: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(do_large) as service:
        ids = await post(service, 5)
        size = len((await service.http.get(f"/jobs/{ids[0]}")).content)
        monkeypatch.setattr(listed, "PAGE_BYTES_MAX", 2 * size + more)
        pages = await walked(service, "limit=4")
        assert [len(page) for page in pages] == sizes
        assert list(chain(*pages)) == ids


async def test_one_job_fits_however_large_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_service(do_large) as service:
        ids = await post(service, 3)
        monkeypatch.setattr(listed, "PAGE_BYTES_MAX", 1)
        assert await walked(service, "limit=2") == [[each] for each in ids]


async def test_an_early_end_changes_no_total(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_service(do_large) as service:
        await post(service, 3)
        monkeypatch.setattr(listed, "PAGE_BYTES_MAX", 1)
        answer = await service.http.get("/jobs?count=true")
        assert (len(answer.json()["jobs"]), answer.json()["total"]) == (1, 3)


@pytest.mark.parametrize("filled_by", ["count", "bytes"])
async def test_others_have_their_turns_at_each_job(
    filled_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(do_large) as service:
        await post(service, 30)
        jobs = await service.jobs.page(Filter(), limit=30)
        monkeypatch.setattr(pace, "SLICE_S", 0)
        monkeypatch.setattr(listed, "PAGE_BYTES_MAX", 1 if filled_by == "bytes" else 10**9)
        async with counting_turns() as turns:
            await listed.written_page(jobs, 30, 0)
        assert jobs == []
        assert turns.taken >= 30
