"""The levels on real processes find what was planted for them; one that does not proves nothing.

Each bug is planted in the real server, in its own process, and the level that claims it is to say
that a promise is broken. Where this machine lacks what a level needs, its bugs are skipped as well.
"""

from collections.abc import Callable
from functools import partial

import pytest

from tests.e2e import full_disks, kills, planted, power_cuts, system_faults, zombies
from tests.e2e.load import Away
from tests.e2e.private_mounts import run_in_private_mounts
from tests.support.server import ServerDidNotStartError
from tests.trials.level import CannotRunError

FOUND = (AssertionError, Away, ServerDidNotStartError)


def one_cut(seed: int, bug: str) -> None:
    run_in_private_mounts(f"{power_cuts.__name__}:cut_once", seed, bug)


def faults_of(call: str, seed: int, bug: str) -> None:
    system_faults.one_round(seed, only=call, bug=bug)


GONE = "acknowledged|are lost|ends early|bad bytes"
GOES_ON = "as if nothing had failed|after a failed sync|it still answers"

# What is tried, what is planted, and in which words it is to be found: not by an accident.
CLAIMS: list[tuple[Callable[..., object], str, str]] = [
    (partial(kills.one_round, 1, kills=3), "writes are gathered for a while", GONE),
    (partial(kills.one_round, 1, kills=4), "a torn tail is not cut", "checksum|bad bytes"),
    (
        partial(kills.one_round, 1, kills=4),
        "a key means another job after a restart",
        "are both|was answered",
    ),
    (
        partial(kills.one_round, 1, kills=4),
        "a lost attempt counts twice",
        "is not what the log says|JobFailed",
    ),
    (partial(kills.one_round, 1, kills=1), "a completion is recorded twice", "cannot follow"),
    (partial(zombies.one_round, 1, zombies=1), "a lease never ends", "nobody took it over"),
    (
        partial(zombies.one_round, 1, zombies=2),
        "nobody is fenced",
        "was not refused|speaks of other things|was taken",
    ),
    (partial(faults_of, "fdatasync", 1), "a failed sync is tried again", GOES_ON),
    (partial(faults_of, "fdatasync", 1), "a failed sync is taken for a full disk", GOES_ON),
    (partial(faults_of, "fdatasync", 1), "a failed sync poisons nothing", GOES_ON),
    (partial(faults_of, "file size limit", 1), "a failed write is not cut back", GONE),
    (partial(full_disks.one_round, 1), "there is no reserve", "could not be recorded"),
    (partial(one_cut, 1), "nothing is synced", GONE),
    (partial(one_cut, 1), "the sync is left to a timer", GONE),
]


@pytest.mark.parametrize(("level", "bug", "words"), CLAIMS, ids=[bug for _, bug, _ in CLAIMS])
def test_a_planted_bug_is_found(
    level: Callable[..., object], bug: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zombies, "WAIT_S", 10)
    try:
        with pytest.raises(FOUND, match=words):
            level(bug=bug)
    except CannotRunError as reason:
        pytest.skip(str(reason))


def test_each_planted_bug_is_claimed_by_a_level() -> None:
    assert {bug for _, bug, _ in CLAIMS} == set(planted.BUGS)
