"""How long to wait before another attempt: exponential, capped, with full jitter.

The life of a job that keeps failing, under the default policy:

1. attempt 1 fails: it is due again after a random time of up to 5 s;
2. attempt 2 fails: up to 20 s; then 80 s, 320 s, 1,280 s, and never more than an hour;
3. when its allowance of attempts is used up (3 unless it asked for more) it is `failed`, and stays
   so until somebody asks for it again.

Full jitter (a time drawn evenly from 0 to the bound, see "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015) spreads the retries of jobs that failed together, which is what a
recovering server needs most. The dice are passed in and the drawn delay is recorded, so a replay
never draws.
"""

from random import Random
from typing import Final

from projections.events import BackoffPolicy

DEFAULT: Final = BackoffPolicy(base_s=5, factor=4, cap_s=3600)
GROWTHS_MAX = 60  # far beyond any cap: a millionth failure need not be multiplied out


def bound_s(policy: BackoffPolicy, failures: int) -> float:
    """The longest wait after this many failures (1 after the first)."""
    bound = policy["base_s"]
    for _ in range(min(failures - 1, GROWTHS_MAX)):
        bound *= policy["factor"]  # one by one: a product overflows to infinity, a power raises
    return min(policy["cap_s"], bound)


def delay_s(policy: BackoffPolicy, failures: int, dice: Random) -> float:
    """The wait after this many failures, to the microsecond."""
    return round(dice.uniform(0.0, bound_s(policy, failures)), 6)
