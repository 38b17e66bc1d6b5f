"""Every call of the API once, with good input and with bad: a test a row of the README's table.

A table of contents that runs. What each call does in full is in the file of its own name; here is
that it is there, answers as it says, and refuses what it should with a problem that names it. The
last test holds this list against the service's own.
"""

import ast
import re
from pathlib import Path
from typing import Any

import httpx2

from service.commands import Ending
from tests.support.follow import following
from tests.support.service import EMAIL, RunningService, running_service

NOBODY = "01a20ac5-c1eb-7c41-9d2e-000000000000"
LATER = Ending("error", "ValueError", "no luck")
FATAL = Ending("error", "ValueError", "no luck", permanent=True)
CLAIM = {"kinds": ["email"], "worker": "w"}


def refused(answer: httpx2.Response, status: int, problem: str) -> Any:
    """The problem document of a refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/problems/{problem}"
    return answer.json()


async def claimed(service: RunningService) -> tuple[str, int]:
    """A job and the token of its claim."""
    await service.post()
    [claim] = (await service.http.post("/claims", json=CLAIM)).json()["claims"]
    return claim["job"]["id"], claim["token"]


async def test_post_jobs_kind() -> None:
    async with running_service() as service:
        answer = await service.http.post("/jobs/email?max_attempts=5&delay=60", json=EMAIL)
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
        assert (answer.headers["etag"], answer.json()["max_attempts"]) == ('"1"', 5)
        wrong = await service.http.post("/jobs/email", json=EMAIL | {"to": "nobody"})
        assert refused(wrong, 422, "invalid")["errors"][0]["pointer"] == "#/to"
        refused(await service.http.post("/jobs/emial", json=EMAIL), 404, "not-found")


async def test_post_jobs_kind_with_idempotency_key() -> None:
    async with running_service() as service:
        key = {"Idempotency-Key": "order-1"}
        first = await service.http.post("/jobs/email", json=EMAIL, headers=key)
        again = await service.http.post("/jobs/email", json=EMAIL, headers=key)
        assert (again.status_code, again.json()) == (202, first.json())
        assert again.headers["idempotency-replayed"] == "true"
        other = await service.http.post("/jobs/email", json=EMAIL | {"body": "x"}, headers=key)
        refused(other, 422, "idempotency-key-reused")
        unfit = {"Idempotency-Key": "k" * 256}
        answer = await service.http.post("/jobs/email", json=EMAIL, headers=unfit)
        refused(answer, 400, "invalid-header")


async def test_post_jobs_kind_with_prefer_wait() -> None:
    async with running_service() as service:
        wait = {"Prefer": "wait=2"}
        answer = await service.http.post("/jobs/email", json=EMAIL, headers=wait)
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        assert answer.headers["preference-applied"] == "wait=2"
        unread = await service.http.post("/jobs/email", json=EMAIL, headers={"Prefer": "wait=x"})
        assert (unread.status_code, "preference-applied" in unread.headers) == (202, False)


async def test_post_jobs_kind_batch() -> None:
    async with running_service() as service:
        answer = await service.http.post("/jobs/email/batch", json=[EMAIL, EMAIL])
        assert (answer.status_code, len(answer.json()["ids"])) == (202, 2)
        head = await service.log.head()
        wrong = await service.http.post("/jobs/email/batch", json=[EMAIL, EMAIL | {"to": 5}])
        assert refused(wrong, 422, "invalid")["errors"][0]["pointer"] == "#/1/to"
        assert await service.log.head() == head, "one wrong item refuses all"


async def test_get_jobs_id() -> None:
    async with running_service() as service:
        job_id = await service.post()
        answer = await service.http.get(f"/jobs/{job_id}")
        assert (answer.status_code, answer.json()["id"]) == (200, job_id)
        known = {"If-None-Match": answer.headers["etag"]}
        assert (await service.http.get(f"/jobs/{job_id}", headers=known)).status_code == 304
        refused(await service.http.get(f"/jobs/{NOBODY}"), 404, "not-found")


async def test_get_jobs_id_as_of() -> None:
    async with running_service() as service:
        job_id = await service.post()
        [created] = await service.log.read_stream(job_id)
        await service.complete(job_id)
        then = await service.http.get(f"/jobs/{job_id}?as_of={created.pos}")
        assert (then.json()["status"], then.headers["etag"]) == ("pending", '"1"')
        before = await service.http.get(f"/jobs/{job_id}?as_of={created.pos - 1}")
        refused(before, 404, "not-found")
        refused(await service.http.get(f"/jobs/{job_id}?as_of=yesterday"), 422, "invalid")


async def test_get_jobs_id_events() -> None:
    async with running_service() as service:
        job_id = await service.post()
        path = f"/jobs/{job_id}/events"
        [event] = (await service.http.get(path)).json()["events"]
        assert event["type"] == "JobCreated"
        lines = await service.http.get(path, headers={"Accept": "application/x-ndjson"})
        assert lines.content == (await service.log.read_stream(job_id))[0].line + b"\n"
        clouds = {"Accept": "application/cloudevents-batch+json"}
        [cloud] = (await service.http.get(path, headers=clouds)).json()
        assert (cloud["specversion"], cloud["subject"]) == ("1.0", job_id)
        async with following(service.app, path) as stream:
            assert (await stream.next()).id == str(event["pos"])
        refused(await service.http.get(path, headers={"Accept": "a/b"}), 406, "not-acceptable")
        refused(await service.http.get(f"/jobs/{NOBODY}/events"), 404, "not-found")


async def test_get_jobs() -> None:
    async with running_service() as service:
        ids = [await service.post() for _ in range(3)]
        page = await service.http.get("/jobs?status=pending&q=ada&count=true&limit=2")
        assert [job["id"] for job in page.json()["jobs"]] == ids[:0:-1]
        assert page.json()["total"] == 3
        [link] = re.findall(r'<(.*)>; rel="next"', page.headers["link"])
        assert [job["id"] for job in (await service.http.get(link)).json()["jobs"]] == ids[:1]
        refused(await service.http.get("/jobs?status=asleep"), 422, "invalid")
        refused(await service.http.get("/jobs?cursor=x"), 400, "invalid-cursor")


async def test_post_jobs_id_cancel_and_retry() -> None:
    async with running_service() as service:
        waiting, running, failed = [await service.post() for _ in range(3)]
        await service.start(running)
        await service.fail(failed, FATAL)
        assert (await service.http.post(f"/jobs/{waiting}/cancel")).status_code == 200
        asked = await service.http.post(f"/jobs/{running}/cancel", json={"reason": "no more"})
        assert (asked.status_code, asked.json()["status"]) == (202, "processing")
        stale = {"If-Match": '"1"'}
        answer = await service.http.post(f"/jobs/{failed}/retry", headers=stale)
        refused(answer, 412, "precondition-failed")
        again = await service.http.post(f"/jobs/{failed}/retry")
        assert (again.status_code, again.json()["status"]) == (200, "pending")
        refused(await service.http.post(f"/jobs/{running}/retry"), 409, "not-allowed")
        refused(await service.http.post(f"/jobs/{NOBODY}/cancel"), 404, "not-found")


async def test_get_events() -> None:
    async with running_service() as service:
        await service.post()
        page = await service.http.get("/events?after=1&limit=1")
        assert [event["pos"] for event in page.json()["events"]] == [2]
        async with following(service.app, "/events", last_event_id="1") as stream:
            assert (await stream.next()).id == "2"
        refused(await service.http.get("/events?after=-1"), 422, "invalid")
        wrong = {"Accept": "text/event-stream", "Last-Event-ID": "x"}
        refused(await service.http.get("/events", headers=wrong), 400, "invalid-header")


async def test_post_claims_and_renew_complete_fail() -> None:
    async with running_service() as service:
        job_id, token = await claimed(service)
        renewed = await service.http.post(f"/claims/{job_id}/renew", json={"token": token})
        assert (renewed.status_code, renewed.json()["cancel_requested"]) == (200, False)
        done = {"token": token, "result": {"n": 1}}
        ended = await service.http.post(f"/claims/{job_id}/complete", json=done)
        assert (ended.json()["status"], ended.json()["result"]) == ("completed", {"n": 1})
        stale = await service.http.post(f"/claims/{job_id}/renew", json={"token": token})
        refused(stale, 409, "fenced")
        job_id, token = await claimed(service)
        told = {"token": token, "error": {"class": "Oops"}, "permanent": True}
        failed = await service.http.post(f"/claims/{job_id}/fail", json=told)
        assert failed.json()["status"] == "failed"
        assert (await service.http.post("/claims", json=CLAIM)).status_code == 204
        refused(await service.http.post("/claims", json=CLAIM | {"kinds": []}), 422, "invalid")


async def test_get_kinds_and_post_pause_resume_and_put_limits() -> None:
    async with running_service() as service:
        [kind] = (await service.http.get("/kinds")).json()["kinds"]
        assert (kind["kind"], kind["paused"]) == ("email", None)
        paused = await service.http.post("/kinds/email/pause", json={"reason": "bounces"})
        assert paused.json()["paused"]["reason"] == "bounces"
        assert (await service.http.post("/kinds/email/resume")).json()["paused"] is None
        limits = {"concurrency": 2, "rate": {"count": 10, "per_s": 1}}
        limited = await service.http.put("/kinds/email/limits", json=limits)
        assert limited.json()["limits"] == limits
        none = await service.http.put("/kinds/email/limits", json=limits | {"concurrency": 0})
        assert refused(none, 422, "invalid")["errors"][0]["pointer"] == "#/concurrency"
        refused(await service.http.post("/kinds/emial/pause"), 404, "not-found")


async def test_post_actions() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.fail(job_id, FATAL)
        asked: Any = {"action": "retry", "filter": {"status": "failed"}, "dry_run": True}
        counted = (await service.http.post("/actions", json=asked)).json()
        assert (counted["matched"], counted["changed"]) == (1, 1)
        assert (await service.http.get(f"/jobs/{job_id}")).json()["status"] == "failed"
        await service.http.post("/actions", json=asked | {"dry_run": False})
        assert (await service.http.get(f"/jobs/{job_id}")).json()["status"] == "pending"
        refused(await service.http.post("/actions", json=asked | {"filter": {}}), 422, "invalid")


async def test_get_stats() -> None:
    async with running_service() as service:
        await service.fail(await service.post(), LATER)
        stats = (await service.http.get("/stats")).json()
        assert (stats["by_kind"]["email"]["pending"], stats["by_status"]["failed"]) == (1, 0)
        refused(await service.http.get("/stats?verbose=1"), 422, "invalid")


async def test_get_livez_and_readyz() -> None:
    async with running_service() as service:
        assert (await service.http.get("/livez")).json()["status"] == "alive"
        assert (await service.http.get("/readyz")).json()["status"] == "ready"
        refused(await service.http.post("/readyz"), 405, "method-not-allowed")


async def test_get_openapi_json_and_docs_and_the_start_and_problems() -> None:
    async with running_service() as service:
        assert (await service.http.get("/openapi.json")).json()["openapi"].startswith("3.1")
        for page in ("/docs", "/problems/fenced"):
            answer = await service.http.get(page)
            assert answer.headers["content-type"].startswith("text/html")
        assert (await service.http.get("/")).headers["location"] == "/docs"
        refused(await service.http.get("/problems/nonsense"), 404, "not-found")
        refused(await service.http.get("/docs?x=1"), 422, "invalid")


def asked() -> set[str]:
    """The paths in this file, `x` for whatever is in their place holders."""
    found = set()
    for node in ast.walk(ast.parse(Path(__file__).read_text())):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)
        found.add(text.partition("?")[0])
    return found


async def test_no_call_is_left_out() -> None:
    async with running_service() as service:
        paths = (await service.http.get("/openapi.json")).json()["paths"]
    for path in paths:
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))
        assert any(re.fullmatch(pattern, each) for each in asked()), path
