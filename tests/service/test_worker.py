"""The worker: when it takes which job, how many at a time, and how it stops.

Time is virtual and exact, so "at once" means in the same microsecond and "within a second" is
asserted as such. What one attempt records is in `test_attempt`, what it does when its lease is in
doubt in `test_lease`, how work is saved from dead workers in `test_rescue`.
"""

import asyncio
import sqlite3
from collections import Counter

import pytest

from eventstore import clock
from eventstore.errors import NotWritten, OutcomeUnknown, StoreFailed
from eventstore.memory import MemoryStore
from eventstore.timestamp import later, seconds_between
from projections.board import JobBoard
from projections.job import Status
from service.claims import Claims
from service.processors import Attempt, RetryAfter
from tests.support.wait import until
from tests.support.world import about, elapsed, script, seconds, takes, world


async def ends(w, jobs) -> list[float]:
    """When each of these jobs ended, in seconds since time began."""
    return [seconds((await w.ended(job_id)).finished_at) for job_id in jobs]


async def starts(w, job_id) -> list[float]:
    """When each attempt of a job began, in seconds since time began."""
    return [seconds(event.time) for event in await w.events(job_id, "AttemptStarted")]


async def test_a_new_job_is_started_at_once():
    async with world(script("done")) as w:
        await asyncio.sleep(0.3)
        assert await ends(w, [await w.post()]) == [0.3]


async def test_as_many_attempts_run_as_there_are_slots_and_not_one_more():
    now_running = most = 0

    async def counted(_: Attempt) -> None:
        nonlocal now_running, most
        now_running += 1
        most = max(most, now_running)
        await asyncio.sleep(1)
        now_running -= 1

    async with world(script(counted), concurrency=10) as w:
        jobs = [await w.post() for _ in range(25)]
        assert await ends(w, jobs) == [1] * 10 + [2] * 10 + [3] * 5
    assert most == 10


async def test_a_slot_is_used_again_the_moment_it_is_free():
    async with world(script(takes(0.25)), concurrency=1) as w:
        jobs = [await w.post() for _ in range(3)]
        assert await ends(w, jobs) == [0.25, 0.5, 0.75]


async def test_higher_priority_goes_first_then_the_longest_due_then_the_oldest():
    order = []

    async def noted(attempt: Attempt) -> None:
        order.append(attempt.job_id)
        await asyncio.sleep(1)

    async with world(script(noted), concurrency=1) as w:
        first = await w.post()
        await asyncio.sleep(0.1)
        late = await w.post(after_s=0.5)
        old = await w.post(after_s=0.4)
        twin = await w.post(after_s=0.4)
        urgent = await w.post(after_s=0.8, priority=1)
        await ends(w, [late, old, twin, urgent])
    assert order == [first, urgent, old, twin, late]


@pytest.mark.parametrize("after_s", [0.000_001, 0.999_999, 1, 1.000_001, 3, 400.123_456])
async def test_a_job_begins_at_the_microsecond_it_is_due(after_s):
    async with world(script("done")) as w:
        assert await ends(w, [await w.post(after_s=after_s)]) == [after_s]


async def test_a_job_that_is_due_while_all_slots_are_taken_begins_with_the_next_free_one():
    async with world(script(takes(10)), concurrency=1) as w:
        jobs = [await w.post(), await w.post(after_s=3)]
        assert await ends(w, jobs) == [10, 20]


async def test_due_work_is_found_within_a_second_when_the_clock_is_set_forward(monkeypatch):
    right = clock.now
    async with world(script("done")) as w:
        job_id = await w.post(after_s=3600)
        await asyncio.sleep(10.3)
        before = clock.monotonic()
        monkeypatch.setattr(clock, "now", lambda: later(right(), 3600))
        await w.ended(job_id)
        assert clock.monotonic() - before <= 1


async def test_due_work_is_found_when_the_frozen_clock_is_ticked():
    async with world(script("done")) as w:
        job_id = await w.post(after_s=3600)
        frozen = asyncio.get_running_loop()._clock
        frozen.tick(3600)
        [ended] = await ends(w, [job_id])
    assert 3600 <= ended <= 3601


async def test_a_job_of_an_unknown_kind_waits_and_is_in_nobodys_way():
    async with world(script("done"), concurrency=1) as w:
        strange = await w.post(kind="strange", priority=9)
        await w.ended(await w.post())
        await asyncio.sleep(60)
        assert (await w.get(strange)).status is Status.PENDING
        assert await w.types(strange) == ["JobCreated"]


