"""The table of jobs: what is looked up, what is on disk after a flush, and the digest.

The table on disk is at every moment the fold of the log up to its checkpoint; so a flush that fails
half-way is let fail at each of its statements, and the file is read by others meanwhile. What
becomes of a file that is not sound is in `test_table_file`; how a table is fed from a log, in
`test_projector`.
"""

import sqlite3
from contextlib import closing
from itertools import groupby
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from projections.job import Status, evolve
from projections.table import MEMORY, Filter, facts
from tests.projections.tables import flush, ids, on_disk, opened, put
from tests.support.build import (
    US,
    at,
    attempt_failed,
    attempt_started,
    folded,
    follow,
    job_cancelled,
    job_created,
    job_in,
    pending_job,
    random_life,
    running_job,
)

ANY = Filter()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.sqlite"


def test_a_new_table_is_empty_and_has_seen_nothing(path):
    with opened(path) as table:
        assert (table.get("a"), list(table.jobs()), table.checkpoint) == (None, [], 0)
        assert table.page(ANY, before=None, limit=10) == []


@pytest.mark.parametrize("status", Status)
def test_a_job_is_the_same_before_during_and_after_its_flush(path, status):
    job = job_in(status)
    with opened(path) as table:
        assert table.get(job.id) is None
        table.put(job)
        assert table.get(job.id) == job
        table.begin_flush()
        assert table.get(job.id) == job
        table.flush(7)
        assert table.get(job.id) == job
        table.end_flush(7)
        assert table.get(job.id) == job
    with opened(path) as table:
        assert table.get(job.id) == job


def test_the_newest_of_a_jobs_states_is_found_wherever_the_older_ones_are(path):
    flushed = pending_job()
    flushing = evolve(flushed, follow(flushed, attempt_started(1)))
    new = replace(flushing, rev=3, pos=3)
    with opened(path) as table:
        flush(table, 1, flushed)
        put(table, flushing)
        table.begin_flush()
        assert table.get(flushed.id) == flushing
        put(table, new)
        assert table.get(flushed.id) == new
        table.flush(2)
        table.end_flush(2)
        assert table.get(flushed.id) == new
        assert table.unflushed == 1


def test_many_are_found_at_once_each_in_its_newest_state(path):
    old, flushing, both = (pending_job(name, pos=pos) for pos, name in enumerate("abc", 1))
    new = evolve(both, follow(both, attempt_started(1)))
    with opened(path) as table:
        flush(table, 2, old, both)
        put(table, flushing)
        table.begin_flush()
        table.put_all({new.id: new})
        assert table.newest(["a", "b", "c", "d"]) == {"a": old, "b": flushing, "c": new}
        assert table.newest([]) == {}


@given(st.randoms(use_true_random=False).map(random_life))
def test_any_job_comes_back_equal_from_the_disk(life):
    job = folded(*life)
    with opened(MEMORY) as table:
        flush(table, job.pos, job)
        assert table.get(job.id) == job


def test_a_payload_comes_back_equal_from_the_disk():
    payload = {
        "text": 'é ☃ 𝄞 " \\ \n \u2028 \x7f',
        "n": 2**53 - 1,
        "deep": [[{"": None}]],
        "f": 0.1,
    }
    with opened(MEMORY) as table:
        flush(table, 1, pending_job(payload=payload))
        assert table.get(pending_job().id).payload == payload


def test_pages_hold_what_was_flushed_newest_first_and_go_on_below_a_position():
    jobs = [pending_job(f"j{pos}", pos=pos) for pos in (11, 3, 7, 20, 5)]
    with opened(MEMORY) as table:
        put(table, *jobs)
        assert table.page(ANY, before=None, limit=9) == []
        flush(table, 20)
        assert ids(table.page(ANY, before=None, limit=2)) == ["j20", "j11"]
        assert ids(table.page(ANY, before=11, limit=2)) == ["j7", "j5"]
        assert ids(table.page(ANY, before=5, limit=2)) == ["j3"]
        assert ids(table.page(ANY, before=3, limit=2)) == []


