"""`POST /actions`: one command for all jobs that a filter finds, counted, and recorded one by one.

What a command may do to a single job is `test_commands`' matter.
"""

from collections.abc import Callable
from typing import Any

import pytest

from eventstore import clock, pace
from eventstore.errors import NotWritten
from eventstore.event import Append
from eventstore.leisure import Rest
from eventstore.memory import MemoryStore
from eventstore.timestamp import later
from service import actions as actions_module
from service.commands import Ending
from service.processors import Attempt, processor
from tests.support.service import ACTOR, EMAIL, LOG_ID, RunningService, running_service
from tests.support.turns import counting_turns
from tests.support.world import Hiccups

GIVEN_UP = Ending("error", "Permanent", "no such mailbox", permanent=True)


async def act(service: RunningService, action: str, filter_: Any, **more: Any) -> Any:
    """The counts of a call that succeeds."""
    asked = {"action": action, "filter": filter_, **more}
    answer = await service.http.post("/actions", json=asked)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert (report.pop("action"), report.pop("dry_run")) == (action, more.get("dry_run", False))
    return report


def counts(matched: int, changed: int, *, truncated: bool = False) -> dict[str, Any]:
    return {
        "matched": matched, "changed": changed, "refused": matched - changed,
        "truncated": truncated,
    }  # fmt: skip


async def statuses(service: RunningService, *ids: str) -> list[str]:
    return [(await service.http.get(f"/jobs/{job_id}")).json()["status"] for job_id in ids]


async def test_cancels_what_the_filter_finds_and_leaves_the_rest() -> None:
    async with running_service() as service:
        first, second, done = [await service.post() for _ in range(3)]
        await service.complete(done)
        assert await act(service, "cancel", {"status": "pending"}) == counts(2, 2)
        assert await statuses(service, first, second, done) == ["cancelled"] * 2 + ["completed"]


async def test_each_job_has_an_event_of_its_own_with_reason_and_actor() -> None:
    async with running_service() as service:
        ids = [await service.post() for _ in range(3)]
        await act(service, "cancel", {"kind": "email"}, reason="a wrong list")
        events = [e for e in await service.log.read() if e.type == "JobCancelled"]
        assert {e.stream for e in events} == set(ids)
        assert {(e.meta["actor"], e.private["reason"]) for e in events if e.private} == {
            (ACTOR, "a wrong list")
        }


async def test_retries_what_failed() -> None:
    async with running_service() as service:
        failed, pending = await service.post(), await service.post()
        await service.fail(failed, GIVEN_UP)
        assert await act(service, "retry", {"status": "failed"}) == counts(1, 1)
        assert await statuses(service, failed, pending) == ["pending", "pending"]
        assert await act(service, "retry", {"status": "failed"}) == counts(0, 0)


async def test_what_the_state_does_not_permit_is_counted_as_refused() -> None:
    async with running_service() as service:
        first, done = await service.post(), await service.post()
        await service.complete(done)
        assert await act(service, "cancel", {"kind": "email"}) == counts(2, 1)
        assert await statuses(service, first, done) == ["cancelled", "completed"]
        assert await act(service, "cancel", {"kind": "email"}) == counts(2, 0), "nothing is left"


async def test_a_dry_run_counts_the_same_and_records_nothing() -> None:
    async with running_service() as service:
        first, done = await service.post(), await service.post()
        await service.complete(done)
        head = await service.log.head()
        assert await act(service, "cancel", {"kind": "email"}, dry_run=True) == counts(2, 1)
        assert await act(service, "retry", {"kind": "email"}, dry_run=True) == counts(2, 0)
        assert await service.log.head() == head
        assert await statuses(service, first, done) == ["pending", "completed"]


async def test_a_job_that_moves_in_between_is_refused_and_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_service() as service:
        first, second = await service.post(), await service.post()
        page = service.jobs.page

        async def page_then_start(*args: Any, **more: Any) -> Any:
            found = await page(*args, **more)
            if found:
                await service.fail(second, Ending("error", "Error", "busy"))
            return found

        monkeypatch.setattr(service.jobs, "page", page_then_start)
        assert await act(service, "cancel", {"status": "pending"}) == counts(2, 1)
        assert await statuses(service, first, second) == ["cancelled", "pending"]


@processor("report")
async def report(_: int, __: Attempt) -> None:
    """Never run here."""


async def test_words_find_the_jobs_that_have_them_all() -> None:
    async with running_service() as service:
        ada = await service.post()
        other = await service.http.post("/jobs/email", json=EMAIL | {"to": "bob@example.com"})
        done = await act(service, "cancel", {"q": "ada@exam hell"})
        assert (done["matched"], done["changed"]) == (1, 1)
        assert (await service.http.get(f"/jobs/{ada}")).json()["status"] == "cancelled"
        path = f"/jobs/{other.json()['id']}"
        assert (await service.http.get(path)).json()["status"] == "pending"


async def test_the_filter_is_that_of_the_list() -> None:
    async with running_service(report) as service:
        answer = await service.http.post("/jobs/report", json=5)
        other = answer.json()["id"]
        old = await service.post()
        born = clock.now()
        await service.http.get(f"/jobs/{old}", headers={"Prefer": "wait=10"})
        new = await service.post()
        assert await act(service, "cancel", {"created_after": later(born, 5)}) == counts(1, 1)
        assert await statuses(service, other, old, new) == ["pending", "pending", "cancelled"]
        before = {"created_before": later(born, 5), "kind": "report"}
        assert await act(service, "cancel", before) == counts(1, 1)
        assert await statuses(service, other, old, new) == ["cancelled", "pending", "cancelled"]


