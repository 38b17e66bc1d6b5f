"""The only reader of clocks. Two of them, named by what they are for.

`now()` is what is stored, or compared with something stored: it may jump when an operator sets the
clock. `monotonic()` is how long something took: it never goes back, and means nothing outside this
process.

Both ask at call time, through the module that owns the clock, so that freezing time (freezegun)
freezes joblog. For the same reason neither is ever a default argument, and `tests/test_house.py`
forbids every other module to ask.
"""

import time

from eventstore.timestamp import Timestamp, since_1970


def now() -> Timestamp:
    """The wall clock."""
    return since_1970(round(time.time() * 1_000_000))  # a double is finer


def monotonic() -> float:
    """Seconds since some instant of this process's choosing."""
    return time.monotonic()
