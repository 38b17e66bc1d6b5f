"""The conformance suite notices what it is for: each planted bug is caught, each case has caught
one.

A suite that passes proves nothing until it has failed. `broken` and `broken_readers` hold the bugs.
"""

from functools import cache
from inspect import getmembers, isclass

import pytest

from tests.eventstore import broken, broken_readers
from tests.eventstore.broken import SharedStore, opener
from tests.eventstore.conformance import CASES, Case
from tests.support.loop import run_virtual

BROKEN = {
    name: kind
    for module in (broken, broken_readers)
    for name, kind in getmembers(module, isclass)
    if issubclass(kind, SharedStore) and kind.__module__ == module.__name__ and kind.breaks
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.clause}-{case.name}")
async def test_a_sound_store_passes_every_case(case: Case):
    await case.run(opener(SharedStore))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_store_is_caught_by_its_clause(name: str):
    assert caught_by(name)


def test_every_case_has_caught_a_broken_store():
    bitten = {case for name in BROKEN for case in caught_by(name)}
    assert [case.name for case in CASES if case.name not in bitten] == []


@cache
def caught_by(name: str) -> list[str]:
    """The cases of the broken clause that fail for this store."""
    kind = BROKEN[name]
    cases = [case for case in CASES if case.clause == f"C{kind.breaks}"]
    return [case.name for case in cases if fails(case, kind)]


def fails(case: Case, kind: type[SharedStore]) -> bool:
    """Whether the case notices anything: a wrong answer, an error, or a wait without end."""
    try:
        run_virtual(lambda: case.run(opener(kind)))
    except Exception:  # noqa: BLE001  however a case fails, it has noticed
        return True
    except pytest.fail.Exception:
        return True
    return False
