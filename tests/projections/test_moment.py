"""A job as it was at a position or a time: boundaries on both sides, every moment of any life."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.event import NewEvent
from eventstore.store import POSITION_MAX
from eventstore.timestamp import later
from projections.job import fold
from projections.moment import Moment, NotYetError, as_it_was, moment
from tests.support.build import (
    US,
    at,
    attempt_started,
    job_completed,
    job_created,
    random_life,
    record,
)

LIFE = record(job_created(0), attempt_started(10), job_completed(20), pos=5)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("5", "pending"),
        ("6", "processing"),
        ("7", "completed"),
        ("8", "completed"),
        ("0007", "completed"),
        (str(POSITION_MAX), "completed"),
        (at(0), "pending"),
        (at(10 - US), "pending"),
        (at(10), "processing"),
        (at(20 - US), "processing"),
        (at(20), "completed"),
        (at(20 + US), "completed"),
        ("2026-11-23T14:00:10+02:00", "processing"),
    ],
)
def test_it_is_what_had_happened_by_then(text: str, status: str) -> None:
    assert as_it_was(LIFE, moment(text)).status == status


@pytest.mark.parametrize("text", ["0", "4", at(-US)])
def test_before_its_creation_there_was_none(text: str) -> None:
    with pytest.raises(NotYetError, match=f"created at position 5, {at(0)}"):
        as_it_was(LIFE, moment(text))


@pytest.mark.parametrize(
    "text",
    ["", " 5", "-1", "+5", "1.5", "²", "٣", "x", str(POSITION_MAX + 1), "9" * 9_999, "2026-11-23"],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        moment(text)


@given(life=st.randoms(use_true_random=False).map(random_life))
def test_every_moment_of_any_life_is_the_fold_of_its_beginning(life: list[NewEvent]) -> None:
    history = record(*life, pos=3)
    for count, event in enumerate(history, 1):
        assert as_it_was(history, Moment(event.pos)) == fold(history[:count])
        until = [each for each in history if each.time <= event.time]
        assert as_it_was(history, Moment(time=event.time)) == fold(until)
        if count < len(history) and history[count].time > event.time:
            just_before = later(history[count].time, -US)
            assert as_it_was(history, Moment(time=just_before)) == fold(history[:count])
