"""The rows and their targets: how a score is formed, when it holds, and that README says the same.

Boundaries are looked at on both sides.
"""

from pathlib import Path

import pytest

from service.bench.run import MEASURES
from service.bench.table import ROWS, Form, Row

ROOT = Path(__file__).resolve().parents[3]


def row(form: Form, target: float, unit: str = "ms") -> Row:
    return Row("some", "some work", "something less", unit, form, target)


def test_a_share_is_of_the_floor_and_wants_at_least_its_target() -> None:
    some = row(Form.SHARE, 0.5)
    assert some.score(40, 100) == 0.4
    assert [some.holds(score) for score in (0.499, 0.5, 0.501)] == [False, True, True]
    assert some.wanted == ">= 0.5"


def test_times_are_of_the_floor_and_want_at_most_their_target() -> None:
    some = row(Form.TIMES, 1.5)
    assert some.score(30, 20) == 1.5
    assert [some.holds(score) for score in (1.499, 1.5, 1.501)] == [True, True, False]
    assert some.wanted == "<= 1.5"


def test_more_is_what_comes_on_top_of_the_floor() -> None:
    some = row(Form.MORE, 64, "MiB")
    assert some.score(100, 40) == 60
    assert [some.holds(score) for score in (63, 64, 65)] == [True, True, False]
    assert some.wanted == "<= +64 MiB"


def test_a_figure_that_has_no_floor_is_its_own_score() -> None:
    some = row(Form.ITSELF, 5)
    assert some.score(4, None) == 4
    assert [some.holds(score) for score in (4.9, 5, 5.1)] == [True, True, False]
    assert some.wanted == "<= 5 ms"


def test_an_aim_is_told_in_the_words_of_a_target_and_decides_nothing() -> None:
    some = Row("some", "some work", "something less", "ms", Form.SHARE, 0.5, 0.8)
    assert (some.wanted, some.wished) == (">= 0.5", ">= 0.8")
    assert some.holds(0.5)
    assert row(Form.SHARE, 0.5).wished == ""


def test_an_aim_is_beyond_its_target() -> None:
    for some in ROWS.values():
        if some.aim is not None:
            assert some.holds(some.aim), some.name
            assert some.aim != some.target, some.name


def test_a_form_other_than_itself_has_a_floor() -> None:
    with pytest.raises(AssertionError, match="some has a floor"):
        row(Form.SHARE, 1).score(1, None)


def test_every_row_has_its_floor_and_its_measure() -> None:
    assert list(MEASURES) == list(ROWS)
    for name, found in ROWS.items():
        assert found.name == name
        assert (found.floor == "") is (found.form is Form.ITSELF)


@pytest.mark.parametrize("name", ROWS)
def test_the_readme_names_the_row_its_floor_its_target_and_its_aim(name: str) -> None:
    some = ROWS[name]
    text = (ROOT / "README.md").read_text()
    [line] = [line for line in text.splitlines() if line.startswith(f"| `{name}` ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    against = f"{some.work}; against {some.floor}" if some.floor else some.work
    assert cells[1] == against
    wanted = [each.replace("<=", "≤").replace(">=", "≥") for each in (some.wanted, some.wished)]
    assert cells[-2:] == wanted
