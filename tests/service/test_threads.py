"""Processors that are plain functions: each runs in a thread of its own, and cannot be stopped.

So these are in real time, and wait for what a thread says and never for a while. A function that
outlives its time limit keeps its slot, and nothing that it says later is heard. On virtual time the
same functions run on the loop: the last test says so.
"""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventstore.memory import MemoryStore
from projections.job import Status
from service.processors import Attempt, Permanent, Processor, processor
from tests.support.wait import until
from tests.support.world import CLIENT, World, world

real_time = pytest.mark.real_time
SOON_S = 10  # for what comes at once, on a machine that is busy


class Gate:
    """Where a function waits until the test lets it go on; closed gates open at the test's end."""

    def __init__(self) -> None:
        self._entered = threading.Semaphore(0)
        self._open = threading.Event()

    def __call__(self) -> None:
        self._entered.release()
        assert self._open.wait(SOON_S * 3)

    async def entered(self) -> None:
        """A function waits here now."""
        assert await asyncio.to_thread(self._entered.acquire, timeout=SOON_S)

    def open(self) -> None:
        self._open.set()


@asynccontextmanager
async def working(*steps, gate=None, kind="work", **settings) -> AsyncIterator[World]:
    """A world whose plain function does the first step at its first attempt, and so on."""
    async with world(plain(*steps, kind=kind), threads=True, **settings) as w:
        try:
            yield w
        finally:
            if gate is not None:
                gate.open()


def plain(*steps, kind="work") -> Processor:
    @processor(kind)
    def scripted(payload: object, attempt: Attempt) -> object:
        return steps[min(attempt.number, len(steps)) - 1](attempt)

    return scripted


def raising(error):
    def step(_: Attempt):
        raise error

    return step


async def ended(w, job_id):
    return await w.ended(job_id, within_s=SOON_S)


async def soon(w, type_):
    return await until(w.log, lambda event: event.type == type_, within=SOON_S)


@real_time
async def test_a_plain_function_runs_in_a_thread_and_its_result_is_the_jobs():
    async with working(lambda _: {"thread": threading.current_thread().name}) as w:
        job = await ended(w, await w.post())
    assert job.status is Status.COMPLETED
    assert job.result["thread"].startswith("processor")


@real_time
async def test_the_loop_goes_on_while_it_blocks():
    gate = Gate()
    async with working(lambda _: gate(), gate=gate) as w:
        job_id = await w.post()
        await gate.entered()
        other = await w.post(after_s=3600)
        await w.jobs.cancel(other, meta=CLIENT)
        assert (await w.get(job_id)).status is Status.PROCESSING
        gate.open()
        assert (await ended(w, job_id)).status is Status.COMPLETED


@real_time
@pytest.mark.parametrize(
    ("error", "name", "status"),
    [
        (ValueError("no luck"), "ValueError", Status.PENDING),
        (Permanent("never"), "Permanent", Status.FAILED),
        (SystemExit(1), "SystemExit", Status.PENDING),
        (StopIteration("next"), "RuntimeError", Status.PENDING),
        (asyncio.CancelledError(), "CancelledError", Status.PENDING),
        (TimeoutError("its own"), "TimeoutError", Status.PENDING),
    ],
)
async def test_what_it_raises_ends_the_attempt_and_frees_the_slot(error, name, status):
    async with working(raising(error), concurrency=1) as w:
        job_id = await w.post()
        failed = await soon(w, "AttemptFailed")
        job = await w.get(job_id)
        other = await ended(w, await w.post(max_attempts=1))
    assert (failed.data["reason"], failed.data["error_class"]) == ("error", name)
    assert (job.status, other.status) == (status, Status.FAILED), "the slot was free again"


@real_time
async def test_as_many_run_at_a_time_as_there_are_slots():
    gate, most, now, lock = Gate(), [0], [0], threading.Lock()

    def counted(_: Attempt) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        gate()
        with lock:
            now[0] -= 1

    async with working(counted, gate=gate, concurrency=3) as w:
        jobs = [await w.post() for _ in range(7)]
        for _ in range(3):
            await gate.entered()
        assert w.worker.running == 3
        gate.open()
        for job_id in jobs:
            assert (await ended(w, job_id)).status is Status.COMPLETED
    assert most == [3]


@real_time
async def test_a_function_that_outlives_its_limit_is_told_and_keeps_its_slot_until_it_returns():
    gate, told = Gate(), []

    def late(attempt: Attempt) -> str:
        gate()
        told.append(attempt.cancelled)
        return "too late"

    async with working(late, gate=gate, concurrency=1) as w:
        job_id = await w.post(timeout_s=0.05, max_attempts=1)
        await gate.entered()
        other = await w.post()
        job = await ended(w, job_id)
        assert (job.status, job.last_error.reason) == (Status.FAILED, "timeout")
        assert w.worker.running == 1
        assert await w.types(other) == ["JobCreated"], "its slot is taken"
        gate.open()
        assert (await ended(w, other)).status is Status.COMPLETED
        assert await w.get(job_id) == job, "what it returned was not heard"
    assert told[0] is True


