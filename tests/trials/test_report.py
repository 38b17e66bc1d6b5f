"""The long form's own parts: what it says of a run, and that README says the same."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from tests.trials import run
from tests.trials.__main__ import FIGURES
from tests.trials.level import CannotRunError, Figures, Level
from tests.trials.levels import LEVELS
from tests.trials.report import BEGIN, END, NONE_YET, README, put_into, table
from tests.trials.run import BrokenPromiseError, Tried, document, try_level


def some(name: str) -> Level:
    return Level(name, "cups", "they hold", "the saucers", _one_round, 1, {"cups": 1})


def _one_round(seed: int) -> Figures:
    if seed == 2:
        raise AssertionError("a cup broke")
    if seed == 3:
        raise CannotRunError("there are no cups")
    return {"cups": seed}


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the level of these tests is known."""
    monkeypatch.setattr(run, "LEVELS", (some("cups"),))
    monkeypatch.setattr(
        run, "ProcessPoolExecutor", lambda workers, **_: ThreadPoolExecutor(workers)
    )


def tried(seed: int) -> Tried:
    return try_level(
        some("cups"), seed=seed, seconds=0, processes=1, told=lambda name, figures: None
    )


@pytest.mark.usefixtures("_in_this_process")
def test_a_run_of_no_time_is_one_round() -> None:
    assert tried(7)[::2] == (1, {"cups": 7})


@pytest.mark.usefixtures("_in_this_process")
def test_a_broken_promise_ends_it_and_says_how_to_break_it_again() -> None:
    with pytest.raises(BrokenPromiseError, match="cups, seed 2: a cup broke") as broken:
        tried(2)
    assert "--only 'cups' --seed 2 --minutes 0" in str(broken.value)


@pytest.mark.usefixtures("_in_this_process")
def test_what_cannot_be_tried_says_why() -> None:
    assert tried(3).skipped == "there are no cups"


def test_a_level_that_was_not_run_or_could_not_is_told_as_such() -> None:
    first, second, *_ = [level.name for level in LEVELS]
    found = document("abc", {first: Tried(1, 2.0, {"images": 1234}), second: Tried(0, 0, {}, "so")})
    lines = list(table(found))
    assert "`abc`" in lines[0]
    assert lines[2].endswith("| 1,234 images |")
    assert lines[3].endswith("| could not run: so |")
    assert lines[4].endswith("| not run |")


def test_the_table_takes_the_place_of_the_one_before() -> None:
    found = document("abc", {})
    once = put_into(f"before\n{BEGIN}old\n{END}after\n", found)
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert put_into(once, found) == once


def test_readme_has_the_figures_of_the_last_run_that_came_to_its_end() -> None:
    readme = README.read_text()
    if not FIGURES.exists():
        assert f"{BEGIN}{NONE_YET}\n{END}" in readme
        return
    kept = orjson.loads(FIGURES.read_bytes())
    assert put_into(readme, kept) == readme
    assert set(kept["levels"]) == {level.name for level in LEVELS}