async def test_claims_made_together_share_a_commit_and_so_do_their_outcomes():
    async with world(script(takes(1))) as w:
        await asyncio.gather(*(w.post() for _ in range(50)))
        await until(w.log, lambda event: event.type == "JobCompleted")
        written = Counter(tuple(commit) for commit in w.store.commits)
    assert written[("JobCreated",) * 50] == 1
    assert written[("AttemptStarted",) * 50] == 1
    assert written[("JobCompleted",) * 50] == 1


async def test_nothing_is_claimed_while_room_is_short_and_work_goes_on_once_there_is_some():
    free = 1000
    async with world(script("done"), min_free_bytes=1000) as w:
        w.worker._admission._free_bytes = lambda: free
        await w.ended(await w.post())
        free = 999
        await asyncio.sleep(1)
        job_id = await w.post()
        await asyncio.sleep(60)
        assert await w.types(job_id) == ["JobCreated"]
        assert w.worker.trouble() is None, "it still looks"
        free, again_at = 1000, elapsed()
        [ended] = await ends(w, [job_id])
        assert ended - again_at <= 1


async def test_claims_that_find_no_room_are_made_again_and_not_in_a_rush():
    tries = 0

    def full(append):
        nonlocal tries
        if append.events[0].type != "AttemptStarted" or elapsed() >= 60:
            return None
        tries += 1
        return NotWritten("no room")

    async with world(script("done")) as w:
        w.store.refuse = full
        [ended] = await ends(w, [await w.post()])
    assert 60 <= ended <= 62
    assert 20 <= tries <= 60


async def test_a_job_whose_claim_met_a_fault_of_ours_is_taken_again(monkeypatch):
    faults = iter([ZeroDivisionError("ours")])
    claim_all = Claims.claim_all

    async def faulty(claims, jobs):
        for fault in faults:
            raise fault
        return await claim_all(claims, jobs)

    monkeypatch.setattr(Claims, "claim_all", faulty)
    async with world(script("done")) as w:
        job = await w.ended(await w.post())
    assert job.status is Status.COMPLETED
    assert elapsed() < 1.1


async def test_a_store_that_has_failed_is_not_asked_in_a_rush():
    tries = 0

    def failed(append):
        nonlocal tries
        tries += append.events[0].type == "AttemptStarted"
        return StoreFailed("EIO") if append.events[0].type == "AttemptStarted" else None

    async with world(script("done")) as w:
        w.store.refuse = failed
        await w.post()
        await asyncio.sleep(60)
    assert 30 <= tries <= 61


async def test_the_next_attempt_may_begin_before_the_last_has_heard_that_it_ended():
    """The board sees what is in the log, the failed attempt waits until the log is sure of it."""
    unsure = [OutcomeUnknown("no answer")]
    slots_taken: list[int] = []

    async def second(_: Attempt) -> None:
        await asyncio.sleep(1)
        slots_taken.append(w.worker.running)

    async with world(script(RetryAfter(0), second), concurrency=2) as w:
        w.store.lose = lambda append: (
            unsure.pop() if unsure and append.events[0].type == "AttemptFailed" else None
        )
        job_id = await w.post()
        await w.ended(job_id)
        await asyncio.sleep(1)
        assert await starts(w, job_id) == [0, 0]
        assert (slots_taken, w.worker.running) == ([1], 0)


async def test_a_slot_that_a_lost_lease_set_free_is_used_at_once():
    async with world(script(takes(3600)), script("done", kind="other"), concurrency=1) as w:
        w.store.refuse = about("LeaseRenewed", OutcomeUnknown("no answer"))
        await w.post(timeout_s=3600)
        assert await ends(w, [await w.post(kind="other")]) == [30]


async def test_a_drain_lets_attempts_finish_and_takes_nothing_more():
    async with world(script(takes(9.999_999, "done")), concurrency=1, drain_s=10) as w:
        running, waiting = await w.post(), await w.post()
        await until(w.log, lambda event: event.type == "AttemptStarted")
        await w.worker.drain(10)
        assert (await w.get(running)).status is Status.COMPLETED
        assert await w.types(waiting) == ["JobCreated"]


