"""What an answer to a webhook means, as one pure function of status, headers and time.

| answer                          | the attempt | because |
|---------------------------------|-------------|---------|
| 2xx                             | succeeded   | the receiver has it |
| 429, 503 with `Retry-After`     | `RetryAfter` | it says when |
| 408, 409, 425, 429, 5xx         | failed, again after the backoff | it may be otherwise then |
| 3xx                             | `Permanent` | redirects are not followed |
| 410 and every other 4xx         | `Permanent` | it would be refused again |
| anything else                   | failed, again after the backoff | no HTTP that we know |

409 is among those that pass: receivers answer so while they are still busy with the same id. A
`Retry-After` is seconds or a date; one that cannot be read, or lies in the past, is as none. The
receiver's own words, at most ANSWER_BYTES_MAX of them, stand in the error.

How the answer was had, and what went wrong before there was one, is `delivery`'s matter.
"""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple

from eventstore.event import Json
from eventstore.timestamp import Timestamp, seconds_between, timestamp
from service.processors import AttemptError, Permanent, RetryAfter

ANSWER_BYTES_MAX = 4096  # of an answer's body, read and kept: enough to see what was meant
RETRY_AFTER_S_MAX = 86_400  # a receiver may put a job off by a day at a time, not by a year

_SECONDS = re.compile(r"[0-9]{1,9}")
_TAKEN, _ELSEWHERE, _REFUSED = range(200, 300), range(300, 400), range(400, 500)
_PASSING = frozenset({408, 409, 425, 429})
_TELLS_WHEN = frozenset({429, 503})


class DeliveryError(AttemptError):
    """It was not delivered this time; it may be another time."""


class Answer(NamedTuple):
    """What a receiver said. `text` is the beginning of its body, `whole` whether that is all."""

    status: int
    text: str = ""
    whole: bool = True
    retry_after: str | None = None
    location: str | None = None


def error_of(answer: Answer, now: Timestamp) -> AttemptError | None:
    """How the attempt failed with this answer; None when it did not."""
    status = answer.status
    facts: Json = {"phase": "answer", "status": status}
    if status in _TAKEN:
        return None
    if status in _ELSEWHERE:
        where = f", here to {answer.location[:500]!r}" if answer.location else ""
        words = f"{_title(status)}: redirects are not followed{where}"
        return Permanent(words, facts=facts)
    words = f"{_title(status)}: {answer.text}" if answer.text else _title(status)
    if status in _TELLS_WHEN and (seconds := _wait_s(answer.retry_after, now)) is not None:
        return RetryAfter(seconds, words, facts=facts)
    if status in _REFUSED and status not in _PASSING:
        return Permanent(words, facts=facts)
    return DeliveryError(words, facts=facts)


def _wait_s(text: str | None, now: Timestamp) -> float | None:
    """The seconds that a Retry-After asks for; None when it asks for none."""
    if text is None:
        return None
    seconds: float
    if _SECONDS.fullmatch(text.strip()):
        seconds = int(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = seconds_between(now, timestamp(moment))
        except (ValueError, OverflowError):
            return None
    return min(seconds, RETRY_AFTER_S_MAX) if seconds > 0 else None


def _title(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
