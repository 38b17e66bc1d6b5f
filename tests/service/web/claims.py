"""A client of `/claims`, for tests: a service whose kinds only remote workers run, and its calls.

Each helper is one request, or a job brought so far by a few. Nothing here checks what a claim
answers beyond that it is one.
"""

from contextlib import asynccontextmanager
from typing import Any

from service.processors import remote_kind
from tests.support.service import RunningService, running_service

NOW = "2026-11-23T12:00:00.000000Z"
ERROR = {"class": "Oops", "message": "no luck"}


@asynccontextmanager
async def serving(**options: Any):
    async with running_service(remote_kind("work"), remote_kind("other"), **options) as service:
        yield service


async def post(service: RunningService, kind: str = "work", payload: Any = None, **query: Any):
    answer = await service.http.post(f"/jobs/{kind}", params=query, json=payload or {"n": 1})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def claim(service: RunningService, *kinds: str, **more: Any) -> Any:
    body = {"kinds": list(kinds or ["work"]), "worker": "node-1"} | more
    return await service.http.post("/claims", json=body)


async def claimed(service: RunningService, **query: Any) -> tuple[str, int]:
    """A job that was posted and claimed; its id, and the claim's token."""
    job_id = await post(service, **query)
    [found] = (await claim(service)).json()["claims"]
    assert found["job"]["id"] == job_id
    return job_id, found["token"]


async def say(service: RunningService, job_id: str, verb: str, **body: Any) -> Any:
    return await service.http.post(f"/claims/{job_id}/{verb}", json=body)


async def types(service: RunningService, job_id: str) -> list[str]:
    return [event.type for event in await service.log.read_stream(job_id)]
