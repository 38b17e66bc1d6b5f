"""The table of what the trials found: it names levels that there are. A row says all it should."""

import re

from tests.trials.found import FOUND
from tests.trials.levels import LEVELS


def test_every_bug_was_found_by_a_level_that_there_is() -> None:
    assert {each.level for each in FOUND} <= {level.name for level in LEVELS}


def test_every_row_says_when_what_and_how_it_was_mended_in_order() -> None:
    for each in FOUND:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", each.date), each
        assert each.bug, each
        assert each.mended, each
    assert [each.date for each in FOUND] == sorted(each.date for each in FOUND)
