"""How far a log once reached, as its caches have seen it: what the log's own bytes cannot tell once
its end is gone.

A cache is flushed after the log was synced, so one that has seen more than the log holds proves
that acknowledged events are gone. Ask it *before* reading the log: a running server goes on writing
both. A missing or unreadable cache has seen nothing; that is no fault, it is only one witness less.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from eventstore.file.directory import CACHES
from projections.table import read_only


def witnessed(root: str) -> dict[str, int]:
    """Cache -> the last position that it has seen."""
    return {name: _seen_by(f"{root}/{name}") for name in CACHES}


def _seen_by(path: str) -> int:
    if not Path(path).exists():
        return 0
    try:
        with closing(read_only(path)) as database:
            return int(database.execute("SELECT checkpoint FROM state").fetchone()[0])
    except (sqlite3.Error, TypeError):
        return 0
