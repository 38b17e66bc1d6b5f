"""Schemas as rows: what msgspec writes of types, read back in words.

The schemas are msgspec's own, made from types, so that another wording in another version shows
here first.
"""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from projections.job import Status
from service.web.outline import PATTERN_CHARACTERS_MAX, Outline
from service.web.schemas import Schemas


class Leaf(msgspec.Struct):
    """A leaf."""

    size: Annotated[int, Meta(ge=1, description="In `mm`.")]


class Tree(msgspec.Struct):
    leaf: Leaf | None
    leaves: list[Leaf]
    below: "Tree | None" = None
    names: dict[str, Leaf] = {}


def outlined(type_: Any) -> tuple[Outline, dict[str, Any]]:
    schemas = Schemas()
    given = schemas.of(type_)
    return Outline(schemas.finish()), given


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        (int, "integer"),
        (str | None, "string or null"),
        (Any, "any JSON"),
        (Status, "one of `cancelled`, `completed`, `failed`, `pending`, `processing`"),
        (Literal["a"], "one of `a`"),
        (list[int], "list of integer"),
        (list[Leaf], "list of object"),
        (list[Any], "list of any JSON"),
        (dict[str, int], "object of integer"),
        (dict[str, Any], "object"),
        (Leaf, "object"),
        (Annotated[str, Meta(extra_json_schema={"format": "date-time"})], "string, date-time"),
        (Annotated[str, Meta(extra_json_schema={"const": "true"})], "`true`"),
    ],
)
def test_a_type_in_words(type_, words):
    outline, schema = outlined(type_)
    assert outline.type(schema) == words


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (Meta(), []),
        (Meta(ge=0), ["at least 0"]),
        (Meta(gt=0, le=5), ["above 0", "at most 5"]),
        (Meta(ge=-1, le=1), ["at least -1", "at most 1"]),
    ],
)
def test_the_limits_of_a_number(meta, words):
    for type_ in (Annotated[int, meta], Annotated[int, meta] | None):
        outline, schema = outlined(type_)
        assert outline.limits(schema) == words


class Defaults(msgspec.Struct):
    yes: bool = True
    no: bool = False
    zero: float = 0
    text: str = "retry"
    null: int | None = None
    listed: list[int] = []


def test_a_default_stands_as_in_json_and_one_that_says_nothing_not_at_all():
    outline, schema = outlined(Defaults)
    assert {row.name: row.limits for row in outline.rows(schema)} == {
        "yes": ["default `true`"],
        "no": ["default `false`"],
        "zero": ["default `0`"],
        "text": ["default `retry`"],
        "null": [],
        "listed": [],
    }


@pytest.mark.parametrize(("length", "shown"), [(0, True), (1, False)])
def test_a_pattern_is_shown_up_to_a_length(length, shown):
    pattern = "a" * (PATTERN_CHARACTERS_MAX + length)
    outline, schema = outlined(Annotated[str, Meta(pattern=pattern, max_length=9)])
    assert outline.limits(schema) == ["at most 9 characters"] + [f"like `{pattern}`"] * shown


def test_members_are_rows_and_what_is_inside_follows_below():
    outline, schema = outlined(Tree)
    rows = [(row.depth, row.name, row.type, row.required) for row in outline.rows(schema)]
    assert rows == [
        (0, "leaf", "object or null", True),
        (1, "size", "integer", True),
        (0, "leaves", "list of object", True),
        (1, "size", "integer", True),
        (0, "below", "object or null", False),  # itself again: only named
        (0, "names", "object of object", False),
    ]


def test_a_row_says_what_its_member_or_else_its_type_says():
    outline, schema = outlined(Tree)
    about = {row.name: (row.about, row.limits) for row in outline.rows(schema)}
    assert about["leaf"] == ("A leaf.", [])
    assert about["size"] == ("In `mm`.", ["at least 1"])


def test_what_is_no_object_has_no_rows():
    for type_ in (int, list[int], dict[str, int], Any):
        outline, schema = outlined(type_)
        assert list(outline.rows(schema)) == []


def test_the_component_that_a_schema_is_or_lists():
    for type_, name in ((Leaf, "Leaf"), (list[Leaf], "Leaf"), (Leaf | None, "Leaf"), (int, None)):
        outline, schema = outlined(type_)
        assert outline.name(schema) == name
