"""Quantiles by nearest rank: what was measured and nothing between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bench.quantile import median, quantile

HUNDRED = [float(n) for n in range(100, 0, -1)]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.01, 1), (0.5, 50), (0.98, 98), (0.99, 99), (0.991, 100), (1, 100)]
)
def test_the_share_of_a_hundred_values_is_that_one_of_them(share: float, expected: float) -> None:
    assert quantile(HUNDRED, share) == expected


def test_of_one_value_every_quantile_is_that_value() -> None:
    assert [quantile([7.0], share) for share in (0.01, 0.5, 1)] == [7, 7, 7]


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(0, 1, exclude_min=True))
def test_at_least_that_share_of_all_does_not_exceed_it_and_no_smaller_one_would_do(
    values: list[float], share: float
) -> None:
    found = quantile(values, share)
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_the_median_of_an_even_number_is_the_lower_of_the_middle_two() -> None:
    assert median([4, 1, 3, 2]) == 2
