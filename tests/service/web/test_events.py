"""`GET /jobs/{id}/events`: a job's history, as JSON or as the very lines of the log.

Which of the two is negotiated by `Accept`; how that header is read in detail is `test_headers`'s
matter.
"""

import json

import pytest

from eventstore.event import canonical
from tests.support.service import running_service

NDJSON = {"Accept": "application/x-ndjson"}


async def test_json_has_every_event_in_order() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.complete(job_id)
        answer = await service.http.get(f"/jobs/{job_id}/events")
        events = answer.json()["events"]
        assert answer.headers["content-type"] == "application/json"
        assert [event["type"] for event in events] == [
            "JobCreated",
            "AttemptStarted",
            "JobCompleted",
        ]
        assert [event["rev"] for event in events] == [1, 2, 3]
        assert " ".join(events[0]) == "pos time type v stream rev data private meta"
        assert answer.headers["log-position"] == str(events[-1]["pos"])
        assert answer.headers["vary"] == "Accept"


async def test_json_has_canonical_events_whatever_a_file_frames_them_with() -> None:
    async with running_service() as service:
        job_id = await service.post()
        [event] = await service.log.read_stream(job_id)
        answer = await service.http.get(f"/jobs/{job_id}/events")
        assert answer.json()["events"] == [json.loads(canonical(event.line))]


async def test_ndjson_has_the_lines_as_they_are() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.complete(job_id)
        answer = await service.http.get(f"/jobs/{job_id}/events", headers=NDJSON)
        lines = [event.line + b"\n" for event in await service.log.read_stream(job_id)]
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.content == b"".join(lines)
        assert len(lines) == 3


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;q=0", "video/*", "image/png, x/y"]
)
async def test_406_for_another_representation(accept: str) -> None:
    async with running_service() as service:
        job_id = await service.post()
        answer = await service.http.get(f"/jobs/{job_id}/events", headers={"Accept": accept})
        assert answer.status_code == 406
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == (
            "there are application/json, application/x-ndjson,"
            " application/cloudevents-batch+json, text/event-stream"
        )


async def test_head_has_no_body() -> None:
    async with running_service() as service:
        answer = await service.http.head(f"/jobs/{await service.post()}/events")
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) > 0
