"""Rows in many to a statement are the rows that one after the other would have been.

What a transaction keeps and gives up is tested where the caches are: `projections/test_table`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from eventstore.sqlite import ROWS_MAX, insert_rows

NUMBERS = [0, 1, ROWS_MAX - 1, ROWS_MAX, ROWS_MAX + 1, 3 * ROWS_MAX]


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.execute("CREATE TABLE found (place INTEGER PRIMARY KEY, text TEXT)")
        yield opened


@pytest.mark.parametrize("number", NUMBERS)
def test_all_rows_are_there_in_as_few_statements_as_hold_them(
    database: sqlite3.Connection, number: int
) -> None:
    rows = [(place, f"text {place}") for place in range(number)]
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    insert_rows(database, "INSERT INTO found VALUES", rows)
    database.set_trace_callback(None)
    assert database.execute("SELECT * FROM found ORDER BY place").fetchall() == rows
    assert len(statements) == -(-number // ROWS_MAX)


def test_what_is_there_already_is_the_tails_matter(database: sqlite3.Connection) -> None:
    insert_rows(database, "INSERT INTO found VALUES", [(1, "old"), (2, "old")])
    tail = "ON CONFLICT (place) DO UPDATE SET text = excluded.text"
    insert_rows(database, "INSERT INTO found VALUES", [(2, "new"), (3, "new")], tail)
    found = database.execute("SELECT * FROM found ORDER BY place").fetchall()
    assert found == [(1, "old"), (2, "new"), (3, "new")]