async def test_a_drain_gives_back_what_does_not_finish_in_time_and_counts_nothing():
    async with world(script(takes(10.000_001), "done")) as w:
        job_id = await w.post(max_attempts=1)
        await until(w.log, lambda event: event.type == "AttemptStarted")
        await w.worker.drain(10)
        job = await w.get(job_id)
        [released] = await w.events(job_id, "AttemptFailed")
    assert (job.status, job.attempt, job.attempts, job.crashes) == (Status.PENDING, 1, 0, 0)
    assert (released.data["reason"], seconds(released.time)) == ("released", 10)
    assert released.data["retry_at"] == released.time, "due again at once"


async def test_an_attempt_is_given_back_too_when_its_processor_answers_the_stop_with_an_error():
    async def breaks(_: Attempt) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ConnectionError("closed under me") from None

    async with world(script(breaks)) as w:
        job_id = await w.post(max_attempts=1)
        await until(w.log, lambda event: event.type == "AttemptStarted")
        await w.worker.drain(10)
        [failed] = await w.events(job_id, "AttemptFailed")
    assert failed.data["reason"] == "released"


async def test_an_attempt_that_is_being_claimed_when_the_grace_ends_never_runs():
    ran = []

    async def noted(attempt: Attempt) -> None:
        ran.append(attempt.number)

    async with world(script(noted)) as w:
        job_id = await w.post()
        w.store.latency_s = 2
        await asyncio.sleep(0.1)
        assert w.worker.running == 1
        await w.worker.drain(1)
        w.store.latency_s = 0
        assert (await w.types(job_id))[1:] == ["AttemptStarted", "AttemptFailed"]
        assert (await w.get(job_id)).attempts == 0
    assert ran == []


async def test_a_processor_deaf_to_cancellation_is_left_behind():
    async def deaf(_: Attempt) -> str:
        until_then = elapsed() + 100
        while elapsed() < until_then:
            try:
                await asyncio.sleep(until_then - elapsed())
            except asyncio.CancelledError:
                continue
        return "too late"

    store = MemoryStore(log_id="1f" * 16)
    async with world(script(deaf), store=store, drain_s=10) as w:
        await w.post()
        await until(w.log, lambda event: event.type == "AttemptStarted")
    assert elapsed() == 15
    await asyncio.sleep(200)
    assert store._events[-1].type == "LogSealed"


async def test_a_drain_without_work_ends_at_once():
    async with world(script("done")) as w:
        await w.ended(await w.post())
        await w.worker.drain(10)
    assert elapsed() == 0


async def test_trouble_is_told_when_the_worker_has_not_looked_for_five_seconds():
    async with world(script("done")) as w:
        assert w.worker.trouble() is None
        await asyncio.sleep(100)
        assert w.worker.trouble() is None
        await w.worker.drain(0)
        await asyncio.sleep(6.1)
        assert "has not looked for work" in w.worker.trouble()


async def test_two_workers_over_one_log_run_each_job_once():
    ran = Counter()

    async def counted(attempt: Attempt) -> None:
        ran[attempt.job_id] += 1
        await asyncio.sleep(1)

    work = script(counted)
    async with world(work, concurrency=10) as w, w.another_worker(work, concurrency=10):
        jobs = await asyncio.gather(*(w.post() for _ in range(60)))
        await ends(w, jobs)
        workers = Counter([(await w.get(job_id)).attempt_log[0].worker for job_id in jobs])
    assert ran == dict.fromkeys(jobs, 1)
    assert len(workers) == 2, "both worked"
    assert min(workers.values()) >= 10


async def test_waited_and_ran_are_told_apart():
    async with world(script(takes(2)), concurrency=1) as w:
        await w.post()
        job = await w.ended(await w.post())
    assert (job.waited_s, job.ran_s) == (2, 2)
    assert seconds_between(job.created_at, job.started_at) == 2


async def test_jobs_that_cannot_be_read_are_tried_again_in_a_second(monkeypatch, caplog):
    broken = [sqlite3.OperationalError("disk I/O error")]
    take = JobBoard.take

    def taken(board, *args, **more):
        if broken:
            raise broken.pop()
        return take(board, *args, **more)

    monkeypatch.setattr(JobBoard, "take", taken)
    async with world(script("done")) as w:
        [ended] = await ends(w, [await w.post()])
    assert ended <= 1
    assert [record.message for record in caplog.records] == [
        "due jobs could not be read (will be tried again): disk I/O error"
    ]
