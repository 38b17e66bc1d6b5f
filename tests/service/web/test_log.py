"""`GET /events`: the whole log, in pages that follow one another without a gap, whatever is left
out.

How the events are written is `test_rendering`'s matter; streams are `test_stream`'s.
"""

import asyncio
import json
from itertools import chain
from typing import Any

import pytest

from eventstore.event import canonical
from service import feed
from tests.support.service import EMAIL, LOG_ID, RunningService, running_service


async def walked(service: RunningService, query: str) -> list[list[int]]:
    """The positions on the pages that a client sees which follows the links."""
    pages, url = [], f"/events?{query}"
    while True:
        answer = await service.http.get(url)
        assert answer.status_code == 200, answer.text
        pages.append([event["pos"] for event in answer.json()["events"]])
        if "next" not in answer.links:
            return pages
        url = answer.links["next"]["url"]


async def test_every_event_is_there_as_its_line_has_it() -> None:
    async with running_service() as service:
        await service.complete(await service.post())
        answer = await service.http.get("/events")
        events = await service.log.read()
        expected = [json.loads(canonical(event.line)) for event in events]
        assert answer.json() == {"events": expected}
        assert expected[0]["type"] == "LogOpened"
        assert answer.headers["log-position"] == str(events[-1].pos)
        assert answer.headers["vary"] == "Accept"
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "link" not in answer.headers


async def test_ndjson_is_the_log() -> None:
    async with running_service() as service:
        await service.complete(await service.post())
        answer = await service.http.get("/events", headers={"Accept": "application/x-ndjson"})
        assert answer.content == b"".join(e.line + b"\n" for e in await service.log.read())


async def test_cloud_events_name_the_log() -> None:
    async with running_service() as service:
        await service.post()
        accept = {"Accept": "application/cloudevents-batch+json"}
        answer = await service.http.get("/events?after=1", headers=accept)
        assert answer.headers["content-type"] == "application/cloudevents-batch+json"
        [event] = answer.json()
        assert (event["source"], event["id"]) == (f"/logs/{LOG_ID}", "2")


@pytest.mark.parametrize(("limit", "pages"), [(1, 6), (2, 3), (4, 2), (5, 2), (6, 1), (7, 1)])
async def test_links_lead_through_the_whole_log_and_not_further(limit: int, pages: int) -> None:
    async with running_service() as service:
        for _ in range(5):
            await service.post()
        found = await walked(service, f"limit={limit}")
        assert len(found) == pages
        assert list(chain(*found)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("query", ["limit=2&type=JobCreated", "limit=2&stream={}", "type=Nothing"])
async def test_filters_leave_out_and_miss_nothing(
    query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "READ_EVENTS", 3)
    monkeypatch.setattr(feed, "SCAN_EVENTS_MAX", 6)
    async with running_service() as service:
        jobs = [await service.post() for _ in range(7)]
        for job_id in jobs:
            await service.complete(job_id)
        query = query.format(jobs[3])
        wanted = dict(pair.split("=") for pair in query.split("&"))
        expected = [
            event.pos
            for event in await service.log.read()
            if event.type == wanted.get("type", event.type)
            and event.stream == wanted.get("stream", event.stream)
        ]
        found = await walked(service, query)
        assert list(chain(*found)) == expected
        assert max(map(len, found)) <= 2


async def test_a_page_of_large_events_ends_early_and_has_a_link() -> None:
    async with running_service() as service:
        large = {**EMAIL, "body": "x" * 50_000}
        for _ in range(90):
            await service.http.post("/jobs/email", json=large)
        found = await walked(service, "limit=1000")
        assert list(chain(*found)) == list(range(1, 92))
        assert [len(page) > 60 for page in found] == [True, False]


async def test_others_go_on_while_a_large_page_is_made() -> None:
    async with running_service() as service:
        large = {**EMAIL, "body": "x" * 50_000}
        for _ in range(60):
            await service.http.post("/jobs/email", json=large)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await service.http.get("/events?limit=1000")
        counting.cancel()
        assert turns >= 60 * 50_000 // 256 // 1024 - 1


@pytest.mark.parametrize(
    ("after", "positions", "reached"),
    [(0, [1, 2, 3], 3), (2, [3], 3), (3, [], 3), (4, [], 4), (2**63 - 1, [], 2**63 - 1)],
)
async def test_a_page_begins_above_a_position(
    after: int, positions: list[int], reached: int
) -> None:
    async with running_service() as service:
        for _ in range(2):
            await service.post()
        answer = await service.http.get(f"/events?after={after}")
        assert [event["pos"] for event in answer.json()["events"]] == positions
        assert answer.headers["log-position"] == str(reached)


async def test_the_position_of_a_page_is_where_to_ask_again() -> None:
    async with running_service() as service:
        job_id = await service.post()
        first = await service.http.get("/events?stream=nobody")
        assert first.json() == {"events": []}
        await service.complete(job_id)
        seen = first.headers["log-position"]
        second = await service.http.get(f"/events?stream={job_id}&after={seen}")
        assert [event["rev"] for event in second.json()["events"]] == [2, 3]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("after=-1", "?after"),
        ("after=" + str(2**63), "?after"),
        ("after=x", "?after"),
        ("after=", "?after"),
        ("limit=0", "?limit"),
        ("limit=1001", "?limit"),
        ("type=jobCreated", "?type"),
        ("type=", "?type"),
        ("type=Job%0ACreated", "?type"),
        ("stream=a%20b", "?stream"),
        ("stream=" + "a" * 65, "?stream"),
        ("stream=", "?stream"),
        ("min_position=" + str(2**63), "?min_position"),
        ("cursor=1", "?cursor"),
        ("after=1&after=2", "?after"),
    ],
)
async def test_422_for_what_cannot_be_wanted(query: str, pointer: str) -> None:
    async with running_service() as service:
        answer = await service.http.get(f"/events?{query}")
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_jobs_history_begins_above_a_position_too() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.complete(job_id)
        answer: Any = await service.http.get(f"/jobs/{job_id}/events?after=2")
        assert [event["pos"] for event in answer.json()["events"]] == [3, 4]
        assert answer.headers["log-position"] == "4"
