"""Kinds decided about by operators, and by the service itself when their settings are at fault.

Each decision is one event on the kind's own stream, however many take it at once, and a restart
remembers it. What a kind's events fold into is in `projections/test_kind`, how the board keeps to
it in `projections/test_board_kinds`, the calls over HTTP in `web/test_kinds`.
"""

import asyncio
from contextlib import asynccontextmanager

import httpx2
import pytest

from eventstore.errors import NotWritten, StoreFailed
from eventstore.event import NewEvent
from eventstore.memory import MemoryStore
from projections.job import Status
from projections.kind import Kind, stream_of
from service.claims import Claims, WorkerIdentity, claim_on
from service.commands import Ending, FencedError
from service.kinds import Kinds
from service.processors import Attempt, Misconfigured
from tests.service.desk import opened
from tests.service.test_rescue import Kept
from tests.support.wait import until
from tests.support.world import CLIENT, about, elapsed, script, seconds, takes, world

ADA = {"actor": "local:ada"}
RATE = {"count": 1, "per_s": 60.0}
LOGIN = Misconfigured("535 authentication failed", facts={"code": 535})


@asynccontextmanager
async def kinds_of(store=None, **options):
    async with opened(store, **options) as desk:
        yield Kinds(desk.log, desk.projector), desk


async def decide(kinds: Kinds, what: str) -> Kind:
    return await {
        "pause": lambda: kinds.pause("email", meta=ADA, reason="why"),
        "resume": lambda: kinds.resume("email", meta=ADA, reason="why"),
        "limit": lambda: kinds.limit("email", concurrency=3, rate=RATE, meta=ADA),
    }[what]()


STORY = ["limit", "pause", "resume"]
TYPES = {"limit": "KindLimited", "pause": "KindPaused", "resume": "KindResumed"}


@pytest.mark.parametrize("what", STORY)
async def test_to_say_again_what_holds_records_nothing(what):
    async with kinds_of() as (kinds, desk):
        if what == "resume":
            await decide(kinds, "pause")
        first = await decide(kinds, what)
        assert await decide(kinds, what) == first == kinds.get("email")
        assert (await desk.types("kind-email")).count(TYPES[what]) == 1


@pytest.mark.parametrize("what", ["resume", "no limits"])
async def test_a_kind_that_nobody_decided_about_has_no_stream(what):
    async with kinds_of() as (kinds, desk):
        if what == "resume":
            await kinds.resume("email", meta=ADA, reason=None)
        else:
            await kinds.limit("email", concurrency=None, rate=None, meta=ADA)
        assert await desk.types("kind-email") == []
        assert kinds.get("email") == Kind("email")


@pytest.mark.parametrize("what", STORY)
async def test_who_and_why_are_in_the_log(what):
    async with kinds_of() as (kinds, desk):
        if what == "resume":
            await decide(kinds, "pause")
        await decide(kinds, what)
        [*_, event] = await desk.log.read_stream("kind-email")
    assert (event.type, event.meta["actor"]) == (TYPES[what], "local:ada")
    assert event.private == (None if what == "limit" else {"reason": "why"})


async def test_without_a_reason_none_is_kept():
    async with kinds_of() as (kinds, desk):
        await kinds.pause("email", meta=ADA, reason="")
        await kinds.resume("email", meta=ADA, reason=None)
        assert [event.private for event in await desk.log.read_stream("kind-email")] == [None, None]


@pytest.mark.parametrize("what", STORY)
async def test_many_who_say_it_at_once_make_one_event(what):
    async with kinds_of() as (kinds, desk):
        if what == "resume":
            await decide(kinds, "pause")
        found = await asyncio.gather(*(decide(kinds, what) for _ in range(20)))
        assert set(map(str, found)) == {str(kinds.get("email"))}
        assert (await desk.types("kind-email")).count(TYPES[what]) == 1