@real_time
async def test_a_function_sees_that_it_shall_stop_and_what_it_comes_to_is_still_wanted():
    began = threading.Event()

    def polite(attempt: Attempt) -> str:
        began.set()
        assert attempt.stopped.wait(SOON_S)
        return "as far as I came" if attempt.cancelled else "?"

    async with working(polite) as w:
        job_id = await w.post()
        assert await asyncio.to_thread(began.wait, SOON_S)
        asked = await w.jobs.cancel(job_id, meta=CLIENT)
        assert asked.status is Status.PROCESSING
        job = await ended(w, job_id)
    assert (job.status, job.result) == (Status.COMPLETED, "as far as I came")


@real_time
async def test_a_function_that_gives_up_when_told_is_cancelled():
    began = threading.Event()

    def obedient(attempt: Attempt) -> None:
        attempt.accepted.add(0)
        began.set()
        assert attempt.stopped.wait(SOON_S)
        raise InterruptedError("told to stop")

    async with working(obedient) as w:
        job_id = await w.post()
        assert await asyncio.to_thread(began.wait, SOON_S)
        await w.jobs.cancel(job_id, meta=CLIENT)
        job = await ended(w, job_id)
    assert (job.status, job.last_error.reason) == (Status.CANCELLED, "cancelled")
    assert job.accepted == (0,)


@real_time
async def test_a_deaf_function_is_given_up_after_the_grace_and_keeps_its_slot():
    gate = Gate()
    async with working(lambda _: gate(), gate=gate, concurrency=1, cancel_grace_s=0) as w:
        job_id = await w.post()
        await gate.entered()
        await w.jobs.cancel(job_id, meta=CLIENT)
        job = await ended(w, job_id)
        assert (job.status, job.last_error.reason) == (Status.CANCELLED, "cancelled")
        assert w.worker.running == 1


@real_time
async def test_a_drain_leaves_a_stuck_function_behind_and_gives_its_job_back(monkeypatch):
    monkeypatch.setattr("service.slots.RELEASE_S", 0.05)
    gate, store = Gate(), MemoryStore(log_id="1f" * 16)
    async with working(lambda _: gate(), gate=gate, store=store) as w:
        job_id = await w.post()
        await gate.entered()
        await w.worker.drain(0.05)
        assert w.worker.running == 1
        job = await w.get(job_id)
        assert (job.status, job.attempts) == (Status.PENDING, 0)
        assert job.last_error.reason == "released"


@real_time
async def test_a_drain_waits_for_a_function_that_ends_in_time():
    gate = Gate()
    async with working(lambda _: gate(), gate=gate) as w:
        job_id = await w.post()
        await gate.entered()
        draining = asyncio.create_task(w.worker.drain(SOON_S))
        gate.open()
        await draining
        assert w.worker.running == 0
        assert (await w.get(job_id)).status is Status.COMPLETED


@real_time
async def test_context_variables_are_those_of_the_attempt_and_stay_its_own():
    colour = contextvars.ContextVar("colour", default="grey")
    seen = []

    def paints(_: Attempt) -> None:
        seen.append(colour.get())
        colour.set("red")

    token = colour.set("blue")
    async with working(paints, concurrency=1) as w:
        for _ in range(2):
            await ended(w, await w.post())
        assert colour.get() == "blue"
    colour.reset(token)
    assert seen == ["blue", "blue"]


@real_time
async def test_a_function_may_return_what_is_to_be_awaited():
    """A coroutine function behind a decorator does not look like one."""

    async def really(number: int) -> str:
        await asyncio.sleep(0)
        return f"attempt {number}"

    async with working(lambda attempt: really(attempt.number)) as w:
        assert (await ended(w, await w.post())).result == "attempt 1"


async def test_without_threads_the_same_function_runs_on_the_loop():
    names = []

    def noted(attempt: Attempt) -> str:
        names.append(threading.current_thread() is threading.main_thread())
        if attempt.number == 1:
            raise ValueError("no luck")
        return "done"

    async with world(plain(noted), threads=False) as w:
        job = await w.ended(await w.post())
    assert (job.result, job.attempts, names) == ("done", 2, [True, True])


@pytest.mark.parametrize(
    ("error", "name"),
    [(StopIteration("next"), "RuntimeError"), (SystemExit(1), "SystemExit")],
)
async def test_without_threads_it_may_raise_the_same(error, name):
    async with world(plain(raising(error)), threads=False) as w:
        job = await w.ended(await w.post(max_attempts=1))
    assert job.last_error.class_ == name
