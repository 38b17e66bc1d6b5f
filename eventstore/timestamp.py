"""A point in time, as text: RFC 3339, UTC, always six decimals.

`2026-11-23T23:37:42.130112Z` is 27 characters whatever the instant, so timestamps sort as times,
compare as times in SQL, in `grep` and in Python, and are the same bytes in the log, in memory and
in an answer. That is why joblog passes this text around and not `datetime` objects: JSON encoders
disagree about those (and refuse freezegun's), and every conversion is a chance to lose a digit.
Arithmetic happens here, in three functions, and nowhere else.

This module never asks what time it is; only `eventstore.clock` does.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

Timestamp: TypeAlias = str

EPOCH: Timestamp = "1970-01-01T00:00:00.000000Z"

SECONDS_REMEMBERED_MAX = 8
SUMS_REMEMBERED_MAX = 16  # the leases of jobs that are claimed together end together

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def timestamp(moment: datetime) -> Timestamp:
    """The text of an aware datetime, whatever its zone. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone, so it is not a point in time")
    moment = moment.astimezone(UTC)
    # In halves, which have no zone to be written: every event has several of these texts.
    return f"{moment.date().isoformat()}T{moment.time().isoformat('microseconds')}Z"


def since_1970(microseconds: int) -> Timestamp:
    """So many microseconds after 1970 began, which is how clocks count."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{rest:06d}Z"


@lru_cache(SECONDS_REMEMBERED_MAX)
def _second(since_1970: int) -> str:
    """The text of a second, up to its fraction. Many in a row are asked for in the same."""
    return datetime.fromtimestamp(since_1970, UTC).isoformat()[: len("1970-01-01T00:00:00")]


def parse(text: str) -> Timestamp:
    """Any RFC 3339 text, which has a zone, normalised; digits beyond the microsecond are cut.
    Raises ValueError when it is not one.

    >>> parse("2026-11-24T01:37:42+02:00")
    '2026-11-23T23:37:42.000000Z'
    """
    if not _RFC_3339.fullmatch(text):  # `fromisoformat` knows week dates and any separator
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    try:
        return timestamp(datetime.fromisoformat(text.upper()))
    except OverflowError as error:  # year 0 or 10000 once moved to UTC
        raise ValueError(f"{text!r} is out of range") from error


@lru_cache(SUMS_REMEMBERED_MAX)
def later(start: Timestamp, seconds: float) -> Timestamp:
    """`seconds` after `start`, rounded to the microsecond. Raises OverflowError beyond the year
    9999.
    """
    if seconds == 0:  # most jobs are to run at once
        return start
    return timestamp(datetime.fromisoformat(start) + timedelta(seconds=seconds))


def seconds_between(start: Timestamp, end: Timestamp) -> float:
    """How long from `start` to `end`, in seconds; negative when `end` is earlier."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
