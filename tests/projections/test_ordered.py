"""The ordered set against a sorted list, through any additions and removals; parts are small here,
so that they split and vanish all the time.
"""

import gc
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import ordered
from projections.ordered import Ordered

numbers = st.integers(0, 30).map(lambda number: (number,))
steps = st.lists(st.tuples(st.sampled_from(["add", "add", "remove", "first"]), numbers))


def check(found, plain):
    assert list(found) == plain
    assert len(found) == len(plain)
    assert all(found.number_before((n,)) == sum(each < (n,) for each in plain) for n in range(32))
    assert found._lasts == [part[-1] for part in found._parts]
    assert all(0 < len(part) <= ordered.PART_MAX for part in found._parts)


@given(start=st.sets(numbers), steps=steps, part_max=st.sampled_from([2, 3, 8]))
def test_it_holds_what_a_sorted_list_holds_whatever_is_done_to_it(start, steps, part_max):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered, "PART_MAX", part_max)
        plain = sorted(start)
        found = Ordered(plain[:])
        check(found, plain)
        for step, number in steps:
            if step == "add":
                found.add(number)
                plain = sorted({*plain, number})
            elif step == "remove":
                assert found.remove(number) is (number in plain)
                plain = [each for each in plain if each != number]
            elif plain:
                assert found.first == plain[0]
                assert found.take_first() == plain.pop(0)
            check(found, plain)


@pytest.mark.parametrize("number", [0, 1, 63, 64, 65, 5000])
def test_what_comes_in_order_fills_the_parts_one_after_the_other(number):
    found = Ordered()
    for each in range(number):
        found.add((each,))
    assert list(found) == [(each,) for each in range(number)]
    assert len(found._parts) == -(-number // ordered.PART_MAX)


def test_the_garbage_collector_has_nothing_to_go_through_but_the_list_of_parts():
    found = Ordered(range(10_000))
    for number in range(100):
        found.add(number + 0.5)
        found.remove(number)
    gc.collect()
    assert gc.is_tracked(found._parts)
    assert not any(map(gc.is_tracked, found._parts))


def test_an_empty_one_has_no_first():
    with pytest.raises(IndexError):
        Ordered().take_first()


def test_a_planted_difference_is_found():
    class Forgetful(Ordered):
        def add(self, member):
            if bisect_left(self._lasts, member) == len(self._lasts):
                super().add(member)

    found = Forgetful([(1,), (3,)])
    found.add((2,))
    with pytest.raises(AssertionError):
        check(found, [(1,), (2,), (3,)])
