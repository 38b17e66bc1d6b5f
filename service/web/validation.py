"""What a validation error says and where it points: msgspec's words as `pointer` and `detail`.

msgspec ends its message with a path, and a ValueError from a payload type's `__post_init__` may
bring one of its own, relative to the struct that raised it:

    Expected `str`, got `int` - at `$.to`                 ->  #/to
    one recipient is too many - at `$.to` - at `$[3]`     ->  #/3/to
    Object contains unknown field `colour` - at `$[3]`    ->  #/3/colour

A pointer is an RFC 6901 URI fragment. Where msgspec does not say which key it means (`$.tags[...]`)
it ends at the object. This module checks nothing itself.
"""

import re
from urllib.parse import quote

import msgspec

from service.web.problems import Invalid

_PLACE = re.compile(r" - at (?:`key` in )?`(\$[^`]*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_MEMBER = re.compile(r"Object (?:contains unknown|missing required) field `(.*)`", re.DOTALL)
_UNNAMED = "..."  # some key of an object


def invalid_body(error: msgspec.ValidationError) -> Invalid:
    """What is wrong in the body, and where."""
    detail, steps = described(error)
    return Invalid("#" + "".join(f"/{_escaped(step)}" for step in steps), detail)


def described(error: msgspec.ValidationError) -> tuple[str, list[str]]:
    """What is wrong, without the path, and the steps to where it is."""
    detail, steps = str(error), list[str]()
    while found := _PLACE.search(detail):  # the outermost path stands last
        detail, steps = detail[: found.start()], steps + _steps(found[1])
    if member := _MEMBER.fullmatch(detail):
        steps.append(member[1])
    return detail, steps[: steps.index(_UNNAMED)] if _UNNAMED in steps else steps


def _steps(path: str) -> list[str]:
    return [name or index for name, index in _STEP.findall(path)]


def _escaped(step: str) -> str:
    return quote(step.replace("~", "~0").replace("/", "~1"), safe="", errors="replace")
