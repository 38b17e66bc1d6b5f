"""What a failed attempt means for its job: the table in `commands`, row by row, and its limits.

An attempt may end by the job's fault, by the worker's, or by nobody's, and each counts elsewhere.
Below that: an outcome must always fit a line of the log, whatever an error has to say. The delay
between attempts is drawn elsewhere, see `test_backoff`.
"""

import pytest
from hypothesis import example
from hypothesis import given as for_all
from hypothesis import strategies as st
from msgspec.structs import replace

from eventstore.event import NEW, prepare
from eventstore.timestamp import later
from projections.job import Status
from service import commands
from service.commands import DELAY_S_MAX, ERROR_TEXT_BYTES_MAX, Ending
from tests.support.build import (
    at,
    attempt_failed,
    attempt_started,
    job_created,
    job_failed,
    running_job,
)
from tests.support.given import given

NOW = at(30)
BACKED_OFF = at(35)
COUNTED = ["error", "timeout", "cancelled"]
CRASHES = ["worker_lost", "lease_expired"]
UNCOUNTED = ["released", "config"]


def fail(past, reason, *, permanent=False, delay_s=5.0, **created):
    """The attempt that runs after this past fails; the decision."""
    job = given(job_created(**created), *past, attempt_started(10, attempt=len(past) // 2 + 1))
    return job.when(
        commands.fail,
        token=job.job.lease.token,
        now=NOW,
        ending=Ending(reason, "ValueError", "no luck", permanent=permanent),
        duration_s=1.5,
        delay_s=delay_s,
        meta={},
    )


def failed(reason, times):
    """So many attempts that ended so, each to be tried again."""
    return [
        event
        for number in range(1, times + 1)
        for event in (
            attempt_started(number, attempt=number),
            attempt_failed(number, attempt=number, reason=reason, retry_at=at(number)),
        )
    ]


def again(reason, *, attempt=1, retry_at=BACKED_OFF):
    return [attempt_failed(30, attempt=attempt, reason=reason, retry_at=retry_at)]


def for_good(reason, why, *, attempt=1):
    failed = attempt_failed(30, attempt=attempt, reason=reason, retry_at=None)
    return [failed, job_failed(30, attempt=attempt, reason=why)]


@pytest.mark.parametrize("reason", COUNTED)
@pytest.mark.parametrize("before", [0, 1])
def test_an_error_or_a_timeout_is_tried_again_after_the_backoff(reason, before):
    when = fail(failed("error", before), reason, max_attempts=3)
    job = when.then(*again(reason, attempt=before + 1))
    assert (job.status, job.attempts, job.crashes) == (Status.PENDING, before + 1, 0)
    assert job.next_attempt_at == BACKED_OFF


@pytest.mark.parametrize("reason", COUNTED)
@pytest.mark.parametrize("allowed", [1, 2, 3])
def test_the_last_attempt_allowed_fails_the_job(reason, allowed):
    when = fail(failed("error", allowed - 1), reason, max_attempts=allowed)
    job = when.then(*for_good(reason, "max_attempts", attempt=allowed))
    assert (job.status, job.attempts) == (Status.FAILED, allowed)


def test_more_attempts_than_allowed_fail_the_job_too():
    """As when the allowance shrank: `attempts` may be past the limit, not only at it."""
    job = replace(running_job(max_attempts=3), attempts=4)
    arguments = {"token": 2, "now": NOW, "duration_s": 1.5, "delay_s": 5.0, "meta": {}}
    events = commands.fail(job, ending=Ending("error", "ValueError", "no luck"), **arguments)
    assert events == for_good("error", "max_attempts")


@pytest.mark.parametrize("reason", COUNTED)
def test_a_permanent_error_fails_the_job_at_once(reason):
    job = fail([], reason, permanent=True, max_attempts=99).then(*for_good(reason, "permanent"))
    assert (job.status, job.attempts) == (Status.FAILED, 1)


def test_a_permanent_error_at_the_last_attempt_is_called_permanent():
    fail([], "error", permanent=True, max_attempts=1).then(*for_good("error", "permanent"))


@pytest.mark.parametrize("reason", CRASHES)
@pytest.mark.parametrize("before", [0, 1])
def test_a_crash_is_tried_again_after_the_backoff_and_counted_apart(reason, before):
    when = fail(failed("worker_lost", before), reason, max_crashes=3)
    job = when.then(*again(reason, attempt=before + 1))
    assert (job.status, job.attempts, job.crashes) == (Status.PENDING, 0, before + 1)


@pytest.mark.parametrize("reason", CRASHES)
@pytest.mark.parametrize("allowed", [1, 2, 5])
def test_the_last_crash_allowed_fails_the_job(reason, allowed):
    when = fail(failed("lease_expired", allowed - 1), reason, max_crashes=allowed)
    job = when.then(*for_good(reason, "crashes", attempt=allowed))
    assert (job.status, job.attempts, job.crashes) == (Status.FAILED, 0, allowed)


@pytest.mark.parametrize("reason", CRASHES)
def test_a_crash_at_the_last_attempt_allowed_does_not_use_it_up(reason):
    job = fail(failed("error", 2), reason, max_attempts=3).then(*again(reason, attempt=3))
    assert (job.attempts, job.crashes) == (2, 1)


def test_errors_do_not_use_up_the_crashes_nor_crashes_the_attempts():
    past = failed("worker_lost", 4)
    job = fail(past, "error", max_attempts=2, max_crashes=5).then(*again("error", attempt=5))
    assert (job.attempts, job.crashes) == (1, 4)


@pytest.mark.parametrize("reason", CRASHES)
def test_a_crash_is_never_permanent(reason):
    fail([], reason, permanent=True).then(*again(reason))


@pytest.mark.parametrize("reason", UNCOUNTED)
@pytest.mark.parametrize("permanent", [False, True])
def test_a_release_or_a_fault_of_configuration_counts_as_nothing(reason, permanent):
    past = failed("error", 2)
    when = fail(past, reason, permanent=permanent, max_attempts=3, delay_s=900.0)
    retry_at = NOW if reason == "released" else later(NOW, 900)
    job = when.then(*again(reason, attempt=3, retry_at=retry_at))
    assert (job.attempts, job.crashes) == (2, 0)
    assert job.is_due(retry_at)


def test_any_number_of_releases_leaves_a_job_alive():
    job = fail(failed("released", 50), "released", max_attempts=1, max_crashes=1).then(
        *again("released", attempt=51, retry_at=NOW)
    )
    assert (job.attempts, job.crashes) == (0, 0)


@pytest.mark.parametrize(
    ("asked", "given_s"),
    [
        (0.0, 0),
        (-0.000001, 0),
        (-1e300, 0),
        (0.000001, 0.000001),
        (DELAY_S_MAX - 0.000001, DELAY_S_MAX - 0.000001),
        (DELAY_S_MAX, DELAY_S_MAX),
        (DELAY_S_MAX + 0.000001, DELAY_S_MAX),
        (1e300, DELAY_S_MAX),
        (float("inf"), DELAY_S_MAX),
        (float("-inf"), 0),
        (float("nan"), 0),
    ],
)
def test_a_delay_is_kept_within_bounds_so_that_an_outcome_can_always_be_recorded(asked, given_s):
    fail([], "error", delay_s=asked).then(*again("error", retry_at=at(30 + given_s)))


@pytest.mark.parametrize(
    ("reason", "failures"),
    [
        ("error", 3),
        ("timeout", 3),
        ("worker_lost", 5),
        ("lease_expired", 5),
        ("released", 3),
    ],
)
def test_the_backoff_grows_with_failures_of_the_same_sort(reason, failures):
    job = replace(running_job(), attempts=3, crashes=4)
    assert commands.failures_after(job, reason) == failures


# the words of an error


def words_of(error, traceback=None):
    ending = Ending("error", "ValueError", error, traceback)
    [event] = commands.fail(
        running_job(), token=2, now=NOW, ending=ending, duration_s=1, delay_s=1, meta={}
    )
    prepare("a", NEW, [event], nonce="0" * 16)  # it fits a line
    return event.private


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", 0),
        ("a" * (ERROR_TEXT_BYTES_MAX - 1), ERROR_TEXT_BYTES_MAX - 1),
        ("a" * ERROR_TEXT_BYTES_MAX, ERROR_TEXT_BYTES_MAX),
        ("a" * (ERROR_TEXT_BYTES_MAX + 1), ERROR_TEXT_BYTES_MAX),
        ("é" * (ERROR_TEXT_BYTES_MAX // 2), ERROR_TEXT_BYTES_MAX),
        ("a" + "é" * ERROR_TEXT_BYTES_MAX, ERROR_TEXT_BYTES_MAX - 1),
        ("☃" * ERROR_TEXT_BYTES_MAX, ERROR_TEXT_BYTES_MAX - 2),
        ("a" + "𝄞" * ERROR_TEXT_BYTES_MAX, ERROR_TEXT_BYTES_MAX - 3),
    ],
    ids=["empty", "-1", "0", "+1", "two bytes", "cut two", "cut three", "cut four"],
)
def test_words_are_cut_at_whole_characters_within_the_limit(text, kept):
    words = words_of(text, traceback=text[::-1])
    assert len(words["error"].encode()) == len(words["traceback"].encode()) == kept
    assert text.startswith(words["error"])
    assert text[::-1].endswith(words["traceback"])


def test_of_an_error_the_beginning_is_kept_and_of_a_traceback_the_end():
    words = words_of("begin" + "x" * 9000 + "end", "begin" + "x" * 9000 + "end")
    assert (words["error"][:5], words["error"][-3:]) == ("begin", "xxx")
    assert (words["traceback"][:5], words["traceback"][-3:]) == ("xxxxx", "end")


def test_without_a_traceback_none_is_kept():
    assert words_of("no luck") == {"error": "no luck"}


def test_a_lone_surrogate_becomes_a_question_mark():
    assert words_of("a\ud800b", "\udfff") == {"error": "a?b", "traceback": "?"}


def test_what_moves_a_cursor_is_replaced_and_what_breaks_a_line_stays():
    assert (
        words_of("a\x00b\x1b[31mc\x7f\x9b\td\r\ne")["error"]
        == "a\ufffdb\ufffd[31mc\ufffd\ufffd\td\r\ne"
    )


@for_all(st.text(st.characters(), max_size=50), st.integers(1, 20_000))
@example("\x00", 20_000)
@example('"', 20_000)
@example("\\", 20_000)
@example("\n", 20_000)
@example("\x9f", 20_000)
@example("\ud800", 20_000)
@example("\u2028", 20_000)
@example("a\x01é☃𝄞\udc00", 20_000)
def test_whatever_an_error_says_fits_a_line(text, times):
    long = (text * times)[:20_000]
    words = words_of(long, long)
    assert all(len(word.encode()) <= ERROR_TEXT_BYTES_MAX for word in words.values())


def test_both_events_of_giving_up_fit_one_append():
    text = "\n" * 20_000
    ending = Ending("error", "E" * 100, text, text, permanent=True)
    events = commands.fail(
        running_job(), token=2, now=NOW, ending=ending, duration_s=1, delay_s=1, meta={}
    )
    assert len(prepare("a", NEW, events, nonce="0" * 16).events) == 2
