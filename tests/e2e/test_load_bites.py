"""The level `load` finds what it is there for: bugs planted in a server, all at once, and every one
is told. Planted together, because each run takes its seconds of a real server.
"""

import pytest

from tests.e2e import load_round
from tests.e2e.load_round import Plan, tried

SHORT = Plan(capacity_s=2, near_s=8, beyond_s=3, open_max=500)


def test_the_planted_bugs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_round, "OVER_WITHIN_S", 2.0)
    bugs = (
        "something_of_each_request_is_kept",
        "intake_never_closes",
        "a_held_request_opens_a_file_and_never_closes_it",
        "an_attempt_that_is_late_is_forgotten",
    )
    _, broken = tried(1, SHORT, " ".join(bugs))
    told = "\n".join(broken)
    assert "memory grew by" in told, told
    assert "more files are open" in told, told
    assert "nothing was refused" in told, told
    assert "jobs were open, of 500 that may be" in told, told
    assert "jobs never end" in told, told


def test_an_answer_that_takes_ever_longer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_round, "SLOW_S", 0.02)
    plan = Plan(capacity_s=1, near_s=8, beyond_s=1, open_max=500)
    _, broken = tried(1, plan, "each_request_waits_longer_than_the_last")
    assert any(told.startswith("p99 was ") for told in broken), broken
