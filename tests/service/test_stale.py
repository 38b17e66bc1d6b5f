"""Deciding on an old state: however little a process has heard, the outcome is that of the newest.

Every prefix of some histories is what was seen, the whole history is what the log holds, and every
command is asked for: it must be refused, or recorded, exactly as if all had been seen. The examples
of one conflict at a time are in `test_jobs`.
"""

import asyncio
from random import Random

import pytest

from eventstore import clock
from eventstore.memory import MemoryStore
from projections.job import Job, fold
from service import commands
from service.commands import Ending, FencedError, NotAllowedError
from service.jobs import (
    Jobs,
)
from tests.service.desk import CLIENT, OPTIONS, opened
from tests.support.build import (
    LOG_ID,
    at,
    attempt_failed,
    attempt_started,
    job_cancelled,
    job_completed,
    job_created,
    job_failed,
    job_retried,
    lease_renewed,
)

ERROR = Ending("error", "ValueError", "no luck")


async def create(desk, payload=None):
    return (await desk.jobs.create("email", payload, OPTIONS, meta=CLIENT)).job


def start(now=None):
    return lambda job: commands.start(
        job, now=now or clock.now(), worker="w", epoch=1, lease_s=30.0, meta={}
    )


def complete(token):
    return lambda job: commands.complete(
        job, token=token, now=clock.now(), duration_s=1.0, result=None, meta={}
    )


RETRY_AT = at(3600)
HISTORIES = {
    "completed": [
        job_created(),
        attempt_started(1),
        lease_renewed(2),
        attempt_failed(3, retry_at=RETRY_AT),
        attempt_started(4, attempt=2),
        job_completed(5, attempt=2),
    ],
    "reopened": [
        job_created(run_at=at(99)),
        job_retried(1),
        attempt_started(2),
        attempt_failed(3),
        job_failed(3),
        job_retried(4),
        attempt_started(5, attempt=2),
    ],
    "cancelled": [job_created(), job_cancelled(1), job_retried(2), job_cancelled(3)],
    "waiting again": [
        job_created(),
        job_cancelled(1),
        job_retried(2),
        attempt_started(3),
        attempt_failed(4, retry_at=RETRY_AT),
    ],
}
ASKED = ["claim", "cancel", "retry", "complete", "fail"]


def ask(asked, jobs: Jobs, name, known: Job | None, token):
    return {
        "claim": lambda: jobs.execute(name, start(), known=known),
        "cancel": lambda: jobs.cancel(name, meta={}),
        "retry": lambda: jobs.retry(name, meta={}),
        "complete": lambda: jobs.execute(name, complete(token), known=known),
        "fail": lambda: jobs.fail(known, token=token, ending=ERROR, duration_s=1.0, meta={}),
    }[asked]()


async def outcome(asked, history, seen):
    """What came of it, asked of a desk that has seen so many of the events."""
    async with opened(stale_at=0) as desk:
        for event in history:
            await desk.write("a", event)
        await asyncio.sleep(30)
        events = await desk.log.read()
        if seen:
            desk.projector.apply(events[: 1 + seen])
        job = fold(events[1:])
        known = fold(events[1 : 1 + seen])
        token = job.lease.token if job.lease else 3
        try:
            after = await ask(asked, desk.jobs, "a", known, token)
        except (NotAllowedError, FencedError) as error:
            return type(error), await desk.types("a")
        assert after == fold((await desk.log.read())[1:])
        return after.status, await desk.types("a")


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("length", range(1, 8))
@pytest.mark.parametrize("name", HISTORIES)
async def test_however_old_the_state_seen_the_outcome_is_that_of_the_newest(name, length, asked):
    """No stale refusal, no stale success: every prefix of every history may be what was seen."""
    history = HISTORIES[name][:length]
    newest = await outcome(asked, history, len(history))
    for seen in range(1 if asked == "fail" else 0, len(history)):
        assert await outcome(asked, history, seen) == newest


async def test_random_claims_and_ends_by_many_leave_only_legal_histories():
    dice = Random(3)

    async def meddle(desk, name):
        for _ in range(10):
            job = await desk.jobs.get(name)
            token = job.lease.token if job.lease else 0
            try:
                await ask(dice.choice(ASKED), desk.jobs, name, job, token)
            except (NotAllowedError, FencedError):
                await asyncio.sleep(dice.random())

    store = MemoryStore(log_id=LOG_ID)
    async with opened(store) as left, opened(store, seed=2) as right:
        names = [(await create(left, n)).id for n in range(5)]
        await right.projector.reached(await right.log.head())
        await asyncio.gather(*(meddle(d, name) for name in names for d in (left, right, left)))
        for name in names:
            job = fold(await left.log.read_stream(name))
            assert await left.jobs.get(name) == await right.jobs.get(name) == job
