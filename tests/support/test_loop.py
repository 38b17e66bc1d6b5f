"""The virtual loop keeps the promises that every other test rests on.

A test clock that is wrong makes wrong tests pass, so each promise is tried alone: the order of
deadlines, the exact instant at which they fire, cancellation, idleness, and the ways it must fail
loudly. What is not tried here is asyncio.
"""

import asyncio
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import pytest
from freezegun import freeze_time

from eventstore import clock
from eventstore.event import NEW, NewEvent
from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from service.testing.loop import START, Deadlock, Livelock, TimeIsFrozenError, VirtualLoop
from tests.support.loop import elapsed, run_virtual
from tests.support.wait import until


async def test_a_coroutine_test_runs_in_frozen_time_that_begins_at_noon():
    assert datetime.now(UTC).isoformat() == "2026-11-23T12:00:00+00:00"
    assert elapsed() == 0


@pytest.mark.real_time
async def test_a_real_time_test_runs_on_the_real_clock():
    assert clock.now() != "2026-11-23T12:00:00.000000Z"
    assert type(asyncio.get_running_loop()).__name__ != "VirtualLoop"


async def test_sleeping_moves_all_clocks_together():
    before = time.time(), clock.monotonic(), elapsed()
    await asyncio.sleep(3600.25)
    after = time.time(), clock.monotonic(), elapsed()
    assert [b - a for a, b in zip(before, after, strict=True)] == [3600.25] * 3
    assert clock.now() == "2026-11-23T13:00:00.250000Z"


async def test_deadlines_fire_in_their_order_whatever_the_order_they_were_set_in():
    fired: list[int] = []
    loop = asyncio.get_running_loop()
    for delay in Random(1).sample(range(1, 201), 200):
        loop.call_later(delay / 1000, fired.append, delay)
    await asyncio.sleep(1)
    assert fired == list(range(1, 201))


async def test_equal_deadlines_fire_at_one_instant():
    """In which order is asyncio's affair: its heap promises none."""
    loop = asyncio.get_running_loop()
    instants = []
    for _ in range(20):
        loop.call_at(7.5, lambda: instants.append(loop.time()))
    await asyncio.sleep(10)
    assert instants == [7.5] * 20


async def test_deadlines_a_microsecond_apart_are_two_instants():
    loop = asyncio.get_running_loop()
    instants = []
    for deadline in (1.000002, 1.000001, 1.000003):
        loop.call_at(deadline, lambda: instants.append(loop.time()))
    await asyncio.sleep(2)
    assert instants == [1.000001, 1.000002, 1.000003]


@pytest.mark.parametrize("delay", [0.000001, 0.1, 0.3, 1 / 3, 2.675, 86_399.999999, 86_400.000001])
async def test_a_deadline_fires_at_its_microsecond(delay):
    await asyncio.sleep(delay)
    assert elapsed() == round(delay, 6)


async def test_a_delay_below_a_microsecond_still_passes():
    for _ in range(100):
        await asyncio.sleep(1e-9)
    assert elapsed() <= 0.0001


async def test_a_timeout_ends_what_takes_longer_and_spares_what_is_done_before():
    async with asyncio.timeout(1):
        await asyncio.sleep(0.999999)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(3), 1)
    assert elapsed() == 1.999999


async def test_a_cancelled_sleep_ends_at_once():
    task = asyncio.create_task(asyncio.sleep(3600))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert elapsed() == 1


async def test_a_cancelled_timer_does_not_hold_time_up():
    asyncio.get_running_loop().call_later(10, lambda: None).cancel()
    await asyncio.sleep(20)
    assert elapsed() == 20


def test_what_is_ready_runs_before_time_moves():
    async def main():
        woken = asyncio.Event()
        ticker = asyncio.create_task(asyncio.sleep(1))
        asyncio.get_running_loop().call_soon(woken.set)
        await woken.wait()
        assert elapsed() == 0
        await ticker

    run_virtual(main)


def test_ninety_days_pass_in_less_than_a_second():
    async def main():
        naps = [asyncio.create_task(asyncio.sleep(day * 86_400)) for day in range(91)]
        await asyncio.gather(*naps)
        return elapsed()

    started = time.perf_counter()
    assert run_virtual(main) == 90 * 86_400
    assert time.perf_counter() - started < 1


def test_ten_years_do_not_end_in_a_spin_at_an_instant_equal_to_a_deadline():
    async def main():
        for year in range(10):
            await asyncio.sleep(365 * 86_400)
            await asyncio.sleep(0.1 + year / 1000)
        return clock.now()

    assert run_virtual(main) == "2036-11-20T12:00:01.045000Z"


def test_a_wait_that_nobody_can_end_is_a_deadlock_and_says_where():
    async def waits_in_vain():
        await asyncio.Event().wait()

    async def main():
        await asyncio.create_task(waits_in_vain(), name="the poor one")

    with pytest.raises(
        Deadlock, match=r"the poor one waits in .*waits_in_vain > Event\.wait"
    ) as caught:
        run_virtual(main)
    assert "nothing is ready and no timer is set" in str(caught.value)


