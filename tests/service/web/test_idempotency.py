"""`Idempotency-Key`: one job however often the request is made, and a refusal for another request.

The first answer is made again from the log, not remembered: the service that answers a repeat may
be another one than the first.
"""

import asyncio
from typing import Any

import pytest

from eventstore.memory import MemoryStore
from tests.support.service import EMAIL, LOG_ID, RunningService, running_service

KEY = {"Idempotency-Key": "order-17"}


async def post(service: RunningService, query: str = "", **changes: Any) -> Any:
    return await service.http.post(f"/jobs/email?{query}", json=EMAIL | changes, headers=KEY)


async def test_a_repeat_gets_the_same_202_marked_as_replayed() -> None:
    async with running_service() as service:
        first, second = await post(service), await post(service)
        assert (first.status_code, second.status_code) == (202, 202)
        assert second.content == first.content
        assert "idempotency-replayed" not in first.headers
        assert second.headers["idempotency-replayed"] == "true"
        for name in ("location", "etag", "log-position"):
            assert second.headers[name] == first.headers[name]


async def test_the_first_answer_is_given_even_when_the_job_has_moved_on() -> None:
    async with running_service() as service:
        first = await post(service)
        await service.complete(first.json()["id"])
        assert (await post(service)).content == first.content


async def test_a_repeat_after_a_restart_is_answered_from_the_log() -> None:
    store = MemoryStore(log_id=LOG_ID)
    async with running_service(store=store) as service:
        first = await post(service)
    async with running_service(store=store, seed=2) as service:
        second = await post(service)
    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"


async def test_of_many_at_once_one_makes_the_job() -> None:
    async with running_service() as service:
        answers = await asyncio.gather(*(post(service) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.content for answer in answers}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
        assert len((await service.http.get("/jobs")).json()["jobs"]) == 1


@pytest.mark.parametrize(
    ("query", "changes"),
    [("", {"subject": "Goodbye"}), ("priority=1", {}), ("max_attempts=3", {})],
)
async def test_another_request_under_the_key_is_422(query: str, changes: dict[str, str]) -> None:
    async with running_service() as service:
        first = await post(service)
        answer = await post(service, query, **changes)
        assert answer.status_code == 422
        assert answer.json()["type"] == "/problems/idempotency-key-reused"
        assert first.json()["id"] in answer.json()["detail"]


async def test_the_order_of_members_and_options_makes_no_other_request() -> None:
    async with running_service() as service:
        await post(service, "priority=1&delay=5")
        turned = dict(reversed(EMAIL.items()))
        answer = await service.http.post("/jobs/email?delay=5&priority=1", json=turned, headers=KEY)
        assert answer.headers["idempotency-replayed"] == "true"


async def test_a_delay_is_the_same_request_later() -> None:
    async with running_service() as service:
        first = await post(service, "delay=60")
        await service.http.get(f"/jobs/{first.json()['id']}", headers={"Prefer": "wait=10"})
        assert (await post(service, "delay=60")).content == first.content


async def test_a_key_counts_within_its_kind() -> None:
    async with running_service() as service:
        other = await service.http.post("/jobs/unknown", json=EMAIL, headers=KEY)
        assert other.status_code == 404
        assert (await post(service)).status_code == 202


@pytest.mark.parametrize("same", ["order-17", '"order-17"', " order-17 "])
async def test_quoted_and_bare_are_one_key(same: str) -> None:
    async with running_service() as service:
        await post(service)
        answer = await service.http.post(
            "/jobs/email", json=EMAIL, headers={"Idempotency-Key": same}
        )
        assert answer.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", ["", '""', '"open', "a" * 256, "naïve", '"a";p=1'])
async def test_what_is_no_key_is_400(key: str) -> None:
    async with running_service() as service:
        headers = [(b"Idempotency-Key", key.encode("latin-1"))]
        answer = await service.http.post("/jobs/email", json=EMAIL, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["type"] == "/problems/invalid-header"


async def test_a_repeat_that_waits_gets_the_final_state() -> None:
    async with running_service() as service:
        first = await post(service)
        await service.complete(first.json()["id"], {"sent": True})
        answer = await service.http.post(
            "/jobs/email", json=EMAIL, headers=KEY | {"Prefer": "wait=5"}
        )
        assert answer.status_code == 200
        assert answer.json()["result"] == {"sent": True}
        assert answer.headers["idempotency-replayed"] == "true"
