"""Each test that `hostile` names is there. A table that names what is gone says nothing."""

import ast
from pathlib import Path

import pytest

from tests.trials.hostile import TESTS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("matter", TESTS)
def test_a_matter_has_tests_that_there_are(matter: str) -> None:
    assert TESTS[matter]
    for node in TESTS[matter]:
        path, _, name = node.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        functions = ast.FunctionDef | ast.AsyncFunctionDef
        assert name in {each.name for each in tree.body if isinstance(each, functions)}, node
