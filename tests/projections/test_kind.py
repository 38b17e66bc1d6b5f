"""What holds for a kind: its events folded, and when its rate permits the next start.

Pure: events in, a kind out. That a board keeps to it is in `test_board_kinds`, and who may decide
it in the tests of the service.
"""

import pytest
from msgspec.structs import replace

from eventstore.errors import Unsupported
from eventstore.event import NEW, NewEvent
from eventstore.timestamp import EPOCH, later
from projections.events import KIND_EVENTS
from projections.kind import Kind, Pause, after_start, evolve_kind, paced, stream_of
from tests.support.build import (
    KIND_BUILDERS,
    NOON,
    US,
    at,
    kind_folded,
    kind_limited,
    kind_paused,
    kind_resumed,
    record,
)

ADA = {"actor": "local:ada"}


def test_a_kind_without_events_has_no_rules():
    kind = Kind("email")
    assert (kind.pause, kind.concurrency, kind.rate, kind.next_start_at) == (
        None,
        None,
        None,
        EPOCH,
    )
    assert kind.head == NEW


def test_the_builders_of_these_tests_speak_of_every_type():
    assert set(KIND_BUILDERS) == set(KIND_EVENTS)


@pytest.mark.parametrize("type_", KIND_BUILDERS)
def test_every_event_moves_the_end_of_the_stream_and_is_of_the_kind_that_the_stream_names(type_):
    [event] = record(KIND_BUILDERS[type_](5), stream=stream_of("my-kind"), pos=41)
    kind = evolve_kind(None, event)
    assert (kind.name, kind.head) == ("my-kind", (1, 41))


def test_a_pause_holds_since_when_who_and_why():
    kind = kind_folded(kind_paused(5, cause="config", reason="535 refused", meta=ADA))
    assert kind.pause == Pause(at(5), "local:ada", "config", "535 refused")


def test_a_pause_may_come_from_nobody_and_without_a_reason():
    assert kind_folded(kind_paused(5)).pause == Pause(at(5), None, "operator", None)


def test_a_resumed_kind_is_as_it_was_before_the_pause():
    limits = kind_limited(1, concurrency=3, rate=(2, 60))
    kind = kind_folded(limits, kind_paused(5), kind_resumed(6))
    assert kind == replace(kind_folded(limits), rev=3, pos=3)


def test_the_last_limits_hold_both_at_once():
    first, second = kind_limited(1, concurrency=3, rate=(2, 60)), kind_limited(2, concurrency=5)
    kind = kind_folded(first, second)
    assert (kind.concurrency, kind.rate) == (5, None)
    assert kind_folded(first).rate == {"count": 2, "per_s": 60}


def test_limits_and_pauses_leave_each_other_alone():
    kind = kind_folded(kind_paused(1), kind_limited(2, concurrency=3))
    assert (kind.pause.at, kind.concurrency) == (at(1), 3)


def test_an_unknown_type_only_moves_the_end_of_the_stream():
    kind = kind_folded(kind_limited(1, concurrency=3))
    [event] = record(NewEvent("KindAdmired", at(2), {"rate": 9}), stream="kind-email", rev=2, pos=7)
    assert evolve_kind(kind, event) == replace(kind, rev=2, pos=7)


@pytest.mark.parametrize("type_", KIND_BUILDERS)
def test_a_version_from_the_future_is_refused_by_name(type_):
    [event] = record(KIND_BUILDERS[type_](5), stream=stream_of("email"))
    with pytest.raises(Unsupported, match=f"{type_} v2 was written by a newer joblog"):
        evolve_kind(None, replace(event, v=2))


# rate


def limited(count, per_s, seconds=0.0):
    return kind_folded(kind_limited(seconds, rate=(count, per_s)))


def test_with_a_new_rate_the_first_start_is_at_once():
    assert limited(1, 60).next_start_at == EPOCH


@pytest.mark.parametrize(
    ("count", "per_s", "wait_s"),
    [
        (1, 60, 60),
        (4, 1, 0.25),
        (1, US, US),
        (3, 1, 0.333_334),
        (7, 1, 0.142_858),
        (1_000_000, 1, US),
        (2, 3 * US, 2 * US),
        (1, 30 * 86_400, 30 * 86_400),
    ],
)
def test_after_a_start_the_next_may_be_a_share_of_the_time_later_rounded_up(count, per_s, wait_s):
    """Rounded down, the third of three in a second would leave room for a fourth."""
    assert after_start(limited(count, per_s), at(5)).next_start_at == later(at(5), wait_s)


def test_a_start_without_a_rate_changes_nothing():
    kind = kind_folded(kind_limited(1, concurrency=3))
    assert after_start(kind, at(5)) == kind


@pytest.mark.parametrize(
    ("seconds", "next_at"), [(10 - US, 20), (10, 20), (10 + US, 20 + US)], ids=["-1", "0", "+1"]
)
def test_a_start_that_came_too_early_does_not_bring_the_next_one_forward(seconds, next_at):
    rate = {"count": 1, "per_s": 10.0}
    assert paced(rate, at(10), at(seconds)) == at(next_at)


def test_time_without_starts_is_not_saved_up():
    kind = after_start(after_start(limited(1, 10), at(0)), at(1000))
    assert kind.next_start_at == at(1010)


def test_a_faster_rate_holds_from_its_decision_on():
    slow = after_start(limited(1, 3600), at(0))
    [event] = record(kind_limited(60, rate=(1, 5)), stream="kind-email", rev=2, pos=2)
    assert evolve_kind(slow, event).next_start_at == at(65)


def test_a_slower_rate_does_not_delay_the_start_that_was_due_already():
    fast = after_start(limited(1, 5), at(0))
    [event] = record(kind_limited(3, rate=(1, 3600)), stream="kind-email", rev=2, pos=2)
    assert evolve_kind(fast, event).next_start_at == at(5)


def test_the_same_rate_again_with_another_concurrency_does_not_forgive_a_start():
    kind = after_start(limited(1, 10), at(0))
    again = kind_limited(3, rate=(1, 10), concurrency=2)
    [event] = record(again, stream="kind-email", rev=2, pos=2)
    assert evolve_kind(kind, event).next_start_at == at(10)


def test_without_a_rate_there_is_nothing_to_wait_for():
    kind = after_start(limited(1, 3600), at(0))
    [event] = record(kind_limited(3), stream="kind-email", rev=2, pos=2)
    assert evolve_kind(kind, event).next_start_at == EPOCH < NOON