def test_a_hidden_thread_is_a_deadlock_too():
    release = threading.Event()

    async def main():
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def hidden():
            release.wait()
            with suppress(RuntimeError):  # the loop is closed by then
                loop.call_soon_threadsafe(woken.set)

        thread.append(threading.Thread(target=hidden))
        thread[0].start()
        await woken.wait()

    thread: list[threading.Thread] = []
    with pytest.raises(Deadlock):
        run_virtual(main)
    release.set()
    thread[0].join()


async def test_what_is_meant_for_a_thread_runs_at_once_on_this_one():
    ran_on = await asyncio.to_thread(threading.get_ident)
    assert ran_on == threading.get_ident()
    assert elapsed() == 0


async def test_an_error_of_what_is_meant_for_a_thread_reaches_who_awaits_it():
    with pytest.raises(ZeroDivisionError):
        await asyncio.get_running_loop().run_in_executor(None, lambda: 1 // 0)


def test_what_is_always_ready_and_lets_no_time_pass_is_a_livelock_and_says_who():
    async def never_waits():
        while True:  # noqa: ASYNC110  that is the point
            await asyncio.sleep(0)

    async def main():
        await asyncio.create_task(never_waits(), name="the busy one")

    with pytest.raises(Livelock, match=r"the busy one waits in .*never_waits > sleep"):
        run_virtual(main)


async def test_idle_is_when_all_that_can_be_done_at_an_instant_is_done():
    loop, done = virtual_loop(), []
    for turn in range(10):
        asyncio.create_task(some_turns(turn, done))  # noqa: RUF006  over before idle returns
    loop.call_later(0.000001, done.append, "too late")
    await loop.idle()
    assert done == list(range(10))
    assert elapsed() == 0


async def test_idle_waits_for_the_first_instant_that_fits():
    done = []
    for delay in (1, 2, 3):
        asyncio.get_running_loop().call_later(delay, done.append, delay)
    await virtual_loop().idle(lambda: len(done) == 2)
    assert (elapsed(), done) == (2, [1, 2])


async def test_several_may_wait_for_idleness_and_one_may_have_gone():
    loop = virtual_loop()
    gone = asyncio.create_task(loop.idle(lambda: elapsed() >= 5))
    there = asyncio.create_task(loop.idle(lambda: elapsed() >= 5))
    await asyncio.sleep(4)
    gone.cancel()
    await asyncio.sleep(1)
    await there
    assert (gone.cancelled(), elapsed()) == (True, 5)


async def test_after_a_jump_what_was_due_in_between_is_due():
    fired = []
    loop = virtual_loop()
    loop.call_later(1, lambda: fired.append(elapsed()))
    loop.call_later(3601, lambda: fired.append(elapsed()))
    loop.jump(3600)
    assert fired == []
    await loop.idle()
    assert fired == [3600]
    await asyncio.sleep(1)
    assert fired == [3600, 3601]


def test_after_a_deadlock_the_tasks_are_cancelled_and_time_is_real():
    cleaned_up = []

    async def main():
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append(True)

    with pytest.raises(Deadlock):
        run_virtual(main)
    assert cleaned_up == [True]
    assert not hasattr(datetime, "tick")
    assert abs(time.time() - datetime.now(UTC).timestamp()) < 60


def test_a_freeze_around_it_is_refused():
    async def main():
        """Never runs."""

    with freeze_time(START), pytest.raises(TimeIsFrozenError, match="one freeze"):
        run_virtual(main)


def test_a_task_that_fails_where_nobody_looks_fails_the_test():
    async def fails():
        raise OSError("unseen")

    async def main():
        asyncio.create_task(fails())  # noqa: RUF006  nobody looks, that is the point
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="never retrieved"):
        run_virtual(main)


def test_time_may_begin_elsewhere():
    async def main():
        return clock.now()

    assert run_virtual(main, "2028-02-29T00:00:00Z") == "2028-02-29T00:00:00.000000Z"
    assert run_virtual(main(), "1999-12-31T23:59:59Z") == "1999-12-31T23:59:59.000000Z"


async def test_until_returns_the_first_match_when_it_comes():
    log = EventLog(MemoryStore(log_id="0" * 32), dice=Random(1))

    async def write():
        await asyncio.sleep(600)
        await log.append("s", NEW, NewEvent("Wanted", clock.now(), {}))

    writing = asyncio.create_task(write())
    found = await until(log, lambda event: event.type == "Wanted")
    assert (found.pos, elapsed()) == (2, 600)
    await writing


async def test_until_says_what_came_instead():
    log = EventLog(MemoryStore(log_id="0" * 32), dice=Random(1))
    with pytest.raises(AssertionError, match="LogOpened of log"):
        await until(log, lambda event: event.type == "Wanted", within=90)
    assert elapsed() == 90


def virtual_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


async def some_turns(number, done):
    for _ in range(number):
        await asyncio.sleep(0)
    done.append(number)
