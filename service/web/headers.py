"""The request headers we act on, each read by one function into a plain value.

| header                      | RFC     | read as |
|-----------------------------|---------|---------|
| `If-None-Match`, `If-Match` | 9110    | the entity tags named; ours are `"<rev>"` and strong |
| `Prefer: wait=N`            | 7240    | seconds, at most 30; what cannot be read is left alone |
| `Idempotency-Key`           | a draft | the key: quoted as in the draft, or bare as most send it |
| `Accept`                    | 9110    | which of our representations it is to be |
| `Last-Event-ID`             | (HTML)  | the position after which a stream of events goes on |

Most requests bring none of these. Which fields there are is found out once a request, and only what
is asked for is decoded.

A condition or a key that cannot be read is refused (400) and never ignored: who sent it relies on
it. What to do about any of them is the endpoints' matter.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from starlette.requests import Request
from starlette.types import Scope

from eventstore.store import POSITION_MAX
from service.web import problems
from service.web.problems import ProblemError

Fields: TypeAlias = dict[bytes, bytes]  # name in lower case -> its last value

WAIT_S_MAX = 30
KEY_CHARACTERS_MAX = 255

_FIELDS = "joblog.fields"  # in the scope
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_REV = re.compile(r"[1-9][0-9]{0,15}")
_POSITION = re.compile(r"[0-9]{1,19}")
_DIGITS = re.compile(r"[0-9]+")
_BARE_KEY = re.compile(r"[\x21\x23-\x7e][\x20-\x7e]*")
_QUOTED_KEY = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')


class Tags(NamedTuple):
    """Entity tags of a condition: `*`, or revisions. Tags that are none of ours are left out."""

    any: bool
    strong: frozenset[int] = frozenset()
    weak: frozenset[int] = frozenset()

    def match(self, rev: int) -> bool:
        """Whether they name this revision, by the weak comparison of If-None-Match."""
        return self.any or rev in self.strong or rev in self.weak


def given(scope: Scope, name: bytes) -> list[str]:
    """The values of one field of a request's header; `name` is in lower case."""
    fields: Fields | None = scope.get(_FIELDS)
    if fields is None:
        fields = scope[_FIELDS] = dict(scope["headers"])
    value = fields.get(name)
    if value is None:
        return []
    if len(fields) == len(scope["headers"]):
        return [value.decode("latin-1")]
    return [value.decode("latin-1") for other, value in scope["headers"] if other == name]


def etag(rev: int) -> str:
    """The entity tag of a revision."""
    return f'"{rev}"'


def if_none_match(request: Request) -> Tags | None:
    """The representations that the client has; None when it does not say."""
    return _tags(request, "If-None-Match")


def has_it(request: Request, tag: str) -> bool:
    """Whether the client has the representation with this entity tag, which is no revision."""
    said = ",".join(given(request.scope, b"if-none-match"))
    return _tags(request, "If-None-Match") == Tags(any=True) or tag in (
        f'"{found}"' for _, found in _TAG.findall(said)
    )


def if_match(request: Request) -> frozenset[int] | None:
    """The revisions at which to act, by strong comparison; None for any."""
    tags = _tags(request, "If-Match")
    return None if tags is None or tags.any else tags.strong


def prefer_wait(request: Request) -> int | None:
    """The seconds the client would wait for a better answer, at most WAIT_S_MAX."""
    values = given(request.scope, b"prefer")
    for preference in ",".join(values).split(",") if values else ():
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            seconds = value.strip().strip('"')
            if not _DIGITS.fullmatch(seconds):
                return None
            return min(int(seconds[:9]), WAIT_S_MAX)
    return None


def idempotency_key(request: Request) -> str | None:
    """The key of this request; None when it has none."""
    values = given(request.scope, b"idempotency-key")
    if not values:
        return None
    text = values[0].strip(" \t")
    quoted = _QUOTED_KEY.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    readable = quoted is not None or _BARE_KEY.fullmatch(text) is not None
    if len(values) > 1 or not readable or not 1 <= len(key) <= KEY_CHARACTERS_MAX:
        detail = (
            f"Idempotency-Key is one key of 1 to {KEY_CHARACTERS_MAX} printable ASCII characters,"
            ' bare or as a quoted string, "…"'
        )
        raise ProblemError(problems.INVALID_HEADER, detail)
    return key


def last_event_id(request: Request) -> int | None:
    """The position of the last event that a reader has seen; None when it does not say."""
    values = given(request.scope, b"last-event-id")
    if not values:
        return None
    if len(values) > 1 or not _POSITION.fullmatch(values[0]) or int(values[0]) > POSITION_MAX:
        detail = "Last-Event-ID is the id of an event that was sent before: a position of the log"
        raise ProblemError(problems.INVALID_HEADER, detail)
    return int(values[0])


def acceptable(request: Request, offers: Sequence[str]) -> str:
    """The offer that the client likes best, of equals the first. Raises ProblemError (406)."""
    values = given(request.scope, b"accept")
    ranges = [_range(part) for part in ",".join(values).split(",") if part.strip()]
    if not ranges:
        return offers[0]
    best = max(offers, key=lambda offer: _quality(offer, ranges))
    if _quality(best, ranges) <= 0:
        raise ProblemError(problems.NOT_ACCEPTABLE, f"there are {', '.join(offers)}")
    return best


def _tags(request: Request, name: str) -> Tags | None:
    values = given(request.scope, name.lower().encode())
    if not values:
        return None
    text = ",".join(values)
    if text.strip() == "*":
        return Tags(any=True)
    found = _TAG.findall(text)
    if not found or _TAG.sub("", text).strip(" \t,"):
        detail = f'{name} is * or entity tags, as "5"'
        raise ProblemError(problems.INVALID_HEADER, detail)
    ours = [(weak, int(tag)) for weak, tag in found if _REV.fullmatch(tag)]
    strong = frozenset(rev for weak, rev in ours if not weak)
    return Tags(any=False, strong=strong, weak=frozenset(rev for weak, rev in ours if weak))


def _range(part: str) -> tuple[str, float]:
    """A media range and its quality; a quality that cannot be read is 1."""
    media, *parameters = (each.strip().lower() for each in part.split(";"))
    for parameter in parameters:
        if re.fullmatch(r"q=(0(\.[0-9]{0,3})?|1(\.0{0,3})?)", parameter):
            return media, float(parameter[2:])
    return media, 1.0


def _quality(offer: str, ranges: list[tuple[str, float]]) -> float:
    """What the most specific range says about an offer; 0 when none does."""
    for media in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        for candidate, quality in ranges:
            if candidate == media:
                return quality
    return 0.0