def test_a_page_stays_what_it_was_while_jobs_arrive():
    with opened(MEMORY) as table:
        flush(table, 3, *(pending_job(f"j{pos}", pos=pos) for pos in (1, 2, 3)))
        assert ids(table.page(ANY, before=None, limit=2)) == ["j3", "j2"]
        flush(table, 4, pending_job("j4", pos=4))
        assert ids(table.page(ANY, before=2, limit=2)) == ["j1"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), ["r3", "e2", "e1"]),
        (Filter(kind="email"), ["e2", "e1"]),
        (Filter(kind="nothing"), []),
        (Filter(status=Status.PENDING), ["r3", "e1"]),
        (Filter(status=Status.PENDING, kind="email"), ["e1"]),
        (Filter(status=Status.FAILED), []),
        (Filter(created_after=at(10 - US)), ["r3", "e2", "e1"]),
        (Filter(created_after=at(10)), ["r3", "e2"]),
        (Filter(created_after=at(10 + US)), ["r3", "e2"]),
        (Filter(created_before=at(30 - US)), ["e2", "e1"]),
        (Filter(created_before=at(30)), ["e2", "e1"]),
        (Filter(created_before=at(30 + US)), ["r3", "e2", "e1"]),
        (Filter(created_after=at(10), created_before=at(30)), ["e2"]),
        (Filter(Status.CANCELLED, "email", at(10), at(30)), ["e2"]),
        (Filter(Status.CANCELLED, "email", at(20), at(30)), []),
    ],
)
def test_a_filter_leaves_what_is_wanted(wanted, found):
    cancelled = pending_job("e2", pos=2, seconds=20)
    cancelled = evolve(cancelled, follow(cancelled, job_cancelled(25)))
    jobs = [pending_job("e1", pos=1, seconds=10), cancelled]
    with opened(MEMORY) as table:
        flush(table, 3, *jobs, pending_job("r3", pos=3, seconds=30, kind="report"))
        assert ids(table.page(wanted, before=None, limit=9)) == found
        assert ids(table.page(wanted, before=2, limit=9)) == [i for i in found if i == "e1"]
        assert ids(table.page(wanted, before=None, limit=1)) == found[:1]


def test_a_word_of_sql_is_only_a_word():
    with opened(MEMORY) as table:
        flush(table, 1, pending_job())
        assert table.page(Filter(kind="x' OR '1'='1"), before=None, limit=9) == []
        assert table.get("x' OR '1'='1") is None


def test_the_open_jobs_are_those_that_are_not_finished_oldest_first():
    with opened(MEMORY) as table:
        states = [Status.PROCESSING, Status.COMPLETED, Status.PENDING, Status.FAILED]
        for pos, status in enumerate(states, 1):
            table.put(replace(job_in(status), id=f"j{pos}", created_pos=10 - pos))
        flush(table, 9)
        assert [(each.id, each.created_pos) for [each] in table.waiting()] == [("j3", 7)]
        assert ids(table.running()) == ["j1"]
        assert ids(table.jobs()) == ["j4", "j3", "j2", "j1"]


def test_a_flush_replaces_a_row_by_its_newer_state(path):
    job = pending_job()
    with opened(path) as table:
        flush(table, 1, job)
        flush(table, 2, evolve(job, follow(job, job_cancelled(1))))
        assert [job.status for job in table.jobs()] == [Status.CANCELLED]
        assert table.page(Filter(status=Status.PENDING), before=None, limit=9) == []


def test_a_flush_of_no_rows_moves_the_checkpoint(path):
    with opened(path) as table:
        flush(table, 41)
        assert table.checkpoint == 41
    assert on_disk(path) == ([], 41)


@pytest.mark.parametrize("number", [1, 99, 100, 101, 1000])
def test_a_flush_takes_a_few_statements_for_a_hundred_rows(number):
    """Each one is a turn that it must wait for."""
    jobs = [pending_job(f"j{pos}", pos=pos) for pos in range(1, number + 1)]
    statements = []
    with opened(MEMORY) as table:
        for checkpoint, states in ((1, jobs), (2, [replace(job, rev=2) for job in jobs])):
            table._writing.set_trace_callback(statements.append)
            flush(table, checkpoint, *states)
            table._writing.set_trace_callback(None)
        assert list(table.jobs()) == states
    turns = [each for each, _ in groupby(statements)]  # told again for each row that it triggers
    assert len([each for each in turns if not each.startswith("--")]) <= number / 10 + 20


class FailsAt:
    """A connection on which one kind of statement fails, once some of them were made."""

    def __init__(self, connection, statement, left):
        self.connection = connection
        self.statement = statement
        self.left = left

    def execute(self, sql, *values):
        self.refuse(sql)
        return self.connection.execute(sql, *values)

    def refuse(self, sql):
        if sql.startswith(self.statement):
            self.left -= 1
            if self.left < 0:
                raise sqlite3.OperationalError("database or disk is full")

    def __getattr__(self, name):
        return getattr(self.connection, name)


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("BEGIN", 0),
        *(("INSERT", left) for left in range(5)),
        ("DELETE", 0),
        ("UPDATE", 0),
        ("COMMIT", 0),
    ],
)
def test_a_flush_that_fails_anywhere_leaves_rows_and_checkpoint_as_they_were(
    path, monkeypatch, statement, left
):
    monkeypatch.setattr("eventstore.sqlite.ROWS_MAX", 1)
    with opened(path) as table:
        flush(table, 1, pending_job("old", pos=1))
        put(table, pending_job("new-1", pos=2), pending_job("new-2", pos=3))
        table.begin_flush()
        sound, table._writing = table._writing, FailsAt(table._writing, statement, left)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            table.flush(3)
        table.abandon_flush()
        table._writing = sound
        assert (table.checkpoint, table.unflushed, ids(table.jobs())) == (1, 2, ["old"])
        assert on_disk(path) == (["old"], 1)
        flush(table, 3)
        assert on_disk(path) == (["new-1", "new-2", "old"], 3)


