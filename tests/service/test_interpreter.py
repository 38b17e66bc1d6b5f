"""The interpreter of a process that serves, and that it is as it was afterwards.

What it is good for cannot be asserted without a clock; so only what is changed is looked at, and by
which objects.
"""

import gc
import sys

import pytest

from service.interpreter import SWITCH_S, YOUNG_OBJECTS, serving_well


def as_it_is() -> tuple[float, tuple[int, int, int], bool, int]:
    return sys.getswitchinterval(), gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()


def test_no_garbage_is_looked_for_during_a_start() -> None:
    with serving_well():
        assert not gc.isenabled()


def test_what_is_there_after_a_start_is_not_looked_at_again() -> None:
    there = [[]]  # type: ignore[var-annotated]
    with serving_well() as started:
        assert any(each is there for each in gc.get_objects())
        started()
        assert not any(each is there for each in gc.get_objects())
        assert gc.isenabled()


def test_garbage_that_comes_later_is_found() -> None:
    with serving_well() as started:
        started()
        later = [[]]  # type: ignore[var-annotated]
        assert any(each is later for each in gc.get_objects())


def test_a_thread_gives_the_interpreter_back_soon() -> None:
    with serving_well():
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        assert gc.get_threshold()[0] == YOUNG_OBJECTS


@pytest.mark.parametrize("start", [True, False])
def test_all_is_as_it_was_afterwards(start: bool) -> None:
    before = as_it_is()
    with serving_well() as started:
        if start:
            started()
    assert as_it_is() == before
