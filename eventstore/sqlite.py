"""What the caches in SQLite have in common: transactions, and when such a file may be thrown away.

A cache that is not a sound database is made again from the log. One that cannot be used just now
(locked, no room, no permission) is kept: it is a witness of how far the log once reached, and
throwing it away would silence it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

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
