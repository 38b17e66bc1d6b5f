"""The request headers we act on, each read by one function into a plain value.

| header                      | RFC     | read as |
|-----------------------------|---------|---------|
| `If-None-Match`, `If-Match` | 9110    | the entity tags named; ours are `"<rev>"` and strong |
| `Prefer: wait=N`            | 7240    | seconds, at most 30; what cannot be read is left alone |
| `Idempotency-Key`           | a draft | the key: quoted as in the draft, or bare as most send it |
| `Accept`                    | 9110    | which of our representations it is to be |

A condition or a key that cannot be read is refused (400) and never ignored: who sent it relies on
it. What to do about any of them is the endpoints' matter.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from starlette.requests import Request

from service.web import problems
from service.web.problems import ProblemError

WAIT_S_MAX = 30
KEY_CHARACTERS_MAX = 255

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_REV = re.compile(r"[1-9][0-9]{0,15}")
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


def etag(rev: int) -> str:
    """The entity tag of a revision."""
    return f'"{rev}"'


def if_none_match(request: Request) -> Tags | None:
    """The representations that the client has; None when it does not say."""
    return _tags(request, "If-None-Match")


def if_match(request: Request) -> frozenset[int] | None:
    """The revisions at which to act, by strong comparison; None for any."""
    tags = _tags(request, "If-Match")
    return None if tags is None or tags.any else tags.strong


def prefer_wait(request: Request) -> int | None:
    """The seconds the client would wait for a better answer, at most WAIT_S_MAX."""
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            seconds = value.strip().strip('"')
            if not _DIGITS.fullmatch(seconds):
                return None
            return min(int(seconds[:9]), WAIT_S_MAX)
    return None


def idempotency_key(request: Request) -> str | None:
    """The key of this request; None when it has none."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    text = given[0].strip(" \t")
    quoted = _QUOTED_KEY.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    readable = quoted is not None or _BARE_KEY.fullmatch(text) is not None
    if len(given) > 1 or not readable or not 1 <= len(key) <= KEY_CHARACTERS_MAX:
        detail = (
            f"Idempotency-Key is one key of 1 to {KEY_CHARACTERS_MAX} printable ASCII characters,"
            ' bare or as a quoted string, "…"'
        )
        raise ProblemError(problems.INVALID_HEADER, detail)
    return key


def acceptable(request: Request, offers: Sequence[str]) -> str:
    """The offer that the client likes best, of equals the first. Raises ProblemError (406)."""
    given = request.headers.getlist("accept")
    ranges = [_range(part) for part in ",".join(given).split(",") if part.strip()]
    if not ranges:
        return offers[0]
    best = max(offers, key=lambda offer: _quality(offer, ranges))
    if _quality(best, ranges) <= 0:
        raise ProblemError(problems.NOT_ACCEPTABLE, f"there are {', '.join(offers)}")
    return best


def _tags(request: Request, name: str) -> Tags | None:
    given = request.headers.getlist(name)
    if not given:
        return None
    text = ",".join(given)
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
