"""The file of the table: one of an old fold, of another log, of junk, or in somebody's hands.

A cache that cannot be trusted is thrown away and made again from the log; a file that belongs to
another log, or cannot be used just now, is not ours to throw away. What a sound table answers is in
`test_table`.
"""

import sqlite3
from contextlib import closing
from functools import partial

import pytest

from eventstore.errors import StoreCorrupt
from projections import table as table_module
from projections.table import JobTable
from tests.projections.tables import flush, on_disk, opened
from tests.support.build import (
    LOG_ID,
    pending_job,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.sqlite"


def test_another_version_of_the_fold_makes_the_table_again(path, monkeypatch):
    with opened(path) as table:
        flush(table, 5, pending_job())
    monkeypatch.setattr(table_module, "FOLD_VERSION", table_module.FOLD_VERSION + 1)
    assert on_disk(path) == ([], 0)
    with opened(path) as table:
        flush(table, 6)
    assert on_disk(path) == ([], 6)


def test_another_version_of_the_schema_makes_the_table_again(path):
    with closing(sqlite3.connect(path)) as older:
        older.executescript(
            "CREATE TABLE jobs (created_pos INTEGER PRIMARY KEY, id TEXT, doc BLOB);"
            "CREATE TABLE state (one INTEGER PRIMARY KEY, log_id TEXT, fold INTEGER,"
            " checkpoint INTEGER);"
            f"INSERT INTO state VALUES (1, '{LOG_ID}', 1, 7)"
        )
    assert_begins_anew(path)


def test_another_version_of_the_schema_of_another_log_is_refused_and_left_alone(path):
    with closing(sqlite3.connect(path)) as older:
        older.executescript(
            "CREATE TABLE jobs (id TEXT); CREATE TABLE state (log_id TEXT, fold INTEGER);"
            f"INSERT INTO state VALUES ('{'f' * 32}', 1)"
        )
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match=r"delete jobs\.sqlite"):
        JobTable(str(path), log_id=LOG_ID)
    assert path.read_bytes() == before


def test_a_file_of_another_log_is_refused_and_left_alone(path, monkeypatch):
    with opened(path) as table:
        flush(table, 5, pending_job())
    for fold_version in (table_module.FOLD_VERSION, 99):
        with monkeypatch.context() as patch:
            patch.setattr(table_module, "FOLD_VERSION", fold_version)
            with pytest.raises(StoreCorrupt, match=r"delete jobs\.sqlite") as refused:
                JobTable(str(path), log_id="f" * 32)
        assert refused.value.file == str(path)
        assert on_disk(path) == ([pending_job().id], 5)


JUNK = {
    "text": b"this is no database\n" * 500,
    "zeros": bytes(8192),
    "a header and nothing more": b"SQLite format 3\0",
    "a header and junk": b"SQLite format 3\0" + b"\xff" * 9000,
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_a_file_of_junk_is_thrown_away(path, junk):
    path.write_bytes(junk)
    assert_begins_anew(path)


def test_a_database_of_something_else_is_thrown_away(path):
    with closing(sqlite3.connect(path)) as other:
        other.executescript(
            "CREATE TABLE state (a, b); CREATE TABLE jobs (c); PRAGMA user_version=3"
        )
    assert_begins_anew(path)


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_a_file_whose_end_is_missing_is_thrown_away(path, part):
    with opened(path) as table:
        flush(table, 9, *(pending_job(f"j{pos}", pos=pos) for pos in range(1, 200)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    assert_begins_anew(path)


def assert_begins_anew(path):
    assert on_disk(path) == ([], 0)
    with opened(path) as table:
        flush(table, 1, pending_job())
    assert on_disk(path) == ([pending_job().id], 1)


def test_an_empty_file_is_a_new_table(path):
    path.touch()
    assert_begins_anew(path)


def test_a_file_that_is_locked_is_not_thrown_away(path, monkeypatch):
    """It may be the only witness of what the log has lost."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0))
    with opened(path) as table:
        flush(table, 5, pending_job())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            JobTable(str(path), log_id=LOG_ID)
        other.execute("ROLLBACK")
    assert on_disk(path) == ([pending_job().id], 5)


def test_a_job_that_cannot_be_read_stops_a_start_with_what_to_do(path):
    with opened(path) as table:
        flush(table, 5, pending_job())
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE jobs SET doc = x'7b22', status = 'processing'")
        other.execute("UPDATE counts SET status = 'processing'")
        other.commit()
    with opened(path) as table, pytest.raises(StoreCorrupt, match=r"Delete jobs\.sqlite"):
        list(table.running())
