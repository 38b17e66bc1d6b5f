"""A run of the long form: rounds of each level for so long, on so many processes.

A level's rounds are independent of each other, so they are handed out one by one until its time is
over; one that is under way is finished. The first broken promise ends the run, and says the level
and the seed that break it again.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any, NamedTuple

from tests.trials.level import CannotRunError, Figures, Level
from tests.trials.levels import LEVELS

Told = Callable[[str, Figures], None]  # a level's name and what its rounds came to so far


class BrokenPromiseError(Exception):
    """What no user may ever see."""

    def __init__(self, level: Level, seed: int, broken: BaseException) -> None:
        again = f"python -m tests.trials --only '{level.name}' --seed {seed} --minutes 0"
        super().__init__(f"{level.name}, seed {seed}: {broken}\nagain: {again}")


class Tried(NamedTuple):
    """What a level went through. `skipped` says why it did not, where it could not."""

    rounds: int
    seconds: float
    figures: dict[str, int]
    skipped: str | None = None


def try_level(level: Level, *, seed: int, seconds: float, processes: int, told: Told) -> Tried:
    """Rounds with seeds from this one on, for so long; at least one.

    Raises BrokenPromiseError.
    """
    began = time.monotonic()
    total: Counter[str] = Counter()
    rounds = 0
    side_by_side = 1 if level.alone else processes
    with ProcessPoolExecutor(side_by_side, mp_context=get_context("spawn")) as pool:
        try:
            for figures in _rounds(pool, level, seed, side_by_side, began + seconds):
                rounds += 1
                total.update(figures)
                told(level.name, total)
        except CannotRunError as reason:
            return Tried(rounds, time.monotonic() - began, dict(total), str(reason))
    return Tried(rounds, time.monotonic() - began, dict(total))


def _rounds(
    pool: ProcessPoolExecutor, level: Level, seed: int, side_by_side: int, until: float
) -> Iterator[Figures]:
    running: dict[Future[Figures], int] = {}
    while running or seed >= 0:
        while seed >= 0 and len(running) < side_by_side:
            running[pool.submit(_one_round, level.name, seed)] = seed
            seed = seed + 1 if time.monotonic() < until else -1
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            its_seed = running.pop(done)
            try:
                yield done.result()
            except CannotRunError:
                raise
            except Exception as broken:
                raise BrokenPromiseError(level, its_seed, broken) from broken
        if time.monotonic() >= until:
            seed = -1


def _one_round(name: str, seed: int) -> Figures:
    """In a process of its own: a level is found by its name there, for it cannot be sent."""
    [level] = named(name)
    return level.round(seed)


def named(*names: str) -> Sequence[Level]:
    """The levels of these names, all if there are none."""
    return [level for level in LEVELS if not names or level.name in names]


def document(commit: str, tried: dict[str, Tried]) -> dict[str, Any]:
    """What `figures.json` says of a run."""
    return {
        "commit": commit,
        "levels": {
            name: {"rounds": it.rounds, "seconds": round(it.seconds), **_told(it)}
            for name, it in tried.items()
        },
    }


def _told(tried: Tried) -> dict[str, Any]:
    return {"skipped": tried.skipped} if tried.skipped else {"figures": tried.figures}
