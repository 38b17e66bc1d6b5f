"""What goes wrong with a seed: a swarm, where each seed turns on a part of all there is.

With everything on, the same few things would happen in every run (nothing is ever acknowledged,
say, so nothing can be lost). With a random part on, each combination has its day. Whoever could do
something wrong asks `hit` whether it shall, here and now; once `calm` is set, nothing does.
"""

from collections import Counter
from random import Random
from typing import Final

# How often what can happen at each turn happens, where it is on; and the sort it is counted as.
AT_EACH_TURN: Final = {
    "a commit is lost before it landed": (0.06, "store faults"),
    "a commit is lost after it landed": (0.06, "store faults"),
    "a commit is refused": (0.04, "store faults"),
    "a commit fails in a strange way": (0.03, "store faults"),
    "a store takes 1 ms": (0.5, "slow answers"),
    "a store takes 50 ms": (0.3, "slow answers"),
    "a store takes 2 s": (0.04, "slow answers"),
    "a wake-up is missed": (0.3, "store faults"),
    "a request is lost": (0.05, "network faults"),
    "an answer is lost": (0.08, "network faults"),
    "an answer is slow": (0.2, "slow answers"),
    "a processor misbehaves": (0.5, "processor faults"),
}
# What the nemesis does, where it is on.
DEEDS: Final = {
    "power cut": "crashes",
    "kill": "crashes",
    "restart": "restarts",
    "disk error": "disk faults",
    "full disk": "disk faults",
    "clock step": "clock steps",
    "server stands still": "stalls",
    "worker stands still": "stalls",
    "worker is cut off": "network faults",
    "worker is killed": "crashes of workers",
}
SORTS: Final = sorted({sort for _, sort in AT_EACH_TURN.values()} | {*DEEDS.values()})


class Faults:
    """See the module. `counts` are those that happened, by sort."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self.calm = False
        self.counts: Counter[str] = Counter()
        share = dice.choice((0.2, 0.5, 0.8))
        self.on = {name for name in (*AT_EACH_TURN, *DEEDS) if dice.random() < share}

    def hit(self, name: str) -> bool:
        """Whether it shall happen, here and now."""
        often, sort = AT_EACH_TURN[name]
        if self.calm or name not in self.on or self._dice.random() >= often:
            return False
        self.counts[sort] += 1
        return True

    def deeds(self) -> list[str]:
        """What the nemesis may do. Processes die with every seed."""
        return [name for name in DEEDS if name in self.on] or ["kill"]

    def done(self, deed: str) -> None:
        """The nemesis did it."""
        self.counts[DEEDS[deed]] += 1

    def delay_s(self) -> float:
        """How long a store takes."""
        if self.hit("a store takes 2 s"):
            return 2.0
        if self.hit("a store takes 50 ms"):
            return 0.05
        return 0.001 if self.hit("a store takes 1 ms") else 0.0
