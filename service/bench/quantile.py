"""Quantiles by nearest rank: a value that was measured, never one between two.

p99 of a hundred values is the ninety-ninth of them. Nothing is interpolated and nothing left out.
"""

import math
from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (above 0, at most 1) of all do not exceed."""
    assert 0 < share <= 1, share
    return sorted(values)[math.ceil(share * len(values)) - 1]


def median(values: Sequence[float]) -> float:
    """The half of them are at most this."""
    return quantile(values, 0.5)
