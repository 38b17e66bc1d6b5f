"""The short form: some rounds of every level, each of which must do its part."""

import pytest

from tests.trials.level import CannotRunError, Level
from tests.trials.levels import LEVELS

ROUNDS = [
    pytest.param(level, number, id=f"{level.name} {number}")
    for level in LEVELS
    for number in range(level.short)
]


@pytest.mark.parametrize(("level", "number"), ROUNDS)
def test_no_promise_is_broken(level: Level, number: int) -> None:
    try:
        figures = level.round(level.seed(number))
    except CannotRunError as reason:
        pytest.skip(str(reason))
    level.require_enough(figures)


def test_every_level_says_what_it_tries_and_what_it_does_not() -> None:
    assert len({level.name for level in LEVELS}) == len(LEVELS)
    for level in LEVELS:
        assert all((level.breaks, level.proves, level.leaves, level.least)), level.name
