"""The level `hostile clients` finds what it is there for: each bug is planted, in the product. With
fewer clients than there, and less patience.
"""

from collections.abc import Callable

import pytest

from service.http import Limited, Turn
from tests.service import hostile_clients

Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, less in (("IDLE_MAX", 500), ("SLOW", 60), ("GONE_WITHIN_S", 2.0), ("LATE_S", 0.3)):
        monkeypatch.setattr(hostile_clients, name, less)
    limits = hostile_clients.Limits(header_s=0.3, body_s=0.3, answer_s=0.3)
    monkeypatch.setattr(hostile_clients, "LIMITS", limits)


def turned(changed: Callable[[Turn], Turn]) -> Plant:
    honest = Limited._turn
    return lambda patch: patch.setattr(Limited, "_turn", lambda self: changed(honest(self)))


def a_header_has_all_the_time_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    turned(lambda turn: Turn.OURS if turn is Turn.HEADER else turn)(monkeypatch)


def the_next_request_is_waited_for_like_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    turned(lambda turn: Turn.HEADER if turn is Turn.NEXT else turn)(monkeypatch)


def who_takes_nothing_may_go_on_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limited, "_require_taken", lambda self: None)


def nobody_is_told_that_a_client_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """So all that there is to send is kept, for each of them."""
    monkeypatch.setattr(Limited, "pause_writing", lambda self: None)
    monkeypatch.setattr(Limited, "resume_writing", lambda self: None)


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (a_header_has_all_the_time_it_wants, "connections are left"),
        (the_next_request_is_waited_for_like_the_first, "connections are left"),
        (who_takes_nothing_may_go_on_so, "connections are left"),
        (nobody_is_told_that_a_client_takes_nothing, "connections are left"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_a_planted_bug_is_found(plant: Plant, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=says):
        hostile_clients.one_round(1)
