"""Pointers: from msgspec's paths, one or several, to RFC 6901 fragments.

The messages are msgspec's own, made by converting, so that another wording in another version shows
here first.
"""

from typing import Any

import msgspec
import pytest

from service.web.validation import invalid_body


class Item(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    size: int = 0

    def __post_init__(self) -> None:
        if self.size == 5:
            raise ValueError("five - at `$.size`")
        if self.size == 6:
            raise ValueError("no six")


class Order(msgspec.Struct, forbid_unknown_fields=True):
    items: list[Item] = []
    by_name: dict[str, Item] = {}
    pair: tuple[int, str] = (0, "")
    counts: dict[int, int] = {}
    odd: int = msgspec.field(name="a/b~c", default=0)


@pytest.mark.parametrize(
    ("type_", "value", "pointer", "detail"),
    [
        (Item, {"to": 1}, "#/to", "Expected `str`, got `int`"),
        (Item, [], "#", "Expected `object`, got `array`"),
        (Item, {}, "#/to", "Object missing required field `to`"),
        (Item, {"to": "", "x": 1}, "#/x", "Object contains unknown field `x`"),
        (Item, {"to": "", "`$.y`": 1}, "#/%60%24.y%60", "Object contains unknown field ``$.y``"),
        (Item, {"to": "", "size": 5}, "#/size", "five"),
        (Item, {"to": "", "size": 6}, "#", "no six"),
        (list[Item], [{"to": ""}, {"to": 1}], "#/1/to", "Expected `str`, got `int`"),
        (list[Item], [{"to": ""}] * 3 + [{"to": "", "size": 5}], "#/3/size", "five"),
        (list[Item], [{"to": "", "size": 6}], "#/0", "no six"),
        (list[Item], [{}], "#/0/to", "Object missing required field `to`"),
        (Order, {"items": [{"to": "", "size": 5}]}, "#/items/0/size", "five"),
        (Order, {"by_name": {"n": {"to": 1}}}, "#/by_name", "Expected `str`, got `int`"),
        (Order, {"by_name": {"n": {"to": "", "size": 5}}}, "#/by_name", "five"),
        (Order, {"pair": [1, 2]}, "#/pair/1", "Expected `str`, got `int`"),
        (Order, {"counts": {"x": 1}}, "#/counts", "Expected `int`, got `str`"),
        (Order, {"a/b~c": "x"}, "#/a~1b~0c", "Expected `int`, got `str`"),
    ],
)
def test_where_it_points_and_what_it_says(
    type_: Any, value: Any, pointer: str, detail: str
) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(value, type_)
    found = invalid_body(error.value)
    assert (found.pointer, found.detail) == (pointer, detail)


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        ("x - at `$.y", "#/x%20-%20at%20%60%24.y"),
        (" - at `$.x`" * 3, "#/" + "%20-%20at%20%60%24.x%60" * 3),
    ],
)
def test_a_members_name_is_not_read_as_a_path(name, pointer):
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({name: 1}, Order)
    assert invalid_body(refused.value).pointer == pointer


def test_a_long_name_is_said_back_in_part_and_read_once():
    """Read once for each path that it seems to hold, a megabyte of them took minutes."""
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert([{" - at `$.x`" * 90_000: 1}], list[Order])
    invalid = invalid_body(refused.value)
    assert len(invalid.detail) < 200
    assert len(invalid.pointer) < 400
    assert invalid.pointer.startswith("#/0/")