async def test_two_processes_that_pause_at_once_make_one_event():
    store = MemoryStore(log_id="1f" * 16)
    async with kinds_of(store) as (left, desk), kinds_of(store, seed=2) as (right, _):
        await asyncio.gather(decide(left, "pause"), decide(right, "pause"))
        assert await desk.types("kind-email") == ["KindPaused"]
        assert left.get("email") == right.get("email")


async def test_who_repeats_what_another_process_decided_knows_of_it_too():
    """Or his next look at the kinds would deny what he was just told."""
    store = MemoryStore(log_id="1f" * 16)
    async with kinds_of(store) as (left, _), kinds_of(store, seed=2) as (right, _):
        await decide(left, "pause")
        await decide(right, "pause")
        assert right.get("email").pause is not None


async def test_nobody_is_told_that_a_kind_is_paused_before_the_board_here_knows():
    store = MemoryStore(log_id="1f" * 16)
    async with kinds_of(store) as (left, _), kinds_of(store, stale_at=0, seed=2) as (right, behind):
        await decide(left, "pause")
        repeating = asyncio.create_task(decide(right, "pause"))
        await asyncio.sleep(1)
        assert not repeating.done()
        behind.projector.apply(await behind.log.read())
        assert await repeating == right.get("email")


async def test_what_was_decided_survives_a_restart_and_so_does_the_pace():
    store = Kept(log_id="1f" * 16)
    async with world(script("done"), store=store) as w:
        await w.service.kinds.limit("work", concurrency=3, rate=RATE, meta=ADA)
        await w.ended(await w.post())
        await w.service.kinds.pause("report", meta=ADA, reason=None)
        await asyncio.sleep(10)
    async with world(script("done"), store=store) as w:
        kind = w.service.kinds.get("work")
        assert (kind.concurrency, kind.rate) == (3, RATE)
        assert w.service.kinds.get("report").pause.by == "local:ada"
        job = await w.ended(await w.post())
    assert seconds(job.finished_at) == 60


async def test_an_unknown_event_on_its_stream_is_in_nobodys_way():
    async with kinds_of() as (kinds, desk):
        await desk.write(
            stream_of("email"), NewEvent("KindAdmired", "2026-11-23T12:00:00.000000Z", {})
        )
        paused = await decide(kinds, "pause")
        assert (paused.rev, kinds.get("email")) == (2, paused)


async def test_a_decision_that_could_not_be_written_is_no_decision():
    async with world(script("done")) as w:
        w.store.refuse = about("KindPaused", NotWritten("no room"))
        with pytest.raises(NotWritten):
            await w.service.kinds.pause("work", meta=ADA, reason=None)
        assert w.service.kinds.get("work").pause is None
        w.store.refuse = about("KindPaused", StoreFailed("EIO"))
        with pytest.raises(StoreFailed):
            await w.service.kinds.pause("work", meta=ADA, reason=None)


# the worker keeps to it


async def test_a_paused_kind_starts_nothing_and_goes_on_when_it_is_resumed():
    async with world(script(takes(5, "done"))) as w:
        running = await w.post()
        await asyncio.sleep(1)
        await w.service.kinds.pause("work", meta=ADA, reason=None)
        waiting = await w.post()
        assert (await w.ended(running)).result == "done", "what runs goes on"
        await asyncio.sleep(100)
        assert await w.types(waiting) == ["JobCreated"]
        await w.service.kinds.resume("work", meta=ADA, reason=None)
        job = await w.ended(waiting)
    assert (seconds(job.started_at), job.waited_s) == (105, 104), "at once"


async def test_no_more_run_at_a_time_than_are_allowed():
    now_running = most = 0

    async def counted(_: Attempt) -> None:
        nonlocal now_running, most
        now_running += 1
        most = max(most, now_running)
        await asyncio.sleep(1)
        now_running -= 1

    async with world(script(counted), concurrency=100) as w:
        await w.service.kinds.limit("work", concurrency=3, rate=None, meta=ADA)
        jobs = [await w.post() for _ in range(10)]
        ends = [seconds((await w.ended(job_id)).finished_at) for job_id in jobs]
    assert (most, ends) == (3, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4])


