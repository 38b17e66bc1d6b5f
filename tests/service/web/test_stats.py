"""`GET /stats`: the numbers as they are now. How they are kept is `tests/projections/test_stats`'s
matter.
"""

import asyncio

from service.processors import Attempt, processor
from tests.support.service import running_service


async def test_a_new_service_has_no_numbers() -> None:
    async with running_service() as service:
        answer = await service.http.get("/stats")
        assert answer.headers["cache-control"] == "no-store"
        zeros = dict.fromkeys(["pending", "processing", "completed", "failed", "cancelled"], 0)
        assert answer.json() == {
            "by_status": zeros,
            "by_kind": {},
            "due": 0,
            "oldest_due_s": None,
            "wait_s": None,
            "run_s": None,
            "log_position": 1,
            "position": 1,
        }


async def test_jobs_are_counted_by_kind_and_status() -> None:
    @processor("note")
    async def note(_: str, __: Attempt) -> None:
        """Never run here."""

    async with running_service(note) as service:
        ids = [await service.post() for _ in range(4)]
        await service.http.post("/jobs/note", json="x")
        await service.complete(ids[0])
        await service.start(ids[1])
        await service.http.post(f"/jobs/{ids[2]}/cancel")
        found = (await service.http.get("/stats")).json()
        counted = {"pending": 1, "processing": 1, "completed": 1, "failed": 0, "cancelled": 1}
        assert found["by_kind"] == {
            "email": counted,
            "note": dict.fromkeys(counted, 0) | {"pending": 1},
        }
        assert found["by_status"] == counted | {"pending": 2}
        assert found["position"] == found["log_position"] == await service.log.head()


async def test_what_is_due_and_since_when() -> None:
    async with running_service() as service:
        await service.post()
        await service.post(delay=10)
        await service.post(delay=11)
        await asyncio.sleep(10)
        found = (await service.http.get("/stats")).json()
        assert (found["due"], found["oldest_due_s"]) == (2, 10.0)


async def test_how_long_attempts_wait_and_run() -> None:
    async with running_service() as service:
        job_id = await service.post(delay=5)
        await asyncio.sleep(7)
        await service.start(job_id)
        found = (await service.http.get("/stats")).json()
        assert found["wait_s"] == {"samples": 1, "p50": 2.0, "p95": 2.0, "p99": 2.0}
        assert found["run_s"] is None


async def test_a_parameter_that_there_is_not_is_refused() -> None:
    async with running_service() as service:
        assert (await service.http.get("/stats?kind=email")).status_code == 422
