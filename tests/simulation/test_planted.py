"""The simulation finds what it is there to find: each of these mistakes, planted in the product."""

import pytest

from tests.simulation.naive import Broken
from tests.simulation.planted import PLANTS, Plant
from tests.simulation.world import bury, live


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.mistake.__name__)
def test_a_mistake_breaks_a_promise(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.mistake(monkeypatch)
    try:
        with pytest.raises(Broken):
            live(plant.seed)
    finally:
        bury()
