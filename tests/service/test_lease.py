"""Leases and fences: what an attempt does when it cannot be sure that the job is still its own.

Owner and observer count on clocks of their own, so each instant is tried on both sides: the owner
stops its processor when the lease ends, the observer waits a grace longer, and whoever speaks too
late is refused. What an attempt records when all goes well is in `test_attempt`.
"""

import asyncio

import pytest

from eventstore.errors import NotWritten, OutcomeUnknown
from eventstore.timestamp import seconds_between
from projections.job import Status
from service.commands import Ending
from service.processors import Attempt, Permanent
from tests.support.wait import until
from tests.support.world import CLIENT, about, elapsed, script, seconds, takes, world

UNKNOWN = OutcomeUnknown("nobody knows")
FULL = NotWritten("no room")


async def renewals(taken_s: float, *, latency_s: float = 0.0) -> list[float]:
    """When an attempt that takes so long renews its lease of 30 s, from its start on."""
    async with world(script(takes(taken_s))) as w:
        w.store.latency_s = latency_s
        job_id = await w.post()
        await w.ended(job_id)
        [started] = await w.events(job_id, "AttemptStarted")
        events = await w.events(job_id, "LeaseRenewed")
    for event in events:
        assert event.data["lease_s"] == 30
        assert seconds_between(event.time, event.data["lease_until"]) == 30
    return [seconds_between(started.time, event.time) for event in events]


async def test_an_attempt_shorter_than_a_third_of_its_lease_renews_nothing():
    assert await renewals(9.999_999) == []


async def test_a_longer_one_renews_at_every_third():
    assert await renewals(35) == [10, 20, 30]


async def test_the_first_renewal_is_counted_from_before_the_claim_was_sent():
    """The others see the lease begin no earlier, so the owner must not count it later."""
    first, *_ = await renewals(35, latency_s=1.5)
    assert first == 10


async def lasting_without_renewal(taken_s: float) -> list[str]:
    """What a job's log says once an attempt ended that could not renew its lease of 30 s."""
    async with world(script(takes(taken_s), "done")) as w:
        w.store.refuse = about("LeaseRenewed", FULL)
        job_id = await w.post(timeout_s=3600)
        await w.ended(job_id)
        return await w.types(job_id)


async def test_a_processor_that_ends_just_before_an_unrenewed_lease_has_its_outcome_recorded():
    assert await lasting_without_renewal(29.999_999) == [
        "JobCreated", "AttemptStarted", "JobCompleted",
    ]  # fmt: skip


async def test_a_processor_that_would_outlast_it_is_stopped_and_its_attempt_abandoned():
    assert await lasting_without_renewal(30.000_001) == [
        "JobCreated", "AttemptStarted", "AttemptFailed", "AttemptStarted", "JobCompleted",
    ]  # fmt: skip


async def test_a_processor_is_stopped_at_the_very_instant_its_lease_ends():
    stopped_at: list[float] = []

    async def until_stopped(_: Attempt) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped_at.append(elapsed())

    async with world(script(until_stopped, "done")) as w:
        w.store.refuse = about("LeaseRenewed", FULL)
        await w.ended(await w.post(timeout_s=3600))
    assert stopped_at == [30]


async def test_a_lease_lost_in_silence_is_expired_by_an_observer_without_using_up_an_attempt():
    async with world(script(takes(3600), "done")) as w:
        w.store.refuse = about("LeaseRenewed", FULL)
        job_id = await w.post(timeout_s=3600, max_attempts=1)
        job = await w.ended(job_id)
        [expired] = await w.events(job_id, "AttemptFailed")
    assert (expired.data["reason"], expired.meta["actor"]) == ("lease_expired", "system")
    assert 35 <= seconds(expired.time) <= 36
    assert (job.status, job.attempt, job.attempts, job.crashes) == (Status.COMPLETED, 2, 1, 1)


async def test_a_lease_is_kept_when_only_one_renewal_fails():
    refusals = [FULL]
    async with world(script(takes(35))) as w:
        w.store.refuse = lambda append: (
            refusals.pop() if refusals and append.events[0].type == "LeaseRenewed" else None
        )
        job_id = await w.post()
        await w.ended(job_id)
        events = await w.events(job_id, "LeaseRenewed")
    assert [seconds(event.time) for event in events] == [20, 30]


async def test_a_result_that_a_processor_saves_from_the_end_of_its_lease_is_offered():
    """The log refuses it if another attempt has begun; until then it is the truth."""

    async def sent_after_all(_: Attempt) -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "sent"

    async with world(script(sent_after_all, "again")) as w:
        w.store.refuse = about("LeaseRenewed", FULL)
        job = await w.ended(await w.post(timeout_s=3600))
    assert (job.result, job.attempt) == ("sent", 1)


async def test_a_claim_acknowledged_when_its_lease_is_over_does_not_run():
    ran: list[int] = []

    async def run(attempt: Attempt) -> None:
        ran.append(attempt.number)

    async with world(script(run)) as w:
        w.store.latency_s = 30
        job_id = await w.post()
        await until(w.log, lambda event: event.type == "AttemptStarted")
        w.store.latency_s = 0
        await w.ended(job_id)
        [lost] = await w.events(job_id, "AttemptFailed")
    assert (lost.data["attempt"], lost.data["reason"]) == (1, "lease_expired")
    assert ran == [2]