def test_a_flush_that_the_file_itself_refuses_half_way_leaves_it_as_it_was(path):
    """The same without a stand-in: the rows go in, the checkpoint does not."""
    with opened(path) as table:
        with closing(sqlite3.connect(path, isolation_level=None)) as another:
            another.execute(
                "CREATE TRIGGER stop BEFORE UPDATE ON state BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
            )
            put(table, pending_job())
            table.begin_flush()
            with pytest.raises(sqlite3.IntegrityError):
                table.flush(1)
            table.abandon_flush()
            assert on_disk(path) == ([], 0)
            another.execute("DROP TRIGGER stop")
        flush(table, 1)
    assert on_disk(path) == ([pending_job().id], 1)


def test_an_abandoned_flush_keeps_newer_states():
    old, other = pending_job("a", pos=1), pending_job("b", pos=2)
    new = evolve(old, follow(old, job_cancelled(1)))
    with opened(MEMORY) as table:
        put(table, old, other)
        table.begin_flush()
        put(table, new)
        table.abandon_flush()
        assert (table.get("a"), table.get("b"), table.unflushed) == (new, other, 2)
        flush(table, 3)
        assert list(table.jobs()) == [new, other]


def test_what_was_not_flushed_is_not_in_the_file(path):
    with opened(path) as table:
        flush(table, 1, pending_job("a", pos=1))
        put(table, pending_job("b", pos=2))
    assert on_disk(path) == (["a"], 1)


def lives(seed, count=12):
    dice = Random(seed)
    return [folded(*random_life(dice), stream=f"j{n}", pos=1 + 100 * n) for n in range(count)]


def test_the_digest_is_that_of_the_jobs_however_they_were_flushed(path):
    jobs = lives(1)
    with opened(MEMORY) as at_once, opened(path) as one_by_one:
        flush(at_once, 99, *jobs)
        for job in reversed(jobs):
            flush(one_by_one, job.pos, replace(job, rev=0), job)
        flush(one_by_one, 99)
        assert at_once.digest() == one_by_one.digest()
    with opened(path) as again:
        assert again.digest() == one_by_one_digest(jobs)


def one_by_one_digest(jobs, checkpoint=99):
    with opened(MEMORY) as table:
        flush(table, checkpoint, *jobs)
        return table.digest()


def test_the_digest_does_not_depend_on_private_words():
    lives = [random_life(Random(seed)) for seed in range(30)]
    told = [folded(*life, stream=f"j{n}", pos=1 + 100 * n) for n, life in enumerate(lives)]
    assert any(job.last_error and job.last_error.message for job in told)
    assert any(job.result for job in told)
    for life in lives:
        life[:] = [replace(event, private=None) for event in life]
    untold = [folded(*life, stream=f"j{n}", pos=1 + 100 * n) for n, life in enumerate(lives)]
    assert told != untold
    assert one_by_one_digest(told) == one_by_one_digest(untold)


@pytest.mark.parametrize(
    "name", ["status", "attempts", "waited_s", "rev", "pos", "next_attempt_at"]
)
def test_the_digest_depends_on_every_fact(name):
    job = running_job()
    other = replace(job, **{name: {"status": Status.FAILED, "next_attempt_at": at(1)}.get(name, 9)})
    assert one_by_one_digest([job]) != one_by_one_digest([other])


def test_the_digest_depends_on_the_checkpoint():
    assert one_by_one_digest([], 1) != one_by_one_digest([], 2)


def test_facts_are_all_fields_but_the_private_ones():
    failed = [attempt_started(1), attempt_failed(2, retry_at=at(3), facts={"code": 451})]
    job = folded(job_created(payload={"to": "x"}), *failed)
    names = {field.encode_name for field in fields(job)}
    assert names - set(facts(job)) == {"payload", "result"}
    errors = [attempt["error"] for attempt in facts(job)["attempt_log"] if attempt["error"]]
    errors.append(facts(job)["last_error"])
    assert len(errors) > 1
    assert all(set(error) == {"attempt", "reason", "class", "facts"} for error in errors)
