"""Job ids: what their bits say, how they sort, and that keys are kept apart.

The layout is read back with `uuid`, which knows nothing of how it was made. That a taken id refuses
a second creation is the store's doing, and tested with `Jobs`.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import RFC_4122, UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventstore.event import STREAM
from eventstore.timestamp import timestamp
from service.ids import keyed_job_id, new_job_id
from tests.support.build import NOON, US, at

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IN_2038_MS = 2_147_483_648_002  # as a number of seconds, times 1000, it comes out a little short

milliseconds = st.integers(0, 4_102_444_800_000)  # to the year 2100
names = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=4)


def time_of(job_id):
    return UUID(job_id).int >> 80


def moment(ms, us=0):
    return timestamp(EPOCH + timedelta(milliseconds=ms, microseconds=us))


def test_a_new_id_is_a_version_7_uuid_and_a_stream_name():
    for seed in range(50):
        job_id = new_job_id(NOON, Random(seed))
        assert (UUID(job_id).version, UUID(job_id).variant) == (7, RFC_4122)
        assert job_id == str(UUID(job_id))
        assert STREAM.fullmatch(job_id)


@example(IN_2038_MS, 0, 1)
@given(milliseconds, st.integers(0, 999), st.integers())
def test_a_new_id_begins_with_its_millisecond(ms, us, seed):
    assert time_of(new_job_id(moment(ms, us), Random(seed))) == ms


@given(milliseconds, st.integers())
def test_a_new_id_is_written_as_its_number_is(ms, seed):
    job_id = new_job_id(moment(ms), Random(seed))
    assert job_id == str(UUID(int=int(job_id.replace("-", ""), 16)))


def test_before_1970_there_are_no_ids():
    assert time_of(new_job_id(moment(0), Random(1))) == 0
    with pytest.raises(OverflowError):
        new_job_id(moment(-1, 999), Random(1))


@pytest.mark.parametrize(("seconds", "ms"), [(1 - US, 999), (1, 1000), (1 + US, 1000)])
def test_a_millisecond_begins_at_its_first_microsecond(seconds, ms):
    start = time_of(new_job_id(NOON, Random(1)))
    assert time_of(new_job_id(at(seconds), Random(1))) == start + ms


@given(milliseconds, st.integers(1, 10**6), st.integers())
def test_ids_of_different_milliseconds_sort_by_age(ms, later_by, seed):
    dice = Random(seed)
    assert new_job_id(moment(ms), dice) < new_job_id(moment(ms + later_by), dice)


def test_ids_of_one_millisecond_differ():
    dice = Random(1)
    assert len({new_job_id(NOON, dice) for _ in range(10_000)}) == 10_000


def test_the_same_dice_make_the_same_ids():
    left, right = Random(7), Random(7)
    assert [new_job_id(NOON, left) for _ in "abc"] == [new_job_id(NOON, right) for _ in "abc"]


def test_all_bits_that_are_not_fixed_are_thrown():
    ids = [UUID(new_job_id(NOON, Random(seed))).int for seed in range(200)]
    ever, never = 0, -1
    for number in ids:
        ever, never = ever | number, never & number
    assert (ever ^ never) & (2**80 - 1) == 0x0FFF_3FFF_FFFF_FFFF_FFFF


@given(names)
def test_an_id_of_a_key_is_a_version_8_uuid_and_a_stream_name(names):
    job_id = keyed_job_id(*names)
    assert (UUID(job_id).version, UUID(job_id).variant) == (8, RFC_4122)
    assert STREAM.fullmatch(job_id)
    assert job_id == str(UUID(job_id))


def test_an_id_of_a_key_is_the_same_for_ever():
    """Another one would be a second job for a client that repeats itself after an upgrade."""
    assert keyed_job_id("-", "email", "order-17") == "1852551e-6fbd-807c-bd3d-02bf5e1c00df"


@example(["ab", "c"], ["a", "bc"])
@example(["abc"], ["abc", ""])
@example(["", "abc"], ["abc", ""])
@example(["a\x00\x00\x00\x01b"], ["a", "b"])
@example(["é"], ["e\u0301"])
@given(names, names)
def test_only_equal_names_make_equal_ids(left, right):
    assert (keyed_job_id(*left) == keyed_job_id(*right)) is (left == right)
