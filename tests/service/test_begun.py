"""A coroutine that was begun goes on as if it had been awaited from its beginning.

What an attempt makes of that is `test_attempt`'s matter.
"""

import asyncio
import contextvars

import pytest

from service.begun import Begun


async def test_one_that_waits_for_nothing_has_ended():
    async def at_once() -> str:
        return "done"

    begun = Begun(at_once())
    assert (begun.ended, begun.result) == (True, "done")


async def test_what_one_raises_before_it_waits_is_raised_at_once():
    async def wrong() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        Begun(wrong())


async def test_one_that_waits_goes_on_where_it_was():
    steps: list[str] = []

    async def waits() -> str:
        for step in ("first", "second", "third"):
            steps.append(step)
            await asyncio.sleep(1)
        return "done"

    begun = Begun(waits())
    assert (begun.ended, steps) == (False, ["first"])
    before = asyncio.get_running_loop().time()
    assert await begun == "done"
    assert asyncio.get_running_loop().time() == before + 3
    assert steps == ["first", "second", "third"]


async def test_it_waits_for_tasks_and_bare_turns_of_the_loop_too():
    async def waits() -> int:
        await asyncio.sleep(0)
        return sum(await asyncio.gather(*(asyncio.sleep(each, each) for each in (1, 2))))

    assert await Begun(waits()) == 3


async def test_what_it_waited_for_may_fail_and_it_may_catch_that():
    future = asyncio.get_running_loop().create_future()

    async def catches() -> str:
        try:
            await future
        except ZeroDivisionError:
            await asyncio.sleep(1)
            return "caught"
        return "not raised"

    begun = Begun(catches())
    future.set_exception(ZeroDivisionError())
    assert await begun == "caught"


async def test_a_cancellation_reaches_it_and_its_own_clean_up_runs():
    cleaned: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(1)
            cleaned.append("up")

    async def awaits() -> None:
        await Begun(waits())

    task = asyncio.create_task(awaits())
    await asyncio.sleep(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == ["up"]


async def test_a_time_limit_around_the_rest_ends_it():
    async def waits() -> None:
        await asyncio.sleep(100)

    begun = Begun(waits())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await begun


async def test_its_context_is_that_of_the_task():
    name = contextvars.ContextVar("name", default="nobody")

    async def waits() -> str:
        name.set("ours")
        await asyncio.sleep(1)
        return name.get()

    async def awaits() -> str:
        return await Begun(waits())

    assert await asyncio.create_task(awaits()) == "ours"
    assert name.get() == "nobody"


async def test_one_that_is_never_awaited_is_closed_with_who_was_to_await_it():
    closed: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            closed.append("yes")

    rest = Begun(waits()).__await__()
    next(rest)
    rest.close()
    assert closed == ["yes"]
