"""`POST /jobs/{kind}/batch`: all of a batch or, where anything is wrong or there is no room, none.

What an item may look like is `test_items`' matter, what a key makes of crashes and rivals
`tests/service/test_batch`'s; here it is the call: its answers, its limits, its problems.
"""

import asyncio
import json
from typing import Any

import pytest

from eventstore.errors import NotWritten
from eventstore.memory import MemoryStore
from eventstore.timestamp import later
from service.processors import Attempt, Prepared, processor
from service.web.batch import BATCH_BYTES_MAX
from service.web.items import ITEMS_MAX
from tests.support.service import ACTOR, EMAIL, LOG_ID, RunningService, running_service
from tests.support.world import Hiccups

KEY = {"Idempotency-Key": "import-17"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def emails(number: int) -> list[dict[str, str]]:
    return [{**EMAIL, "to": f"reader-{n}@example.com"} for n in range(number)]


async def post(service: RunningService, items: Any, query: str = "", **headers: Any) -> Any:
    return await service.http.post(f"/jobs/email/batch?{query}", json=items, **headers)


async def created(service: RunningService) -> list[str]:
    """Who is written to, in the order of the log."""
    events = await service.log.read()
    return [e.private["payload"]["to"] for e in events if e.type == "JobCreated" and e.private]


async def refused(service: RunningService, answer: Any, status: int, problem: str) -> Any:
    """The document of a refusal; nothing was recorded."""
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == f"/problems/{problem}"
    assert await created(service) == []
    return answer.json()


async def test_202_with_the_ids_in_order_once_every_item_is_durable() -> None:
    async with running_service() as service:
        answer = await post(service, emails(3))
        assert answer.status_code == 202
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["log-position"] == str(await service.log.head())
        assert "idempotency-replayed" not in answer.headers
        ids = answer.json()["ids"]
        assert list(answer.json()) == ["ids"]
        jobs = [(await service.http.get(f"/jobs/{job_id}")).json() for job_id in ids]
        assert [job["payload"]["to"] for job in jobs] == [email["to"] for email in emails(3)]


async def test_lines_are_a_batch_too() -> None:
    async with running_service() as service:
        lines = "\n".join(map(json.dumps, emails(3)))
        answer = await service.http.post("/jobs/email/batch", content=lines, headers=NDJSON)
        assert answer.status_code == 202
        assert await created(service) == [email["to"] for email in emails(3)]


async def test_the_options_are_those_of_every_item() -> None:
    async with running_service() as service:
        answer = await post(service, emails(2), "priority=7&delay=60&max_attempts=9&timeout=5")
        for job_id in answer.json()["ids"]:
            job = (await service.http.get(f"/jobs/{job_id}")).json()
            assert (job["priority"], job["max_attempts"]) == (7, 9)
            assert job["run_at"] == later(job["created_at"], 60)


async def test_every_event_has_the_actor_and_the_request() -> None:
    async with running_service() as service:
        await post(service, emails(2), headers={"X-Request-Id": "order-17"})
        events = (await service.log.read())[1:]
        assert [(e.meta["actor"], e.meta["request"]) for e in events] == [(ACTOR, "order-17")] * 2


async def test_ten_thousand_items() -> None:
    async with running_service() as service:
        answer = await post(service, emails(ITEMS_MAX))
        assert len(set(answer.json()["ids"])) == ITEMS_MAX
        assert await service.log.head() == ITEMS_MAX + 1


async def test_an_item_more_is_422() -> None:
    async with running_service() as service:
        answer = await post(service, [EMAIL] * (ITEMS_MAX + 1))
        problem = await refused(service, answer, 422, "invalid")
        assert problem["errors"][0]["pointer"] == "#"


async def test_one_wrong_item_refuses_all_and_is_pointed_at() -> None:
    async with running_service() as service:
        items = emails(5)
        items[3]["to"] = "nobody"
        problem = await refused(service, await post(service, items), 422, "invalid")
        assert [error["pointer"] for error in problem["errors"]] == ["#/3/to"]
        lines = "\n".join(map(json.dumps, items))
        answer = await service.http.post("/jobs/email/batch", content=lines, headers=NDJSON)
        assert (await refused(service, answer, 422, "invalid"))["errors"] == problem["errors"]


async def test_a_malformed_line_is_400_with_its_place() -> None:
    async with running_service() as service:
        content = json.dumps(EMAIL) + '\n{"to":'
        answer = await service.http.post("/jobs/email/batch", content=content, headers=NDJSON)
        problem = await refused(service, answer, 400, "invalid-json")
        assert problem["detail"] == "line 2: the text ends too early at byte 6"


async def test_an_empty_body_is_400() -> None:
    async with running_service() as service:
        answer = await service.http.post("/jobs/email/batch", content=b"", headers=NDJSON)
        assert (await refused(service, answer, 400, "invalid-json"))[
            "detail"
        ] == "the body is empty"


@pytest.mark.parametrize("more", [0, 1])
async def test_a_body_of_ten_megabytes_and_not_a_byte_more(more: int) -> None:
    async with running_service() as service:
        content = json.dumps(emails(2)).encode().ljust(BATCH_BYTES_MAX + more)
        headers = {"Content-Type": "application/json"}
        answer = await service.http.post("/jobs/email/batch", content=content, headers=headers)
        if more:
            problem = await refused(service, answer, 413, "too-large")
            assert problem["detail"] == f"a body is at most {BATCH_BYTES_MAX} bytes"
        else:
            assert answer.status_code == 202


@pytest.mark.parametrize("headers", [{}, KEY])
async def test_an_item_that_fits_no_event_is_413_and_named(headers: dict[str, str]) -> None:
    @processor("blob")
    async def blob(_: str, __: Attempt) -> None:
        """Never run here."""

    async with running_service(blob) as service:
        answer = await service.http.post(
            "/jobs/blob/batch", json=["x", "x" * 65_535], headers=headers
        )
        problem = await refused(service, answer, 413, "too-large")
        assert problem["errors"][0]["pointer"] == "#/1"
        assert problem["detail"].startswith("item 1: the event takes ")


@pytest.mark.parametrize("given", ["text/csv", "application/jsonl"])
async def test_415_names_both_media_types(given: str) -> None:
    async with running_service() as service:
        answer = await service.http.post(
            "/jobs/email/batch", content=b"[]", headers={"Content-Type": given}
        )
        await refused(service, answer, 415, "unsupported-media-type")
        assert answer.headers["accept-post"] == "application/json, application/x-ndjson"


async def test_404_for_an_unknown_kind_and_422_for_a_wrong_option() -> None:
    async with running_service() as service:
        answer = await service.http.post("/jobs/emial/batch", json=[EMAIL])
        await refused(service, answer, 404, "not-found")
        answer = await post(service, [EMAIL], "priority=x")
        await refused(service, answer, 422, "invalid")


async def test_what_the_kind_fixes_is_asked_for_each_item() -> None:
    def prepare(payload: Any, job_id: str, now: str) -> Prepared:
        return Prepared({"text": payload.upper()}, {"id": job_id, "at": now})

    @processor("shout", prepare=prepare)
    async def shout(_: str, __: Attempt) -> None:
        """Never run here."""

    async with running_service(shout) as service:
        answer = await service.http.post("/jobs/shout/batch", json=["a", "b"])
        events = (await service.log.read())[1:]
        assert [event.private for event in events] == [
            {"payload": {"text": "A"}}, {"payload": {"text": "B"}}
        ]  # fmt: skip
        assert [event.data["facts"]["id"] for event in events] == answer.json()["ids"]


def only_small(payload: Any, _: str, __: str) -> Prepared:
    if payload > 9:
        raise ValueError(f"{payload} is too much - at `$.number`")
    return Prepared(payload)


@processor("count", prepare=only_small)
async def count(_: int, __: Attempt) -> None:
    """Never run here."""


@pytest.mark.parametrize("headers", [{}, KEY])
async def test_an_item_that_the_kind_does_not_take_is_422_and_pointed_at(headers: Any) -> None:
    async with running_service(count) as service:
        answer = await service.http.post("/jobs/count/batch", json=[1, 2, 17], headers=headers)
        problem = await refused(service, answer, 422, "invalid")
        assert problem["errors"] == [{"pointer": "#/2/number", "detail": "17 is too much"}]
        assert await service.log.head() == 1


async def test_a_single_job_that_the_kind_does_not_take_is_422_too() -> None:
    async with running_service(count) as service:
        answer = await service.http.post("/jobs/count", json=17)
        problem = await refused(service, answer, 422, "invalid")
        assert problem["errors"] == [{"pointer": "#/number", "detail": "17 is too much"}]
        assert (await service.http.post("/jobs/count", json=9)).status_code == 202


async def test_a_repeat_has_the_same_answer_marked_as_replayed() -> None:
    async with running_service() as service:
        first = await post(service, emails(3), "delay=60", headers=KEY)
        again = await post(service, emails(3), "delay=60", headers=KEY)
        assert (first.status_code, again.status_code) == (202, 202)
        assert again.content == first.content
        assert again.headers["log-position"] == first.headers["log-position"]
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        lines = "\n".join(map(json.dumps, emails(3)))
        answer = await service.http.post(
            "/jobs/email/batch?delay=60", content=lines, headers=KEY | NDJSON
        )
        assert answer.content == first.content, "the same items, however they are written"
        assert len(await created(service)) == 3


@pytest.mark.parametrize(
    ("items", "query"),
    [(emails(2), ""), (emails(4), ""), (emails(3)[::-1], ""), (emails(3), "priority=1")],
)
async def test_another_request_under_the_key_is_422(items: Any, query: str) -> None:
    async with running_service() as service:
        await post(service, emails(3), headers=KEY)
        answer = await post(service, items, query, headers=KEY)
        assert answer.status_code == 422
        assert answer.json()["type"] == "/problems/idempotency-key-reused"
        assert len(await created(service)) == 3


async def test_a_part_that_a_full_disk_left_is_told_and_a_repeat_completes_it() -> None:
    memory = MemoryStore(log_id=LOG_ID)
    store = Hiccups(memory)
    left = 2

    def refuse(_: Any) -> NotWritten | None:
        nonlocal left
        left -= 1
        return NotWritten("full") if left < 0 else None

    async with running_service(store=store) as service:
        store.refuse = refuse
        answer = await post(service, emails(3), headers=KEY)
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/outcome-unknown"
        assert answer.json()["detail"].startswith("2 of the 3 jobs are recorded")
    async with running_service(store=memory, seed=2) as service:
        answer = await post(service, emails(3), headers=KEY)
        assert answer.status_code == 202
        assert "idempotency-replayed" not in answer.headers
        assert await created(service) == [email["to"] for email in emails(3)]


@pytest.mark.parametrize(("max_pending", "taken"), [(4, False), (5, True), (6, True)])
async def test_a_batch_that_would_go_over_the_limit_of_open_jobs_is_refused_whole(
    max_pending: int, taken: bool
) -> None:
    async with running_service(max_pending=max_pending) as service:
        await service.post()
        head = await service.log.head()
        answer = await post(service, emails(4))
        assert answer.status_code == (202 if taken else 503)
        assert await service.log.head() == head + (4 if taken else 0)
        if not taken:
            assert answer.json()["type"] == "/problems/intake-closed"
            assert int(answer.headers["retry-after"]) > 0
            assert (await service.http.get("/jobs")).status_code == 200


async def test_a_single_job_over_the_limit_is_refused_before_its_body_is_read() -> None:
    async with running_service(max_pending=2) as service:
        first = await service.post()
        await service.post()
        for path in ("/jobs/email", "/jobs/email/batch"):
            answer = await service.http.post(path, content=b"{")
            assert answer.json()["type"] == "/problems/intake-closed"
            assert int(answer.headers["retry-after"]) > 0
        await service.complete(first)
        await service.post()


async def test_the_limit_holds_for_those_that_arrive_together() -> None:
    async with running_service(max_pending=10) as service:
        answers = await asyncio.gather(
            *(service.http.post("/jobs/email", json=EMAIL) for _ in range(10)),
            *(post(service, emails(4)) for _ in range(3)),
        )
        assert {answer.status_code for answer in answers} == {202, 503}
        assert len(await created(service)) <= 10


async def test_an_intake_closed_for_want_of_room_takes_no_batch() -> None:
    async with running_service(free_bytes=999) as service:
        await refused(service, await post(service, emails(1)), 503, "intake-closed")
