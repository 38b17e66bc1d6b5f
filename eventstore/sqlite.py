"""What the caches in SQLite have in common: transactions, many rows at once, and when such a file
may be thrown away.

A cache that is not a sound database is made again from the log. One that cannot be used just now
(locked, no room, no permission) is kept: it is a witness of how far the log once reached, and
throwing it away would silence it.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Final

ROWS_MAX: Final = 100  # of a statement: a millisecond or two, in which nobody needs the interpreter

_UNSOUND = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR}  # junk, or others'


def is_unsound(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is to blame. Extended codes carry the plain one in their low byte."""
    return error.sqlite_errorcode & 0xFF in _UNSOUND


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All of what is done inside, or nothing of it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # SQLite itself ends it after some failures
            database.execute("ROLLBACK")
        raise


def insert_rows(
    database: sqlite3.Connection, head: str, rows: Sequence[Sequence[object]], tail: str = ""
) -> None:
    """Insert rows of one width, ROWS_MAX a statement; `head` ends on VALUES, `tail` follows them.

    The thread that does so gives the interpreter away once a statement; `executemany` would for
    every row, and must then wait for it as often.
    """
    for start in range(0, len(rows), ROWS_MAX):
        some = rows[start : start + ROWS_MAX]
        statement = _statement(head, len(some[0]), len(some), tail)
        database.execute(statement, list(chain.from_iterable(some)))


@cache
def _statement(head: str, width: int, number: int, tail: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{head} {', '.join([row] * number)} {tail}"
