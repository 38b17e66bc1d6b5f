"""The query of a request, as a struct: each parameter known, given once, of its type and in bounds.

A misspelt parameter that is silently ignored is an order not carried out, so it is refused like any
other. The struct's fields are the parameters: their types and bounds are the validation here, and
are the API's description elsewhere.

Times are RFC 3339 with a zone, positions fit into an engine's integer. Not here: what an option
means.
"""

import re
from collections import Counter
from contextlib import suppress
from typing import Annotated, Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta
from starlette.requests import Request

from eventstore.store import POSITION_MAX
from eventstore.timestamp import Timestamp, parse
from projections.moment import Moment
from projections.moment import moment as parse_moment
from service.web import problems
from service.web.problems import Invalid, ProblemError
from service.web.validation import described

NAME_CHARACTERS_MAX = 100  # of a wrong parameter's name, said back
ERRORS_MAX = 20

T = TypeVar("T", bound=msgspec.Struct)
After: TypeAlias = Annotated[
    int, Meta(ge=0, le=POSITION_MAX, description="Only those at later positions.")
]
MinPosition: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=POSITION_MAX,
        description="Wait until the log was read so far: the `Log-Position` of an earlier answer.",
    ),
]

_UNASKED: Final[dict[type[msgspec.Struct], Any]] = {}  # what an empty query is read as, by type

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def pairs(request: Request) -> list[tuple[str, str]]:
    """The parameters as sent, decoded."""
    return parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)


def read_query(request: Request, type_: type[T]) -> T:
    """The query as a struct, whose fields are the parameters there are. Raises ProblemError."""
    if not request.scope["query_string"] and type_ in _UNASKED:
        unasked: T = _UNASKED[type_]
        return unasked
    given = pairs(request)
    _refuse_unfit(given, type_.__struct_fields__)
    try:
        found = msgspec.convert(dict(given), type_, strict=False)
    except msgspec.ValidationError as error:
        detail, steps = described(error)
        detail = detail.replace(", got `str`", "").replace("Expected `", "expected `")
        raise problems.invalid(Invalid(f"?{'.'.join(steps)}", detail)) from error
    if not given:
        _UNASKED[type_] = found
    return found


def time(name: str, text: str) -> Timestamp:
    """The point in time that a parameter gives. Raises ProblemError."""
    if _TIME.fullmatch(text):
        with suppress(ValueError):  # a 30th of February
            return parse(text.upper())
    raise _no_time(name, text, "an")


def moment(name: str, text: str) -> Moment:
    """The moment that a parameter names. Raises ProblemError."""
    try:
        return parse_moment(text)
    except ValueError as error:
        raise _no_time(name, text, "a position of the log, or an") from error


def _no_time(name: str, text: str, expected: str) -> ProblemError:
    hint = "; a + in a query is written %2B" if " " in text else ""
    detail = f"expected {expected} RFC 3339 time with a zone, as 2026-11-23T23:37:42Z{hint}"
    return problems.invalid(Invalid(f"?{name}", detail))


def _refuse_unfit(given: list[tuple[str, str]], known: tuple[str, ...]) -> None:
    """Raise ProblemError for parameters that do not exist here, or are given more than once."""
    unfit = [
        Invalid(f"?{name[:NAME_CHARACTERS_MAX]}", _why_unfit(name, known))
        for name, times in Counter(name for name, _ in given).items()
        if name not in known or times > 1
    ]
    if unfit:
        raise problems.invalid(*unfit[:ERRORS_MAX])


def _why_unfit(name: str, known: tuple[str, ...]) -> str:
    if name in known:
        return "given more than once"
    return f"no such parameter; there are {', '.join(known)}" if known else "no such parameter"
