"""`GET /jobs/{id}`: the job as its events left it, its revision as ETag, 404 for all else.

Conditions (RFC 9110) are tested here as a client uses them; how their headers are read is
`test_headers`'s matter, and holding an answer `test_wait`'s.
"""

import pytest

from eventstore import clock
from service.commands import Ending
from tests.support.service import EMAIL, running_service


async def test_200_with_etag_position_and_the_order_to_revalidate() -> None:
    async with running_service() as service:
        created = await service.http.post("/jobs/email", json=EMAIL)
        answer = await service.http.get(created.headers["location"])
        assert answer.status_code == 200
        assert answer.content == created.content
        assert answer.headers["etag"] == '"1"'
        assert answer.headers["log-position"] == created.headers["log-position"]
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["content-type"] == "application/json"


async def test_a_running_job_shows_its_attempt() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.start(job_id)
        job = (await service.http.get(f"/jobs/{job_id}")).json()
        assert (job["status"], job["attempts"], job["rev"]) == ("processing", 1, 2)
        assert job["started_at"] == clock.now()
        assert job["next_attempt_at"] is None
        assert job["attempt_log"] == [
            {
                "attempt": 1,
                "worker": "w-test",
                "started_at": clock.now(),
                "ended_at": None,
                "outcome": None,
                "error": None,
                "retry_at": None,
            }
        ]


async def test_a_completed_job_shows_its_result() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.complete(job_id, {"reply": "250 ok"})
        answer = await service.http.get(f"/jobs/{job_id}")
        job = answer.json()
        assert (job["status"], job["result"]) == ("completed", {"reply": "250 ok"})
        assert job["finished_at"] == job["attempt_log"][0]["ended_at"] == clock.now()
        assert job["attempt_log"][0]["outcome"] == "completed"
        assert job["last_error"] is None
        assert answer.headers["etag"] == '"3"'


async def test_a_failed_attempt_shows_its_error_and_when_the_next_one_is() -> None:
    async with running_service() as service:
        job_id = await service.post()
        ending = Ending("error", "TimeoutError", "no answer", "Traceback …")
        await service.fail(job_id, ending)
        job = (await service.http.get(f"/jobs/{job_id}")).json()
        words = {"reason": "error", "class": "TimeoutError", "message": "no answer"}
        assert job["status"] == "pending"
        assert job["last_error"] == {"attempt": 1, **words}
        [attempt] = job["attempt_log"]
        assert attempt["error"] == {**words, "traceback": "Traceback …"}
        assert attempt["retry_at"] == job["next_attempt_at"] == "2026-11-23T12:01:00.000000Z"


async def test_an_error_without_traceback_has_no_such_member() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.fail(job_id, Ending("timeout", "TimeoutError"))
        [attempt] = (await service.http.get(f"/jobs/{job_id}")).json()["attempt_log"]
        assert list(attempt["error"]) == ["reason", "class", "message"]


async def test_a_client_reads_its_own_writes() -> None:
    async with running_service() as service:
        for _ in range(20):
            created = await service.http.post("/jobs/email", json=EMAIL)
            answer = await service.http.get(created.headers["location"])
            assert answer.status_code == 200


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', '"7", "1"', '"a,b" , W/"1"', "*"])
async def test_304_for_who_has_it_already(tag: str) -> None:
    async with running_service() as service:
        job_id = await service.post()
        answer = await service.http.get(f"/jobs/{job_id}", headers={"If-None-Match": tag})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == '"1"'
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "content-type" not in answer.headers


@pytest.mark.parametrize("tag", ['"0"', '"2"', '"01"', '""', '"abc"', '"' + "1" * 5000 + '"'])
async def test_200_for_who_has_another(tag: str) -> None:
    async with running_service() as service:
        job_id = await service.post()
        answer = await service.http.get(f"/jobs/{job_id}", headers={"If-None-Match": tag})
        assert answer.status_code == 200


@pytest.mark.parametrize("tag", ["1", '"1', "'1'", '"1" x', "", ","])
async def test_400_for_a_condition_that_cannot_be_read(tag: str) -> None:
    async with running_service() as service:
        job_id = await service.post()
        answer = await service.http.get(f"/jobs/{job_id}", headers={"If-None-Match": tag})
        assert answer.status_code == 400
        assert answer.json()["type"] == "/problems/invalid-header"


@pytest.mark.parametrize(
    "job_id",
    [
        "01a20846-fe00-7d8f-b0e1-aef1cd613e30",  # nobody's
        "log",  # the log's own stream is no job
        "x" * 64,
        "x" * 65,
        "x" * 8_000,
        "%00",
        "a%0Ab",
        "..%5C..",
        "%C3%A9",
        "%FF",
        "a;b",
        "a%20b",
    ],
)
@pytest.mark.parametrize("rest", ["", "/events"])
async def test_404_for_what_never_existed(job_id: str, rest: str) -> None:
    async with running_service() as service:
        await service.log.begin("1")
        answer = await service.http.get(f"/jobs/{job_id}{rest}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/not-found"
        assert len(answer.json()["detail"]) < 100


async def test_a_percent_encoded_id_is_the_same_id() -> None:
    async with running_service() as service:
        job_id = await service.post()
        encoded = "".join(f"%{ord(each):02X}" for each in job_id)
        answer = await service.http.get(f"/jobs/{encoded}")
        assert answer.json()["links"]["self"] == f"/jobs/{job_id}"


async def test_head_has_the_headers_and_no_body() -> None:
    async with running_service() as service:
        job_id = await service.post()
        get = await service.http.get(f"/jobs/{job_id}")
        head = await service.http.head(f"/jobs/{job_id}")
        assert (head.status_code, head.content) == (200, b"")
        for name in ("etag", "log-position", "content-length", "content-type"):
            assert head.headers[name] == get.headers[name]


async def test_a_query_is_refused() -> None:
    async with running_service() as service:
        answer = await service.http.get(f"/jobs/{await service.post()}?verbose=1")
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error["pointer"] == "?verbose"
        assert error["detail"].startswith("no such parameter")
