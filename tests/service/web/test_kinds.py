"""`/kinds`: which there are, and the calls that pause, resume and limit them.

How a decision is recorded once and remembered is tested with `service.kinds`, how limits are kept
with the board. Here: what each call answers, to good requests and bad ones.
"""

from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventstore.errors import NotWritten
from eventstore.memory import MemoryStore
from service.processors import Attempt, processor, remote_kind
from tests.support.service import ACTOR, LOG_ID, RunningService, running_service
from tests.support.world import Hiccups

NOW = "2026-11-23T12:00:00.000000Z"
NONE = {"concurrency": None, "rate": None}
COMMANDS = pytest.mark.parametrize("command", ["pause", "resume"])


@processor("report", max_attempts=7, timeout=42)
async def report(_: dict, __: Attempt) -> None:
    """Never run here."""


@asynccontextmanager
async def serving(**options: Any):
    async with running_service(report, remote_kind("thumbnail"), **options) as service:
        yield service


async def listed(service: RunningService) -> dict[str, Any]:
    answer = await service.http.get("/kinds")
    assert answer.status_code == 200
    return {each["kind"]: each for each in answer.json()["kinds"]}


async def say(service: RunningService, command: str, kind: str = "report", **more: Any) -> Any:
    return await service.http.post(f"/kinds/{kind}/{command}", **more)


async def limit(service: RunningService, limits: Any, kind: str = "report") -> Any:
    return await service.http.put(f"/kinds/{kind}/limits", json=limits)


async def types(service: RunningService) -> list[str]:
    return [event.type for event in await service.log.read_stream("kind-report")]


async def test_all_kinds_are_listed_by_name_with_what_holds_for_each() -> None:
    async with serving() as service:
        kinds = await listed(service)
        assert list(kinds) == ["email", "report", "thumbnail"]
        assert kinds["report"] == {
            "kind": "report", "paused": None, "limits": NONE, "max_attempts": 7, "timeout_s": 42,
            "remote": False,
        }  # fmt: skip
        assert kinds["thumbnail"]["remote"] is True


async def test_a_pause_says_since_when_who_and_why_and_is_listed() -> None:
    async with serving() as service:
        answer = await say(service, "pause", json={"reason": "the provider is down"})
        assert answer.status_code == 200
        paused = {"at": NOW, "by": ACTOR, "cause": "operator", "reason": "the provider is down"}
        assert answer.json()["paused"] == paused
        assert (await listed(service))["report"] == answer.json()
        assert (await listed(service))["email"]["paused"] is None


async def test_a_resumed_kind_is_as_before() -> None:
    async with serving() as service:
        before = await listed(service)
        await say(service, "pause")
        answer = await say(service, "resume", json={"reason": "it is back"})
        assert (answer.status_code, answer.json()) == (200, before["report"])
        assert await listed(service) == before


@COMMANDS
async def test_to_say_it_twice_is_to_say_it_once(command: str) -> None:
    async with serving() as service:
        if command == "resume":
            await say(service, "pause")
        first, second = [await say(service, command) for _ in range(2)]
        assert (second.status_code, second.content) == (200, first.content)
        assert len(await types(service)) == (1 if command == "pause" else 2)


@pytest.mark.parametrize(
    "limits",
    [
        {"concurrency": 1, "rate": None},
        {"concurrency": 10_000, "rate": None},
        {"concurrency": None, "rate": {"count": 1, "per_s": 0.000001}},
        {"concurrency": 3, "rate": {"count": 1_000_000, "per_s": 30 * 86_400}},
    ],
)
async def test_limits_within_bounds_are_set_both_at_once(limits: Any) -> None:
    async with serving() as service:
        answer = await limit(service, limits)
        assert (answer.status_code, answer.json()["limits"]) == (200, limits)
        assert (await listed(service))["report"] == answer.json()
        assert (await limit(service, NONE)).json()["limits"] == NONE
        assert await types(service) == ["KindLimited", "KindLimited"]


async def test_the_same_limits_again_record_nothing() -> None:
    async with serving() as service:
        limits = {"concurrency": 3, "rate": {"count": 5, "per_s": 60}}
        first, second = [await limit(service, limits) for _ in range(2)]
        assert second.content == first.content
        await limit(service, {"concurrency": 3, "rate": {"count": 5, "per_s": 60.0}})
        assert await types(service) == ["KindLimited"]


