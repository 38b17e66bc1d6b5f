"""The progress bar: on a terminal, after half a second, and never among the data.

Time is frozen and moved by hand.
"""

import io
import sys

import pytest
from freezegun import freeze_time

from service.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("seconds", "shown"), [(0.5, False), (0.500001, True)])
def test_it_shows_when_the_work_takes_longer_than_half_a_second(
    monkeypatch: pytest.MonkeyPatch, seconds: float, shown: bool
) -> None:
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    with freeze_time("2026-11-23") as clock, progress(10, "reading the log") as advance:
        advance(4)
        clock.tick(seconds)
        advance(1)
        clock.tick(60)
    assert ("reading the log" in stderr.getvalue()) is shown
    assert ("50%" in stderr.getvalue()) is shown


def test_in_a_pipe_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with freeze_time("2026-11-23") as clock, progress(10, "reading the log") as advance:
        clock.tick(60)
        advance(10)
    assert stderr.getvalue() == ""
