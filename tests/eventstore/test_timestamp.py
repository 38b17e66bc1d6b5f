"""Timestamps sort as times, whatever zone and precision they came in, to the end of the calendar.

Everything stored or compared is this text, so each rule is tried on both sides of its boundary, and
the one that all of SQL, `grep` and Python rest on (text order is time order) for any two instants.
"""

import doctest
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventstore import clock
from eventstore import timestamp as module
from eventstore.timestamp import EPOCH, later, parse, seconds_between, since_1970, timestamp

MOMENTS = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001  the zones below make them aware
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001  as above
    timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
)
LAST = "9999-12-31T23:59:59.999999Z"


def test_the_example_in_the_docstring_holds():
    assert doctest.testmod(module).failed == 0


@given(MOMENTS, MOMENTS)
def test_texts_sort_as_the_times_they_are(a: datetime, b: datetime):
    assert (timestamp(a) < timestamp(b)) == (a < b)
    assert (timestamp(a) == timestamp(b)) == (a == b)


@given(MOMENTS)
@example(datetime(1969, 12, 31, 23, 59, 59, 999999, UTC))
def test_what_a_clock_counts_is_the_same_text(moment: datetime):
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert since_1970(microseconds) == timestamp(moment)


@given(MOMENTS)
def test_a_text_is_27_characters_and_parses_to_itself(moment: datetime):
    text = timestamp(moment)
    assert len(text) == 27
    assert parse(text) == text
    assert datetime.fromisoformat(text) == moment


@example(datetime.min.replace(tzinfo=UTC))
@example(datetime.max.replace(tzinfo=UTC))
@example(datetime(2026, 10, 25, 1, 30, fold=1, tzinfo=UTC))
@given(MOMENTS)
def test_a_text_is_the_one_of_iso_8601_with_a_z_for_utc(moment: datetime):
    iso = moment.astimezone(UTC).isoformat(timespec="microseconds")
    assert timestamp(moment) == iso.replace("+00:00", "Z")


@given(MOMENTS)
def test_any_zone_is_normalised(moment: datetime):
    assert parse(moment.isoformat()) == timestamp(moment.astimezone(UTC))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("2026-11-23T23:37:42Z", "2026-11-23T23:37:42.000000Z"),
        ("2026-11-23t23:37:42z", "2026-11-23T23:37:42.000000Z"),
        ("2026-11-23 23:37:42Z", "2026-11-23T23:37:42.000000Z"),
        ("2026-11-24T01:37:42+02:00", "2026-11-23T23:37:42.000000Z"),
        ("2026-11-23T12:07:42-11:30", "2026-11-23T23:37:42.000000Z"),
        ("2026-11-23T23:37:42-00:00", "2026-11-23T23:37:42.000000Z"),
        ("2026-11-23T23:37:42.1Z", "2026-11-23T23:37:42.100000Z"),
        ("2026-11-23T23:37:42.123456999Z", "2026-11-23T23:37:42.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", LAST),
        ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000000Z"),
    ],
)
def test_rfc_3339_is_understood(text: str, normal: str):
    assert parse(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-23",
        "2026-11-23T23:37:42",  # in whose zone?
        "2026-11-23T23:37Z",
        "20261123T233742Z",
        "2026-W48-1T23:37:42Z",
        "2026-11-23x23:37:42Z",
        "2026-11-23T23:37:42,5Z",
        "2026-11-23T23:37:42.Z",
        "2026-11-23T23:37:42Z\n",
        " 2026-11-23T23:37:42Z",
        "2026-11-23T23:37:42+02:00:30",
        "2026-11-23T23:37:42+24:00",
        "2026-11-23T24:00:00Z",
        "2026-11-23T23:59:60Z",
        "2027-02-29T00:00:00Z",
        "٢٠٢٦-11-23T23:37:42Z",
    ],
)
def test_what_is_not_a_point_in_time_is_refused(text: str):
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:59:59+01:00", "9999-12-31T23:00:00-01:00"])
def test_what_leaves_the_calendar_once_moved_to_utc_is_refused(text: str):
    with pytest.raises(ValueError, match="out of range"):
        parse(text)


def test_a_naive_datetime_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        timestamp(datetime(2026, 11, 23))  # noqa: DTZ001  that is the point


@pytest.mark.parametrize(
    ("start", "seconds", "end"),
    [
        (EPOCH, 0, EPOCH),
        (EPOCH, 0.1, "1970-01-01T00:00:00.100000Z"),
        (EPOCH, 0.0000004, EPOCH),
        (EPOCH, 0.0000006, "1970-01-01T00:00:00.000001Z"),
        (EPOCH, -0.000001, "1969-12-31T23:59:59.999999Z"),
        ("2028-02-28T23:59:59.999999Z", 0.000001, "2028-02-29T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999998Z", 0.000001, LAST),
    ],
)
def test_later_is_exact_to_the_microsecond(start: str, seconds: float, end: str):
    assert later(start, seconds) == end


@pytest.mark.parametrize("seconds", [0.000001, 1, 1e15, float("inf")])
def test_after_the_year_9999_there_is_nothing(seconds: float):
    with pytest.raises(OverflowError):
        later(LAST, seconds)


SECONDS = st.sampled_from([0, 0.0, -0.0, 5e-324, 4e-7, 5e-7, -5e-7, 6e-7, 1, 30.0])


@given(MOMENTS, SECONDS | st.floats(0, 80_000) | st.integers(0, 80_000))
def test_later_is_the_sum_rounded_as_a_timedelta_is(moment: datetime, seconds: float):
    assert later(timestamp(moment), seconds) == timestamp(moment + timedelta(seconds=seconds))


@given(MOMENTS, st.integers(-(10**12), 10**12))
def test_the_seconds_between_lead_from_one_to_the_other(moment: datetime, microseconds: int):
    start = "2026-11-23T12:00:00.000000Z"
    end = later(start, microseconds / 1e6)
    assert seconds_between(start, end) == pytest.approx(microseconds / 1e6, abs=1e-6)
    assert later(start, seconds_between(start, end)) == end


async def test_the_clock_speaks_in_timestamps():
    assert clock.now() == "2026-11-23T12:00:00.000000Z"
    assert parse(clock.now()) == clock.now()
