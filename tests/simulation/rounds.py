"""The level `simulation`: fifty seeds a round, each the whole service with its own troubles.

Some seeds of a round are run twice, and must write the same log to the byte: a failure that cannot
be repeated could not be understood.
"""

from collections import Counter

from tests.simulation.faults import SORTS
from tests.simulation.world import Lived, bury, live
from tests.trials.level import Figures, Level

SEEDS = 50
TWICE_EVERY = 20


def one_round(seed: int) -> Figures:
    """Fifty seeds, from fifty times this one on."""
    figures: Counter[str] = Counter(dict.fromkeys(SORTS, 0))
    seconds = 0.0
    try:
        for number in range(SEEDS * seed, SEEDS * (seed + 1)):
            lived = _named(number)
            if number % TWICE_EVERY == 0:
                again = _named(number)
                assert again.digest == lived.digest, f"seed {number} is not one story, but two"
                figures["seeds twice"] += 1
            seconds += lived.seconds
            figures.update(lived.faults)
            figures["seeds"] += 1
            figures["server crashes"] += lived.crashes
            figures["jobs"] += lived.jobs
            figures["events"] += lived.events
            figures["requests"] += lived.requests
    finally:
        bury()
    figures["virtual minutes"] = round(seconds / 60)
    return dict(figures)


def _named(number: int) -> Lived:
    """One of them. What it breaks is told with its number."""
    try:
        return live(number)
    except Exception as broken:
        raise AssertionError(f"simulated seed {number}: {broken}") from broken


LEVEL = Level(
    name="simulation",
    breaks="kills and power cuts, disks, stores, networks, clocks, processors and workers, by lot",
    proves="every promise about jobs, kinds, keys, attempts and answers, and that all work ends",
    leaves="threads; real sockets, disks and databases; several servers over one log",
    round=one_round,
    short=20,
    least={"seeds": 1_000, "server crashes": 2_000, "virtual minutes": 12_000},
)
