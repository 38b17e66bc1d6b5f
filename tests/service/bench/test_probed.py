"""The probe: a timer that knows how late it is called. Time is virtual, or moved by hand."""

import asyncio

import pytest

from eventstore import clock
from service.bench.probed import EVERY_S, Probe

US = 0.000001


async def test_on_a_loop_with_nothing_to_do_it_is_never_late() -> None:
    probe = Probe(1.0)
    probe.begin()
    await asyncio.sleep(2)
    assert max(probe.late_s) < US
    assert len(probe.late_s) == pytest.approx(1 / EVERY_S, abs=2)


async def test_a_loop_that_was_busy_shows_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(1.0)
    probe.begin()
    now = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: now + 0.25)
    await asyncio.sleep(EVERY_S)
    assert probe.late_s[0] == pytest.approx(0.25 - EVERY_S)


async def test_it_ends_when_its_time_is_over() -> None:
    probe = Probe(0.01)
    probe.begin()
    await asyncio.sleep(1)
    found = len(probe.late_s)
    await asyncio.sleep(1)
    assert len(probe.late_s) == found