@pytest.mark.parametrize(
    ("limits", "pointer"),
    [
        ({}, "#/concurrency"),
        ({"concurrency": 3}, "#/rate"),
        ({"rate": None}, "#/concurrency"),
        ({"concurrency": 0, "rate": None}, "#/concurrency"),
        ({"concurrency": 10_001, "rate": None}, "#/concurrency"),
        ({"concurrency": 1.5, "rate": None}, "#/concurrency"),
        ({"concurrency": None, "rate": 5}, "#/rate"),
        ({"concurrency": None, "rate": {"count": 5}}, "#/rate/per_s"),
        ({"concurrency": None, "rate": {"count": 0, "per_s": 1}}, "#/rate/count"),
        ({"concurrency": None, "rate": {"count": 1_000_001, "per_s": 1}}, "#/rate/count"),
        ({"concurrency": None, "rate": {"count": 1, "per_s": 0}}, "#/rate/per_s"),
        ({"concurrency": None, "rate": {"count": 1, "per_s": 30 * 86_400 + 1}}, "#/rate/per_s"),
        ({"concurrency": None, "rate": {"count": 1, "per_s": 1, "burst": 2}}, "#/rate/burst"),
        ({"concurrency": None, "rate": None, "pause": True}, "#/pause"),
        ([], "#"),
    ],
)
async def test_422_for_what_are_no_limits_and_nothing_is_recorded(
    limits: Any, pointer: str
) -> None:
    async with serving() as service:
        answer = await limit(service, limits)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert await types(service) == []


@COMMANDS
@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"reason": "x" * 501}, "#/reason"), ({"reason": 1}, "#/reason"), ({"why": "x"}, "#/why")],
)
async def test_422_for_what_is_no_reason(command: str, body: Any, pointer: str) -> None:
    async with serving() as service:
        answer = await say(service, command, json=body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
        assert await types(service) == []


async def test_limits_need_a_body_and_commands_need_none() -> None:
    async with serving() as service:
        headers = {"Content-Type": "application/json"}
        path = "/kinds/report/limits"
        assert (await service.http.put(path, headers=headers)).status_code == 400
        assert (await service.http.put(path, content=b"{}")).status_code == 415
        assert (await say(service, "pause")).status_code == 200


@pytest.mark.parametrize("kind", ["raport", "log", "Report", "x" * 5000, "%00"])
async def test_an_unknown_kind_is_404_and_makes_no_stream(kind: str) -> None:
    async with serving() as service:
        head = await service.log.head()
        answers = [
            await say(service, "pause", kind),
            await say(service, "resume", kind),
            await limit(service, NONE | {"concurrency": 1}, kind),
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert all(len(answer.json()["detail"]) < 150 for answer in answers)
        assert await service.log.head() == head


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/kinds?limit=5"),
        ("POST", "/kinds/report/pause?x=1"),
        ("POST", "/kinds/report/resume?x=1"),
        ("PUT", "/kinds/report/limits?x=1"),
    ],
)
async def test_a_query_is_refused(method: str, path: str) -> None:
    async with serving() as service:
        answer = await service.http.request(method, path)
        assert answer.status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/kinds", "GET, HEAD"),
        ("GET", "/kinds/report/pause", "POST"),
        ("POST", "/kinds/report/limits", "PUT"),
    ],
)
async def test_another_method_is_405(method: str, path: str, allowed: str) -> None:
    async with serving() as service:
        answer = await service.http.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("call", ["pause", "limits"])
async def test_503_when_it_cannot_be_recorded(call: str) -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    async with serving(store=store) as service:
        store.refuse = lambda _: NotWritten("no room")
        answer = (
            await say(service, "pause")
            if call == "pause"
            else await limit(service, {"concurrency": 1, "rate": None})
        )
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-written")


async def test_who_did_it_and_by_which_request_is_in_the_log() -> None:
    async with serving() as service:
        await say(service, "pause", headers={"X-Request-Id": "r-1"})
        [event] = await service.log.read_stream("kind-report")
        assert (event.meta["actor"], event.meta["request"]) == (ACTOR, "r-1")
