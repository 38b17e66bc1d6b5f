"""The levels there are, each in the room of what it tries. A new one is added here and nowhere
else.
"""

from typing import Final

from tests.e2e import full_disks, kills, power_cuts, system_faults, zombies
from tests.eventstore import crash_rounds, damage_rounds, hostile_lines
from tests.service import hostile_clients, hostile_rounds
from tests.simulation import rounds
from tests.trials.level import Level

LEVELS: Final[tuple[Level, ...]] = (
    crash_rounds.LEVEL,
    rounds.LEVEL,
    kills.LEVEL,
    zombies.LEVEL,
    system_faults.LEVEL,
    full_disks.LEVEL,
    power_cuts.LEVEL,
    hostile_lines.LEVEL,
    hostile_rounds.LEVEL,
    hostile_clients.LEVEL,
    damage_rounds.LEVEL,
)
