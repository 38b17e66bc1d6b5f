"""`GET /jobs`: filters, pages, and links that go on where the page ended, whatever came since.

A cursor is opaque to clients; here it is taken apart all the same, because what can be forged will
be.
"""

import asyncio
import base64
from itertools import chain
from typing import Any

import pytest

from service.commands import Ending
from service.processors import Attempt, processor
from tests.support.service import EMAIL, RunningService, running_service


async def listed(service: RunningService, query: str = "") -> list[str]:
    answer = await service.http.get(f"/jobs?{query}")
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


async def walked(service: RunningService, query: str) -> list[list[str]]:
    """The pages that a client sees which follows the links."""
    pages, url = [], f"/jobs?{query}"
    while True:
        answer = await service.http.get(url)
        pages.append([job["id"] for job in answer.json()["jobs"]])
        if "next" not in answer.links:
            return pages
        url = answer.links["next"]["url"]


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


async def test_newest_first_each_as_by_itself() -> None:
    async with running_service() as service:
        ids = [await service.post() for _ in range(3)]
        answer = await service.http.get("/jobs")
        jobs = answer.json()["jobs"]
        assert [job["id"] for job in jobs] == ids[::-1]
        assert jobs[0] == (await service.http.get(f"/jobs/{ids[-1]}")).json()
        assert "link" not in answer.headers
        assert answer.headers["cache-control"] == "private, no-cache"


async def test_there_may_be_none() -> None:
    async with running_service() as service:
        assert (await service.http.get("/jobs")).json() == {"jobs": []}


@pytest.mark.parametrize(("count", "pages"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
async def test_links_lead_through_all_jobs_and_not_further(count: int, pages: int) -> None:
    async with running_service() as service:
        ids = [await service.post() for _ in range(count)]
        found = await walked(service, "limit=2")
        assert len(found) == pages
        assert list(chain(*found)) == ids[::-1]


async def test_a_link_keeps_the_filters() -> None:
    async with running_service() as service:
        ids = [await service.post() for _ in range(4)]
        await service.complete(ids[1])
        query = "limit=1&status=pending&kind=email&created_after=2026-01-01T00:00:00%2B01:00"
        assert list(chain(*await walked(service, query))) == [ids[3], ids[2], ids[0]]


async def test_pages_do_not_shift_when_jobs_arrive() -> None:
    async with running_service() as service:
        ids = [await service.post() for _ in range(4)]
        first = await service.http.get("/jobs?limit=2")
        await service.post()
        second = await service.http.get(first.links["next"]["url"])
        assert [job["id"] for job in second.json()["jobs"]] == [ids[1], ids[0]]


@pytest.mark.parametrize("limit", [1, 2, 199, 200])
async def test_a_page_has_at_most_limit_jobs(limit: int) -> None:
    async with running_service() as service:
        ids = [await service.post() for _ in range(201)]
        assert await listed(service, f"limit={limit}") == ids[::-1][:limit]


async def test_fifty_jobs_unless_asked_otherwise() -> None:
    async with running_service() as service:
        for _ in range(51):
            await service.post()
        assert len(await listed(service)) == 50


async def test_by_status() -> None:
    async with running_service() as service:
        waiting, running, done = [await service.post() for _ in range(3)]
        await service.start(running)
        await service.complete(done)
        assert await listed(service, "status=pending") == [waiting]
        assert await listed(service, "status=processing") == [running]
        assert await listed(service, "status=completed") == [done]
        assert await listed(service, "status=failed") == []


async def test_by_kind() -> None:
    @processor("note")
    async def note(_: str, __: Attempt) -> None:
        """Never run here."""

    async with running_service(note) as service:
        mail = await service.post()
        other = (await service.http.post("/jobs/note", json="x")).json()["id"]
        assert await listed(service, "kind=email") == [mail]
        assert await listed(service, "kind=note") == [other]
        assert await listed(service, "kind=unknown") == []


async def test_by_time_of_creation_without_the_instant_itself() -> None:
    async with running_service() as service:
        ids: list[Any] = []
        for _ in range(3):
            ids.append(await service.post())
            await asyncio.sleep(0.000001)
        at = "2026-11-23T12:00:00.000001Z"
        assert await listed(service, f"created_after={at}") == [ids[2]]
        assert await listed(service, f"created_before={at}") == [ids[0]]
        both = "created_after=2026-11-23T12:00:00Z&created_before=2026-11-23T12:00:00.000002Z"
        assert await listed(service, both) == [ids[1]]


async def test_by_words_that_all_occur() -> None:
    async with running_service() as service:
        ids = [
            (await service.http.post("/jobs/email", json=EMAIL | {"to": to})).json()["id"]
            for to in ("ada@example.com", "bob@example.com", "ada@example.org")
        ]
        assert await listed(service, "q=ada") == [ids[2], ids[0]]
        assert await listed(service, "q=example.com") == [ids[1], ids[0]]
        assert await listed(service, "q=hello+ADA%40exam") == [ids[2], ids[0]]
        assert await listed(service, f"q={ids[1]}") == [ids[1]]
        assert await listed(service, "q=carol") == []
        assert await listed(service, "q=") == ids[::-1]
        assert await listed(service, "q=ada&status=completed") == []
        assert list(chain(*await walked(service, "q=ada&limit=1"))) == [ids[2], ids[0]]


async def test_a_job_is_found_at_once() -> None:
    async with running_service() as service:
        for n in range(5):
            await service.http.post("/jobs/email", json=EMAIL | {"subject": f"number{n}"})
            assert len(await listed(service, f"q=number{n}")) == 1


@pytest.mark.parametrize("q", ['"', "*", "a*", "NEAR(a b)", "a OR", "-a", "^a", "%00", "%FF", "☃"])
async def test_whatever_is_searched_for_is_an_answer(q: str) -> None:
    async with running_service() as service:
        await service.post()
        await listed(service, f"q={q}&count=true")


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("count=true", 4),
        ("count=true&limit=1", 4),
        ("count=1&status=completed", 1),
        ("count=true&q=hello&status=pending", 3),
        ("count=true&kind=none", 0),
        ("count=false", None),
        ("", None),
    ],
)
async def test_the_total_is_of_all_pages_and_told_who_asks(query: str, total: int | None) -> None:
    async with running_service() as service:
        ids = [await service.post() for _ in range(4)]
        await service.complete(ids[1])
        answer = await service.http.get(f"/jobs?{query}")
        assert answer.json().get("total") == total
        if "next" in answer.links:
            following = await service.http.get(answer.links["next"]["url"])
            assert following.json().get("total") == total


