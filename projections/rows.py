"""How jobs become rows: the writing half of the table, a slice of jobs at a time.

Whoever writes rows shares the interpreter with the event loop. `executemany` takes it and gives it
back for every row, and each time the loop must wait for it; so rows go in many to a statement,
during which the loop is alone, and what is done between two statements (`_row`, `searched`) takes a
millisecond or two.

A job that is newer than every row needs no look; what was known of the others is read first, for
three reasons. The counts move from the state that a job had to the one it has. Its words are
indexed when it is new, and again when its last error is another one: nothing else that is searched
ever changes. And the index of words keeps no text: to forget the words of a job, it must be told
them, so they are made again from the row that is about to be replaced.

The caller has a transaction open; what is written is his checkpoint's concern.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from eventstore.leisure import Rest
from eventstore.sqlite import ROWS_MAX, insert_rows
from projections.job import Job
from projections.kind import Kind
from projections.search import searched

DECODER: Final = msgspec.json.Decoder(Job)
KIND_DECODER: Final = msgspec.json.Decoder(Kind)
_encode: Final = msgspec.json.Encoder().encode

_JOB: Final = "INSERT INTO jobs VALUES"
_NEWER: Final = (  # only what changes, so that SQLite leaves the other indexes alone
    "ON CONFLICT (created_pos) DO UPDATE SET status = excluded.status, rev = excluded.rev,"
    " next_attempt_at = excluded.next_attempt_at, expires_at = excluded.expires_at,"
    " held_at = excluded.held_at, doc = excluded.doc"
)
_AMONG: Final = "FROM jobs WHERE created_pos IN"
_WORDS: Final = "INSERT INTO search (rowid, text) VALUES"
_FORGET_WORDS: Final = "INSERT INTO search (search, rowid, text) VALUES"
_COUNT: Final = "INSERT INTO counts VALUES"
_MORE: Final = "ON CONFLICT (kind, status) DO UPDATE SET number = number + excluded.number"

_Counts: TypeAlias = Counter[tuple[str, str]]


def write_jobs(database: sqlite3.Connection, jobs: Iterable[Job], rest: Rest) -> None:
    """Write the newest states of these jobs, each of them once; and what follows from them. There
    is a rest after each slice.
    """
    [newest] = database.execute("SELECT ifnull(max(created_pos), 0) FROM jobs").fetchone()
    counts: _Counts = Counter()
    left = iter(jobs)
    while some := list(islice(left, ROWS_MAX)):
        known = _known(database, [job for job in some if job.created_pos <= newest])
        _write_words(database, some, known)
        insert_rows(database, _JOB, [_row(job) for job in some], _NEWER)
        counts.update((job.kind, str(job.status)) for job in some)
        counts.subtract(known.values())
        rest()
    moved = [(kind, status, number) for (kind, status), number in counts.items() if number]
    insert_rows(database, _COUNT, moved, _MORE)
    database.execute("DELETE FROM counts WHERE number = 0")


def write_kinds(database: sqlite3.Connection, kinds: Iterable[Kind]) -> None:
    """Write what holds for these kinds."""
    rows = [(kind.name, _encode(kind)) for kind in kinds]
    insert_rows(database, "INSERT OR REPLACE INTO kinds VALUES", rows)


def _known(database: sqlite3.Connection, jobs: Sequence[Job]) -> dict[int, tuple[str, str]]:
    """Of those that have a row, by position: their kind and status there."""
    marks = ", ".join("?" * len(jobs))
    query = f"SELECT created_pos, kind, status {_AMONG} ({marks})"
    rows = database.execute(query, [job.created_pos for job in jobs])
    return {created_pos: (kind, status) for created_pos, kind, status in rows}


def _write_words(
    database: sqlite3.Connection, jobs: Sequence[Job], known: dict[int, tuple[str, str]]
) -> None:
    """Index the words of new jobs, and of those whose last error is another one."""
    new = [job for job in jobs if job.created_pos not in known]
    failed = [job for job in jobs if job.last_error is not None and job.created_pos in known]
    for job, before in _reworded(database, failed):
        forgotten = ("delete", before.created_pos, searched(before))
        insert_rows(database, _FORGET_WORDS, [forgotten])
        new.append(job)
    insert_rows(database, _WORDS, [(job.created_pos, searched(job)) for job in new])


def _reworded(database: sqlite3.Connection, jobs: Sequence[Job]) -> Iterator[tuple[Job, Job]]:
    """Those whose last error is not the one in their row, each with the job of that row."""
    query = "SELECT doc FROM jobs WHERE created_pos = ?"
    for job in jobs:
        [doc] = database.execute(query, (job.created_pos,)).fetchone()
        before = DECODER.decode(doc)
        if before.last_error != job.last_error:
            yield job, before


def _row(job: Job) -> tuple[object, ...]:
    """What lists and boards need of a job, and all of it."""
    return (
        job.created_pos,
        job.id,
        job.kind,
        str(job.status),
        job.rev,
        job.priority,
        job.created_at,
        job.run_at,
        job.next_attempt_at,
        job.expires_at,
        job.held_at,
        _encode(job),
    )
