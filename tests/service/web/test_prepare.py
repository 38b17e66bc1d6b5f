"""What a kind fixes once, when a job is created: the payload as it is kept, and facts.

Every attempt finds the same, and so does a repeat of an idempotency key, however often `prepare`
was asked meanwhile: the log has the first answer.
"""

import asyncio
from itertools import count
from typing import Any

import msgspec
import pytest

from service.processors import Attempt, Prepared, Processor, processor
from tests.support.service import running_service


class Letter(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    date: str | None = None


def letters(calls: list[Any]) -> Processor:
    """A kind that dates its letters and numbers them; each call is noted."""
    numbers = count(1)

    def prepare(payload: Letter, job_id: str, now: str) -> Prepared:
        calls.append((payload, job_id, now))
        dated = Letter(payload.to, payload.date or now)
        return Prepared(dated, {"number": next(numbers), "id": f"<{job_id}@x>"})

    @processor("letter", prepare=prepare)
    async def letter(_: Letter, __: Attempt) -> None:
        """Never run here."""

    return letter


async def test_the_payload_is_kept_as_prepared_and_the_facts_are_clear() -> None:
    calls: list[Any] = []
    async with running_service(letters(calls)) as service:
        answer = await service.http.post("/jobs/letter", json={"to": "ada"})
        job = answer.json()
        now = job["created_at"]
        assert calls == [(Letter("ada"), job["id"], now)]
        assert job["payload"] == {"to": "ada", "date": now}
        [created] = await service.log.read_stream(job["id"])
        assert created.data["facts"] == {"number": 1, "id": f"<{job['id']}@x>"}
        assert created.private == {"payload": {"to": "ada", "date": now}}
        kept = await service.jobs.get(job["id"])
        assert kept is not None
        assert kept.facts == created.data["facts"]


async def test_a_repeat_of_a_key_is_the_same_letter() -> None:
    async with running_service(letters([])) as service:
        headers = {"Idempotency-Key": "order-17"}
        first = await service.http.post("/jobs/letter", json={"to": "ada"}, headers=headers)
        await asyncio.sleep(60)
        second = await service.http.post("/jobs/letter", json={"to": "ada"}, headers=headers)
        assert (second.status_code, second.content) == (202, first.content)
        assert second.headers["idempotency-replayed"] == "true"
        other = await service.http.post("/jobs/letter", json={"to": "eve"}, headers=headers)
        assert other.status_code == 422, "what was sent is compared, not what became of it"
        [created] = await service.log.read_stream(first.json()["id"])
        assert created.data["facts"]["number"] == 1


async def test_nothing_is_prepared_for_a_request_that_is_refused() -> None:
    calls: list[Any] = []
    async with running_service(letters(calls)) as service:
        for path, body in (("?priority=high", {"to": "ada"}), ("", {"too": "ada"})):
            answer = await service.http.post(f"/jobs/letter{path}", json=body)
            assert answer.status_code == 422
        assert calls == []


@pytest.mark.parametrize("facts", [{}, None])
async def test_a_kind_may_fix_no_facts(facts: Any) -> None:
    @processor("plain", prepare=lambda payload, *_: Prepared(payload, facts))
    async def plain(_: dict, __: Attempt) -> None:
        """Never run here."""

    async with running_service(plain) as service:
        answer = await service.http.post("/jobs/plain", json={})
        assert answer.status_code == 202
        [created] = await service.log.read_stream(answer.json()["id"])
        assert "facts" not in created.data