async def test_no_more_start_in_a_time_than_are_allowed_and_none_later_than_it_may():
    async with world(script("done")) as w:
        await w.service.kinds.limit(
            "work", concurrency=None, rate={"count": 3, "per_s": 10.0}, meta=ADA
        )
        jobs = [await w.post() for _ in range(5)]
        starts = [seconds((await w.ended(job_id)).started_at) for job_id in jobs]
    third = 3.333_334
    assert starts == pytest.approx([0, third, 2 * third, 3 * third, 4 * third], abs=1e-9)


async def test_a_limit_that_is_lifted_lets_all_start_at_once():
    async with world(script("done")) as w:
        await w.service.kinds.limit("work", concurrency=None, rate=RATE, meta=ADA)
        jobs = [await w.post() for _ in range(5)]
        await asyncio.sleep(10)
        await w.service.kinds.limit("work", concurrency=None, rate=None, meta=ADA)
        starts = [seconds((await w.ended(job_id)).started_at) for job_id in jobs]
    assert starts == [0, 10, 10, 10, 10]


async def test_the_worker_does_not_spin_for_due_work_that_is_not_its_own(monkeypatch):
    looks = 0
    async with world(script("done")) as w:
        await w.service.kinds.limit("strange", concurrency=None, rate=RATE, meta=ADA)
        await w.post(kind="strange")
        take = w.worker._board.take

        def counted(*args, **options):
            nonlocal looks
            looks += 1
            return take(*args, **options)

        monkeypatch.setattr(w.worker._board, "take", counted)
        await asyncio.sleep(60)
    assert looks <= 65


# settings at fault


async def test_a_hundred_attempts_with_wrong_settings_pause_their_kind_once_and_count_nothing():
    wrong = True

    async def login(_: Attempt) -> str:
        await asyncio.sleep(0.5)
        if wrong:
            raise LOGIN
        return "sent"

    async with world(script(login)) as w:
        jobs = [await w.post(max_attempts=1) for _ in range(250)]
        await asyncio.sleep(600)
        events = await w.log.read_stream("kind-work")
        assert [event.type for event in events] == ["KindPaused"]
        assert events[0].data == {"cause": "config"}
        assert events[0].private == {"reason": "535 authentication failed"}
        assert events[0].meta["actor"].startswith("worker:w-")
        held = [await w.get(job_id) for job_id in jobs]
        assert {(job.status, job.attempts, job.crashes) for job in held} == {(Status.PENDING, 0, 0)}
        assert sum(job.attempt for job in held) == 100, "one each for the slots, and no more"
        wrong = False
        await w.service.kinds.resume("work", meta=ADA, reason="new password")
        done = [await w.ended(job_id) for job_id in jobs]
    assert {(job.status, job.attempts) for job in done} == {(Status.COMPLETED, 1)}


async def test_the_pause_is_recorded_before_the_failure_so_that_no_attempt_comes_between():
    async with world(script(LOGIN)) as w:
        job_id = await w.post()
        failed = await until(w.log, lambda event: event.type == "AttemptFailed")
        [paused] = await w.log.read_stream("kind-work")
        await asyncio.sleep(3600)
        job = await w.get(job_id)
    assert paused.pos < failed.pos
    assert failed.data["reason"] == "config"
    assert failed.data["facts"] == {"code": 535}
    assert (job.attempt, job.attempts) == (1, 0)


async def test_a_kind_that_is_resumed_too_early_is_paused_again():
    async with world(script(LOGIN, LOGIN, "sent")) as w:
        job_id = await w.post(max_attempts=1)
        for _ in range(2):
            await asyncio.sleep(60)
            await w.service.kinds.resume("work", meta=ADA, reason=None)
        job = await w.ended(job_id)
        types = [event.type for event in await w.log.read_stream("kind-work")]
    assert types == ["KindPaused", "KindResumed"] * 2
    assert (job.attempt, job.attempts) == (3, 1)


