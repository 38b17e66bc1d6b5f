"""The level `crash points`: every way in which small logs, drawn by lot, can break off.

The search is `tests/support/crashpoints.py`'s, which also says what an image is and what a
recovery. A round draws one log after another: how many events a segment has, which batches are
written, whose streams, how long the events are. For each of them everything is tried, until the
round has made its recoveries.
"""

import logging
from collections import Counter
from random import Random

from tests.support.crashpoints import Checker
from tests.support.faults import FAULTS
from tests.support.history import Planned, workload
from tests.support.smalllog import run_still
from tests.trials.level import Figures, Level

ROUND_RECOVERIES = 95_000  # ten seconds of work
STREAMS = "abcde"
BATCHES = range(2, 4)
SEGMENT_EVENTS = range(3, 7)  # at most: so many that the batches reach into the next segment
PADDINGS = (*[1] * 8, 60, 60, 400, 1_800)  # bytes; some segments reach over a page of 4096
SECOND_FAULTS_EVERY = 8  # hardly any of them leaves a disk that no first one left
EACH_FAULT = {
    (call, fault, for_ever)
    for call, faults in FAULTS.items()
    for fault in faults
    for for_ever in (False, True)
}


def drawn(dice: Random) -> list[list[Planned]]:
    """Batches, each with at most one append to a stream."""
    return workload(
        *(
            [
                (stream, [dice.choice(PADDINGS) for _ in range(dice.choice((1, 1, 2, 3)))])
                for stream in dice.sample(STREAMS, dice.randint(1, 2))
            ]
            for _ in range(dice.choice(BATCHES))
        )
    )


def one_round(seed: int) -> Figures:
    """Everything that can happen to some logs."""
    log = logging.getLogger("joblog.log")
    before, log.disabled = log.disabled, True  # of torn tails it warns tens of thousands of times
    dice, total = Random(seed), Counter[str]()
    tried = set[object]()
    try:
        while total["recoveries"] < ROUND_RECOVERIES:
            checker = Checker(drawn(dice), segment_events=dice.choice(SEGMENT_EVENTS))
            run_still(checker.everything(second_faults_every=SECOND_FAULTS_EVERY))
            total.update(_figures(checker))
            tried |= checker.tried
    finally:
        log.disabled = before
    assert tried == EACH_FAULT, f"not tried: {EACH_FAULT ^ tried}"
    return total


def _figures(checker: Checker) -> dict[str, int]:
    return {
        "logs": 1,
        "lives": checker.runs,
        "images": checker.images,
        "recoveries": checker.recoveries,
        "images of interrupted recoveries": checker.interrupted,
        "whole opens": 2 * checker.whole,
    }


LEVEL = Level(
    name="crash points",
    breaks="power cuts, errors and lack of room at every call to the disk, in recoveries too",
    proves="what was acknowledged is there, whole and in order, whatever the cut left of the rest",
    leaves="disks that lie about a sync, or spoil what is durable in the sector they write to;"
    " damage at rest",
    round=one_round,
    short=6,
    least={"images": 190_000, "recoveries": 570_000, "images of interrupted recoveries": 60_000},
)
