"""Holding answers back: for so long, or until a stop, and never longer."""

import asyncio

import pytest

from service.holds import Holds
from tests.support.loop import elapsed


async def held(holds: Holds, seconds: float, waited_s: float = 100.0) -> str:
    """How a wait ends that is held for so long."""
    async with holds.hold(seconds):
        await asyncio.sleep(waited_s)
        return "done"
    return "ended"


@pytest.mark.parametrize(("seconds", "how"), [(4.999999, "ended"), (5.000001, "done")])
async def test_what_is_held_ends_in_time(seconds: float, how: str) -> None:
    assert await held(Holds(), seconds, waited_s=5) == how
    assert elapsed() == min(seconds, 5)


async def test_a_stop_ends_all_of_them_and_those_to_come() -> None:
    holds = Holds()
    waiting = [asyncio.create_task(held(holds, seconds)) for seconds in (10, 20)]
    await asyncio.sleep(1)
    holds.end()
    assert await asyncio.gather(*waiting) == ["ended", "ended"]
    assert await held(holds, 10) == "ended"
    assert elapsed() == 1


async def test_what_need_not_wait_is_done_even_then() -> None:
    holds = Holds()
    holds.end()
    done = False
    async with holds.hold(10):
        done = True
    assert done


async def test_a_stop_at_the_very_instant_of_the_end_does_no_harm() -> None:
    holds = Holds()
    waiting = asyncio.create_task(held(holds, 5))
    asyncio.get_running_loop().call_later(5, holds.end)
    await asyncio.sleep(5)
    holds.end()
    assert await waiting == "ended"


async def test_who_is_cancelled_meanwhile_is_cancelled() -> None:
    holds = Holds()
    waiting = asyncio.create_task(held(holds, 5))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    holds.end()


async def test_an_error_inside_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        async with Holds().hold(5):
            raise ZeroDivisionError
