"""The delay before another attempt: its bound, its cap, and that the dice reach all of it.

The bound is compared with its formula in whole numbers, which never overflow; the jitter is pinned
by dice that fall as told. Which failures count towards it is tested with the commands.
"""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.events import BackoffPolicy
from service.backoff import DEFAULT, bound_s, delay_s

policies = st.builds(
    BackoffPolicy,
    base_s=st.integers(0, 10**6),
    factor=st.integers(1, 10**6),
    cap_s=st.integers(0, 10**7),
)
failures = st.integers(1, 10**12)


class Loaded(Random):
    """Dice that fall as told, between 0 and 1."""

    def __init__(self, falls):
        super().__init__(1)
        self.falls = falls

    def random(self):
        return self.falls


@pytest.mark.parametrize(
    ("failures", "bound"),
    [(1, 5), (2, 20), (3, 80), (4, 320), (5, 1280), (6, 3600), (7, 3600), (10**9, 3600)],
)
def test_the_default_bounds_are_those_of_the_story(failures, bound):
    assert bound_s(DEFAULT, failures) == bound


@given(policies, st.integers(1, 50))
def test_the_bound_is_the_capped_power(policy, failures):
    power = Fraction(policy["base_s"]) * policy["factor"] ** (failures - 1)
    assert bound_s(policy, failures) == min(policy["cap_s"], power)


@given(policies, failures)
def test_the_bound_never_exceeds_the_cap_and_never_shrinks(policy, failures):
    assert 0 <= bound_s(policy, failures) <= bound_s(policy, failures + 1) <= policy["cap_s"]


@pytest.mark.parametrize("factor", [1e6, 1e300, 10**300, float("inf")])
def test_a_huge_factor_is_the_cap_and_not_an_overflow(factor):
    policy = BackoffPolicy(base_s=5, factor=factor, cap_s=60)
    assert [bound_s(policy, failures) for failures in (1, 2, 50, 10**9)] == [5, 60, 60, 60]


def test_a_constant_policy_stays_constant():
    policy = BackoffPolicy(base_s=1.5, factor=1, cap_s=60)
    assert {bound_s(policy, failures) for failures in (1, 2, 61, 10**9)} == {1.5}


def test_a_base_above_the_cap_is_the_cap():
    assert bound_s(BackoffPolicy(base_s=90, factor=4, cap_s=60), 1) == 60


@pytest.mark.parametrize(("falls", "delay"), [(0.0, 0), (0.25, 20), (0.5, 40), (1.0, 80)])
def test_the_jitter_is_full(falls, delay):
    assert delay_s(DEFAULT, 3, Loaded(falls)) == delay


@given(policies, failures, st.floats(0, 1))
def test_wherever_the_dice_fall_the_delay_is_within_the_bound(policy, failures, falls):
    bound = bound_s(policy, failures)
    delay = delay_s(policy, failures, Loaded(falls))
    assert 0 <= delay <= bound
    assert abs(delay - falls * bound) <= 0.000_001


@given(policies, failures, st.integers())
def test_a_delay_is_a_whole_number_of_microseconds(policy, failures, seed):
    delay = delay_s(policy, failures, Random(seed))
    assert delay == round(delay, 6)


@given(policies, failures, st.integers())
def test_the_same_dice_draw_the_same_delay(policy, failures, seed):
    left, right = Random(seed), Random(seed)
    for _ in range(3):
        assert delay_s(policy, failures, left) == delay_s(policy, failures, right)


def test_delays_spread_over_the_whole_range():
    dice = Random(1)
    delays = [delay_s(DEFAULT, 6, dice) for _ in range(1000)]
    tenths = {int(delay // 360) for delay in delays}
    assert tenths == set(range(10))
