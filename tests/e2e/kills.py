"""The level `kills`: a real server and real workers, killed at moments that dice choose.

    while it is loaded, idle, starting or recovering; a worker, the server, or both at once

Segments hold a few lines, so that most kills under load fall into a roll-over or near one. Between
two lives a torn tail is put behind what the dead server left, as a power cut could leave it: half a
line, zeros, noise, an old line once more. Only *behind* it: what it wrote may have been synced.

What the system holds in memory survives a kill: what a disk has not got is `power_cuts`' matter.
"""

import time
from random import Random

from tests.e2e.trial import Trial, trial, under_load
from tests.trials.level import Figures, Level

KILLS = 25
CLIENTS = 3
START_S = 0.7  # about what a start takes
ACKNOWLEDGED_S = 20  # a server that promises nothing for so long is stuck


def one_round(seed: int, kills: int = KILLS, bug: str | None = None) -> Figures:
    """So many kills, then rest."""
    began = time.monotonic()
    with trial(Random(seed), bug) as stage:
        killing = _Killing(stage)
        stage.add_worker()
        with under_load(stage, clients=CLIENTS, hands=1):
            while killing.kills < kills and not stage.address.is_over:
                killing.one_life()
        found = stage.settle()
        return {
            "kills": killing.kills,
            "promises": len(stage.promises),
            "torn tails": killing.torn,
            "jobs": len(found),
            "jobs lost": 0,
            "seconds": round(time.monotonic() - began),
        }


class _Killing:
    """Lives of a server, one after the other."""

    def __init__(self, stage: Trial) -> None:
        self._stage = stage
        self._dice = stage.dice  # a life has dice of its own: what one leaves moves no other's
        self.kills = 0
        self.torn = 0

    def one_life(self) -> None:
        """From a start to a kill, and a look at what it left."""
        self._dice = Random(self._stage.dice.random())
        how = self._dice.choice(
            ("load", "load", "load", "idle", "start", "start", "worker", "both")
        )
        if how == "start":
            self._stage.kill_while_starting(self._dice.uniform(0.1, START_S))
        else:
            self._live(how)
        self.kills += 1
        self._stage.require_kept()
        if self._dice.random() < 0.6:
            self._tear()

    def _live(self, how: str) -> None:
        server = self._stage.start()
        if how != "idle":
            self._some_promises()
        if how == "worker":
            self._kill_worker()
            self._some_promises()
        self._stage.address.down()
        if how == "both":
            self._kill_worker()
        server.kill()
        self._stage.gone()

    def _kill_worker(self) -> None:
        self._stage.kill_worker()
        self.kills += 1

    def _some_promises(self) -> None:
        number = self._dice.randrange(1, 40)
        assert self._stage.address.after_promises(number, within_s=ACKNOWLEDGED_S), "it is stuck"

    def _tear(self) -> None:
        """Leave what a power cut could leave of a commit that nobody was told of."""
        path = max((self._stage.data / "log").glob("*.jsonl"), default=None)
        if path is None:
            return
        content = path.read_bytes()
        if content and not content.endswith(b"\n"):
            return  # torn by the kill itself
        lines = content.splitlines(keepends=True) or [b'{"pos":1}\n']
        some = self._dice.choice(lines)
        tails = (
            some[: self._dice.randrange(1, len(some))],
            some,
            bytes(self._dice.randrange(1, 5000)),
            self._dice.randbytes(self._dice.randrange(1, 600)),
            some[: len(some) // 2] + bytes(100) + b"\n" + some,
        )
        with path.open("ab") as file:
            file.write(self._dice.choice(tails))
        self.torn += 1


LEVEL = Level(
    name="kills",
    breaks="kill -9 of server and workers, under load, idle, starting, recovering; torn tails",
    proves="nothing acknowledged is lost, every job ends exactly once, keys keep their meaning",
    leaves="what the system's memory holds survives a kill: power cuts are another level",
    round=one_round,
    short=2,
    least={"kills": 50, "promises": 600, "torn tails": 10},
    alone=True,
)