async def test_what_a_zombie_has_to_say_is_refused():
    work = script(takes(50, "too late"), takes(20, "in time"))
    async with world(work, work=False) as w:
        job_id = await w.post()
        zombie = asyncio.create_task((await w.attempt(job_id, work, name="zombie")).run())
        await asyncio.sleep(1)
        running = await w.get(job_id)
        await w.jobs.fail(
            running,
            token=running.lease.token,
            ending=Ending("lease_expired", "LeaseExpired"),
            duration_s=1,
            retry_after_s=0,
            meta=CLIENT,
        )
        await (await w.attempt(job_id, work, name="heir")).run()
        await zombie
        job = await w.get(job_id)
        types = await w.types(job_id)
    assert (job.result, job.attempt_log[-1].worker) == ("in time", "heir")
    assert [type_ for type_ in types if type_ != "LeaseRenewed"] == [
        "JobCreated", "AttemptStarted", "AttemptFailed", "AttemptStarted", "JobCompleted",
    ]  # fmt: skip


async def test_a_zombie_is_stopped_at_its_next_renewal():
    stopped_at: list[float] = []

    async def until_stopped(_: Attempt) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped_at.append(elapsed())

    work = script(until_stopped)
    async with world(work, work=False) as w:
        job_id = await w.post(timeout_s=3600)
        zombie = asyncio.create_task((await w.attempt(job_id, work)).run())
        await asyncio.sleep(1)
        running = await w.get(job_id)
        lost = Ending("lease_expired", "LeaseExpired")
        token = running.lease.token
        await w.jobs.fail(running, token=token, ending=lost, duration_s=1, meta=CLIENT)
        await zombie
        assert (await w.types(job_id))[-1] == "AttemptFailed"
    assert stopped_at == [10]


@pytest.mark.parametrize("error", [FULL, UNKNOWN])
@pytest.mark.parametrize("outcome", ["done", Permanent("no")])
async def test_an_outcome_is_offered_until_the_log_takes_it(error, outcome):
    types = ("JobCompleted", "AttemptFailed")
    async with world(script(outcome)) as w:
        w.store.refuse = lambda append: (
            error if append.events[0].type in types and elapsed() < 120 else None
        )
        job_id = await w.post()
        job = await w.ended(job_id)
        [ended] = [event for event in await w.events(job_id) if event.type in types]
    assert job.attempts == 1
    assert 110 <= seconds(ended.time) <= 121, "as decided when the log was last asked"
    assert ended.data["duration_s"] == 0, "how long the attempt took, not the recording"


async def test_an_outcome_that_landed_although_nobody_knew_is_recorded_once():
    async with world(script("done")) as w:
        w.store.lose = lambda append: (
            UNKNOWN if append.events[0].type == "JobCompleted" and elapsed() < 100 else None
        )
        job_id = await w.post()
        await w.ended(job_id)
        await asyncio.sleep(200)
        assert await w.types(job_id) == ["JobCreated", "AttemptStarted", "JobCompleted"]
        assert not w.worker.running


async def test_a_claim_that_may_never_have_landed_does_not_run():
    ran_at: list[float] = []

    async def run(_: Attempt) -> None:
        ran_at.append(elapsed())

    async with world(script(run)) as w:
        w.store.refuse = lambda append: (
            UNKNOWN if append.events[0].type == "AttemptStarted" and elapsed() < 60 else None
        )
        job_id = await w.post()
        await w.ended(job_id)
        assert await w.types(job_id) == ["JobCreated", "AttemptStarted", "JobCompleted"]
    [at] = ran_at
    assert 60 <= at <= 70


async def test_a_claim_that_landed_although_nobody_knew_does_not_run_but_expires():
    ran: list[int] = []

    async def run(attempt: Attempt) -> None:
        ran.append(attempt.number)

    async with world(script(run)) as w:
        w.store.lose = lambda append: (
            UNKNOWN if append.events[0].type == "AttemptStarted" and elapsed() < 10 else None
        )
        job_id = await w.post()
        job = await w.ended(job_id)
        [expired] = await w.events(job_id, "AttemptFailed")
    assert ran == [2]
    assert expired.data["reason"] == "lease_expired"
    assert (job.attempts, job.crashes) == (1, 1)


async def test_a_job_that_another_claimed_first_is_left_alone():
    work = script(takes(5))
    async with world(work, work=False) as w:
        job_id = await w.post()
        first, second = w.claims("first"), w.claims("second")
        seen = await w.get(job_id)
        taken, left = await asyncio.gather(first.claim_all([seen]), second.claim_all([seen]))
        job = await w.get(job_id)
    assert [claim and claim.job_id for claim in (*taken, *left)] == [job_id, None]
    assert [attempt.worker for attempt in job.attempt_log] == ["first"]
