"""What a validation error says and where it points: msgspec's words as `pointer` and `detail`.

msgspec ends its message with a path, and a ValueError from a payload type's `__post_init__` may
bring one of its own, relative to the struct that raised it:

    Expected `str`, got `int` - at `$.to`                 ->  #/to
    one recipient is too many - at `$.to` - at `$[3]`     ->  #/3/to
    Object contains unknown field `colour` - at `$[3]`    ->  #/3/colour

The same words come from a kind that refuses a payload when its job is made.

A pointer is an RFC 6901 URI fragment. Where msgspec does not say which key it means (`$.tags[...]`)
it ends at the object. What msgspec lets pass is checked in `typed`, and nothing else here.
"""

import dataclasses
import re
from typing import Any
from urllib.parse import quote

import msgspec

from service.web.problems import Invalid

PLACES_MAX = 3  # a path of ours, in a struct, in an item of a batch
NAME_CHARACTERS_MAX = 100  # of a wrong member's name, said back

_PLACE = re.compile(r" - at (?:`key` in )?`(\$[^`]*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_ABOUT_MEMBER = ("Object contains unknown field `", "Object missing required field `")
_UNNAMED = "..."  # some key of an object


def typed(value: Any, type_: Any) -> Any:
    """A JSON value, of this type. A member that the type does not have is refused, also where the
    type itself would pass it over (a dataclass, a Struct that does not forbid it): an order that is
    silently not carried out is worse than a refusal. Raises msgspec.ValidationError.
    """
    found = msgspec.convert(value, type_)
    if isinstance(value, dict) and (known := _members(type_)) is not None:
        for name in value:
            if name not in known:
                raise msgspec.ValidationError(f"{_ABOUT_MEMBER[0]}{name}`")
    return found


def invalid_body(error: Exception) -> Invalid:
    """What is wrong in the body, and where."""
    detail, steps = described(error)
    return Invalid("#" + "".join(f"/{_escaped(step)}" for step in steps), detail)


def described(error: Exception) -> tuple[str, list[str]]:
    """What is wrong, without the path, and the steps to where it is. A member's name is whatever
    the client chose: it is never read as a path, and said back in part.
    """
    detail, steps = str(error), list[str]()
    about_member = detail.startswith(_ABOUT_MEMBER)
    for _ in range(1 if about_member else PLACES_MAX):
        detail, more = _without_place(detail, after_name=about_member)
        steps += more  # the outermost path stands last
    if about_member:
        what, _, name = detail.removesuffix("`").partition("`")
        name = name if len(name) <= NAME_CHARACTERS_MAX else f"{name[:NAME_CHARACTERS_MAX]}…"
        detail = f"{what}`{name}`"
        steps.append(name)
    return detail, steps[: steps.index(_UNNAMED)] if _UNNAMED in steps else steps


def _without_place(detail: str, *, after_name: bool) -> tuple[str, list[str]]:
    """A message without the path at its end, and the path's steps."""
    at = detail.rfind("` - at " if after_name else " - at ") + after_name
    found = _PLACE.fullmatch(detail, at) if at > 0 else None
    return (detail, []) if found is None else (detail[:at], _steps(found[1]))


def _members(type_: Any) -> tuple[str, ...] | None:
    """The members of an object of this type; None where any may be, or it refuses others itself."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        itself = type_.__struct_config__.forbid_unknown_fields
        return None if itself else type_.__struct_encode_fields__
    if dataclasses.is_dataclass(type_):
        return tuple(field.name for field in dataclasses.fields(type_))
    return None


def _steps(path: str) -> list[str]:
    return [name or index for name, index in _STEP.findall(path)]


def _escaped(step: str) -> str:
    return quote(step.replace("~", "~0").replace("/", "~1"), safe="", errors="replace")