@pytest.mark.parametrize("words", ["", "x" * 100_000, "\ud800\x1b[31m"])
async def test_whatever_the_error_says_pauses_the_kind_and_fails_no_job(words):
    async with world(script(Misconfigured(words), "sent")) as w:
        job_id = await w.post(max_attempts=1)
        await asyncio.sleep(60)
        [event] = await w.log.read_stream("kind-work")
        assert len((event.private or {"reason": ""})["reason"].encode()) <= 8192
        assert (await w.get(job_id)).status is Status.PENDING
        await w.service.kinds.resume("work", meta=ADA, reason=None)
        assert (await w.ended(job_id)).result == "sent"


async def test_a_pause_that_cannot_be_written_yet_is_written_when_there_is_room():
    async with world(script(LOGIN)) as w:
        w.store.refuse = lambda append: (
            NotWritten("no room")
            if append.events[0].type == "KindPaused" and elapsed() < 30
            else None
        )
        job_id = await w.post()
        await until(w.log, lambda event: event.type == "AttemptFailed")
        assert elapsed() == 30
        assert w.service.kinds.get("work").pause is not None
        assert (await w.get(job_id)).attempt == 1


async def test_a_job_whose_cancellation_was_requested_is_cancelled_and_its_kind_paused():
    async def login(_: Attempt) -> None:
        raise LOGIN

    async with world(script(login)) as w:
        w.store.refuse = lambda append: (
            NotWritten("no room")
            if append.events[0].type in ("KindPaused", "AttemptFailed") and elapsed() < 5
            else None
        )
        job_id = await w.post()
        await asyncio.sleep(1)
        await w.jobs.cancel(job_id, meta=CLIENT)
        assert (await w.ended(job_id)).status is Status.CANCELLED
        assert w.service.kinds.get("work").pause is not None


async def test_who_has_lost_his_claim_pauses_nothing():
    async with world(script("done"), work=False) as w:
        job_id = await w.post()
        me = WorkerIdentity("w", None, 30)
        claims = Claims(w.jobs, w.service.kinds, me)
        lost = await claims.claim(await w.get(job_id))
        await claims.fail(lost, Ending("released", "Released"), duration_s=1, retry_after_s=None)
        now = await claims.claim(await w.get(job_id))
        late = claim_on(await w.get(job_id), lost.token, 0)
        with pytest.raises(FencedError):
            await claims.fail(late, Ending("config", "Login"), duration_s=1, retry_after_s=None)
        assert w.service.kinds.get("work").pause is None
        await claims.fail(now, Ending("config", "Login"), duration_s=1, retry_after_s=None)
        assert w.service.kinds.get("work").pause.cause == "config"


# readiness


async def ready(w) -> tuple[int, dict]:
    transport = httpx2.ASGITransport(app=w.service.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.get("/readyz")
        return answer.status_code, answer.json()


async def test_a_kind_whose_settings_are_at_fault_makes_the_service_unready_until_it_is_resumed():
    async with world(script(LOGIN, "sent")) as w:
        job_id = await w.post()
        await asyncio.sleep(60)
        status, told = await ready(w)
        assert status == 503
        assert "kind work: paused since 2026-11-23T12:00:00" in told["detail"]
        assert "its settings are at fault" in told["detail"]
        assert "resume" in told["detail"]
        assert "535" not in told["detail"], "words that are not ours are for who may read"
        await w.service.kinds.resume("work", meta=ADA, reason=None)
        await w.ended(job_id)
        assert (await ready(w))[0] == 200


async def test_a_kind_that_an_operator_paused_is_as_it_should_be():
    async with world(script("done")) as w:
        await w.service.kinds.pause("work", meta=ADA, reason=None)
        assert (await ready(w))[0] == 200


async def test_a_kind_that_is_no_longer_served_here_does_not_make_the_service_unready():
    store = Kept(log_id="1f" * 16)
    async with world(script(LOGIN), store=store) as w:
        await w.post()
        await asyncio.sleep(1)
        assert (await ready(w))[0] == 503
    async with world(script("done", kind="other"), store=store) as w:
        assert w.service.kinds.get("work").pause is not None
        assert (await ready(w))[0] == 200
