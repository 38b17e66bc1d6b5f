"""What an answer means: every status there is, and Retry-After in all its spellings.

The function is pure, so no receiver is needed; those are in `test_delivery`.
"""

from typing import Any

import pytest

from service.processors import Permanent, RetryAfter
from service.processors.webhook.verdict import (
    RETRY_AFTER_S_MAX,
    Answer,
    DeliveryError,
    error_of,
)

NOW = "2026-11-23T12:00:00.000000Z"


def sort_of(status: int, **more: Any) -> type | None:
    error = error_of(Answer(status, **more), NOW)
    return None if error is None else type(error)


@pytest.mark.parametrize(
    ("statuses", "sort"),
    [
        (range(200, 300), None),
        (range(300, 400), Permanent),
        ([*range(400, 408), *range(410, 425), *range(426, 429), *range(430, 500)], Permanent),
        ([408, 409, 425, 429], DeliveryError),
        (range(500, 600), DeliveryError),
        ([199, 600, 999], DeliveryError),
    ],
)
def test_every_status_has_its_meaning(statuses: Any, sort: type | None) -> None:
    assert {sort_of(status) for status in statuses} == {sort}


@pytest.mark.parametrize("status", [301, 404, 410, 429, 500, 503, 600])
def test_a_failure_has_its_facts(status: int) -> None:
    error = error_of(Answer(status), NOW)
    assert error is not None
    assert error.facts == {"phase": "answer", "status": status}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("120", 120),
        (" 7 ", 7),
        (str(RETRY_AFTER_S_MAX), RETRY_AFTER_S_MAX),
        (str(RETRY_AFTER_S_MAX + 1), RETRY_AFTER_S_MAX),
        ("999999999", RETRY_AFTER_S_MAX),
        ("Mon, 23 Nov 2026 12:00:01 GMT", 1),
        ("Mon, 23 Nov 2026 13:00:00 GMT", 3600),
        ("Mon, 23 Nov 2026 13:00:00 -0000", 3600),
        ("Monday, 23-Nov-26 12:00:30 GMT", 30),
        ("Mon, 23 Nov 2099 12:00:00 GMT", RETRY_AFTER_S_MAX),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(text: str, seconds: float) -> None:
    for status in (429, 503):
        error = error_of(Answer(status, retry_after=text), NOW)
        assert isinstance(error, RetryAfter)
        assert error.seconds == seconds
        assert error.facts == {"phase": "answer", "status": status}


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "1.5", "soon", "1e9", "9999999999", "٣", "Mon, 23 Nov 2026 12:00:00 GMT",
     "Mon, 23 Nov 2026 11:59:59 GMT", "Mon, 99 Nov 2026 12:00:00 GMT", "\x00", "0001", "x" * 5000],
)  # fmt: skip
def test_one_that_cannot_be_read_or_lies_in_the_past_is_none(text: str) -> None:
    expected = RetryAfter if text == "0001" else DeliveryError
    assert sort_of(503, retry_after=text) is expected


@pytest.mark.parametrize("status", [301, 404, 500, 502])
def test_a_retry_after_counts_only_where_it_is_meant(status: int) -> None:
    assert sort_of(status, retry_after="5") is not RetryAfter


def test_the_words_tell_status_and_what_the_receiver_said() -> None:
    assert str(error_of(Answer(404, "no such hook"), NOW)) == "404 Not Found: no such hook"
    assert str(error_of(Answer(500), NOW)) == "500 Internal Server Error"
    assert str(error_of(Answer(799), NOW)) == "799"
    redirect = error_of(Answer(302, location="http://127.0.0.1/"), NOW)
    assert str(redirect) == "302 Found: redirects are not followed, here to 'http://127.0.0.1/'"