@pytest.mark.parametrize(("off_s", "found"), [(-0.000001, 1), (0, 0), (0.000001, 0)])
async def test_created_after_leaves_out_the_instant_itself(off_s: float, found: int) -> None:
    async with running_service() as service:
        await service.post()
        after = {"created_after": later(clock.now(), off_s)}
        assert (await act(service, "cancel", after))["matched"] == found


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_so_many_jobs_a_call_and_the_rest_by_another(
    more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions_module, "JOBS_MAX", 6)
    monkeypatch.setattr(actions_module, "SLICE_JOBS", 2)
    async with running_service() as service:
        ids = [await service.post() for _ in range(6 + more)]
        first = await act(service, "cancel", {"status": "pending"})
        assert first == counts(min(6, 6 + more), min(6, 6 + more), truncated=more == 1)
        if more == 1:
            assert await act(service, "cancel", {"status": "pending"}) == counts(1, 1)
        assert await statuses(service, *ids) == ["cancelled"] * len(ids)


async def test_commands_share_commits() -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    async with running_service(store=store) as service:
        await service.http.post("/jobs/email/batch", json=[EMAIL] * 250)
        store.commits.clear()
        assert await act(service, "cancel", {"kind": "email"}) == counts(250, 250)
        assert [len(types) for types in store.commits] == [100, 100, 50]


async def test_others_have_turns_between_the_jobs_of_a_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "SLICE_S", 0)
    async with running_service() as service:
        await service.http.post("/jobs/email/batch", json=[EMAIL] * 100)
        async with counting_turns() as turns:
            assert await act(service, "cancel", {"kind": "email"}) == counts(100, 100)
            assert turns.taken >= 2 * 100, "when they are made ready, and when they are handed over"


def nothing_after(number: int) -> Callable[[Append], NotWritten | None]:
    left = number

    def refuse(_: Append) -> NotWritten | None:
        nonlocal left
        left -= 1
        return NotWritten("full") if left < 0 else None

    return refuse


@pytest.mark.parametrize(
    ("written", "problem"), [(0, "not-written"), (1, "outcome-unknown"), (2, "outcome-unknown")]
)
async def test_a_log_that_cannot_be_written_ends_it_and_what_was_done_is_told(
    written: int, problem: str
) -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    async with running_service(store=store) as service:
        for _ in range(3):
            await service.post()
        store.refuse = nothing_after(written)
        asked = {"action": "cancel", "filter": {"status": "pending"}}
        answer = await service.http.post("/actions", json=asked)
        assert answer.status_code == 503
        assert answer.json()["type"] == f"/problems/{problem}"
        if written:
            assert answer.json()["detail"].startswith(f"{written} jobs are changed")
        store.refuse = lambda _: None
        assert await act(service, "cancel", {"status": "pending"}) == counts(*[3 - written] * 2)


@pytest.mark.parametrize(
    ("flushes", "problem", "changed"), [(0, "not-reached", 0), (1, "outcome-unknown", 2)]
)
async def test_a_table_that_cannot_be_written_ends_it_and_what_was_done_is_told(
    flushes: int, problem: str, changed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions_module, "SLICE_JOBS", 2)
    async with running_service() as service:
        for _ in range(3):
            await service.post()
        flush, left = service.projector._table.flush, iter(range(flushes))

        def filling(checkpoint: int, rest: Rest) -> None:
            if next(left, None) is None:
                raise OSError(28, "disk is full")
            flush(checkpoint, rest)

        monkeypatch.setattr(service.projector._table, "flush", filling)
        asked = {"action": "cancel", "filter": {"kind": "email"}}
        answer = await service.http.post("/actions", json=asked)
        assert answer.status_code == 503
        assert answer.json()["type"] == f"/problems/{problem}"
        assert answer.json()["detail"].startswith(f"{changed} jobs are changed") is (changed > 0)
        monkeypatch.undo()
        assert await act(service, "cancel", {"status": "pending"}) == counts(*[3 - changed] * 2)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"filter": {}}, "#/filter"),
        ({"filter": None}, "#/filter"),
        ({"filter": {"colour": "red"}}, "#/filter/colour"),
        ({"filter": {"status": "asleep"}}, "#/filter/status"),
        ({"filter": {"status": None}}, "#/filter/status"),
        ({"filter": {"kind": "E-Mail"}}, "#/filter/kind"),
        ({"filter": {"q": " \t"}}, "#/filter/q"),
        ({"filter": {"q": "x" * 201}}, "#/filter/q"),
        ({"filter": {"created_after": "2026-12-01T08:00:00"}}, "#/filter/created_after"),
        ({"filter": {"created_before": "tomorrow"}}, "#/filter/created_before"),
        ({"filter": {"created_before": 5}}, "#/filter/created_before"),
        (
            {"filter": {"created_after": "0001-01-01T00:00:00+02:00"}},
            "#/filter/created_after",
        ),
        ({"action": "delete"}, "#/action"),
        ({"dry_run": "yes"}, "#/dry_run"),
        ({"reason": "x" * 501}, "#/reason"),
        ({"limit": 5}, "#/limit"),
    ],
)
async def test_422_for_what_makes_no_sense_and_nothing_is_done(changes: Any, pointer: str) -> None:
    async with running_service() as service:
        await service.post()
        head = await service.log.head()
        asked = {"action": "cancel", "filter": {"status": "pending"}, **changes}
        answer = await service.http.post("/actions", json=asked)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert await service.log.head() == head


@pytest.mark.parametrize("missing", ["action", "filter"])
async def test_422_for_a_call_that_says_too_little(missing: str) -> None:
    async with running_service() as service:
        asked = {"action": "cancel", "filter": {"status": "pending"}}
        del asked[missing]
        answer = await service.http.post("/actions", json=asked)
        assert answer.json()["errors"][0]["pointer"] == f"#/{missing}"