@pytest.mark.parametrize(("length", "status"), [(200, 200), (201, 422)])
async def test_a_search_has_a_length(length: int, status: int) -> None:
    async with running_service() as service:
        assert (await service.http.get(f"/jobs?q={'x' * length}")).status_code == status


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("count=yes", "?count"),
        ("count=", "?count"),
        ("limit=0", "?limit"),
        ("limit=201", "?limit"),
        ("limit=-1", "?limit"),
        ("limit=%D9%A1", "?limit"),
        ("limit=", "?limit"),
        ("limit=" + "9" * 40, "?limit"),
        ("status=done", "?status"),
        ("status=", "?status"),
        ("status=PENDING", "?status"),
        ("kind=Email", "?kind"),
        ("kind=%00", "?kind"),
        ("created_after=yesterday", "?created_after"),
        ("created_before=2026-11-23", "?created_before"),
        ("offset=5", "?offset"),
        ("status=pending&status=failed", "?status"),
    ],
)
async def test_422_for_what_is_no_filter(query: str, pointer: str) -> None:
    async with running_service() as service:
        answer = await service.http.get(f"/jobs?{query}")
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_wrong_status_is_told_the_right_ones() -> None:
    async with running_service() as service:
        answer = await service.http.get("/jobs?status=done")
        expected = "expected one of pending, processing, completed, failed, cancelled"
        assert answer.json()["errors"][0]["detail"] == expected


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "2",
        "x",
        "!!",
        cursor("0"),
        cursor("-1"),
        cursor("007"),
        cursor("+7"),
        cursor("٣"),
        cursor("7 "),
        cursor("7") + "%3D%3D",
        cursor("7")[:-1] + "B",  # another spelling of the same bytes
        cursor(str(2**63)),
        cursor("9" * 24),
        "MTA0M",  # no base64 is that long
        "A" * 5000,
    ],
)
async def test_400_for_a_forged_cursor(forged: str) -> None:
    async with running_service() as service:
        answer = await service.http.get(f"/jobs?cursor={forged}")
        assert answer.status_code == 400
        assert answer.json()["type"] == "/problems/invalid-cursor"


@pytest.mark.parametrize(("position", "count"), [(1, 0), (2, 0), (3, 1), (2**63 - 1, 1)])
async def test_a_cursor_is_a_position_and_the_page_begins_below(position: int, count: int) -> None:
    async with running_service() as service:
        await service.post()
        assert len(await listed(service, f"cursor={cursor(str(position))}")) == count


async def test_head_has_the_link_and_no_body() -> None:
    async with running_service() as service:
        for _ in range(2):
            await service.http.post("/jobs/email", json=EMAIL)
        answer = await service.http.head("/jobs?limit=1")
        assert (answer.status_code, answer.content) == (200, b"")
        assert 'rel="next"' in answer.headers["link"]


async def test_those_that_wait_for_a_person_are_found_and_retried_together() -> None:
    doubt = Ending("unknown", "Unsure", "who knows", then="hold")
    async with running_service() as service:
        held, other = [await service.post() for _ in range(2)]
        await service.fail(held, doubt)
        page = (await service.http.get("/jobs?held=true&count=true")).json()
        assert ([job["id"] for job in page["jobs"]], page["total"]) == ([held], 1)
        assert len((await service.http.get("/jobs?held=false")).json()["jobs"]) == 2
        assert (await service.http.get("/jobs?held=maybe")).status_code == 422
        asked = {"action": "retry", "filter": {"held": True}}
        assert (await service.http.post("/actions", json=asked)).json()["changed"] == 1
        wrong = {"action": "retry", "filter": {"held": False}}
        assert (await service.http.post("/actions", json=wrong)).status_code == 422
        assert (await service.http.get("/jobs?held=true")).json()["jobs"] == []
        assert (await service.http.get(f"/jobs/{other}")).json()["rev"] == 1
