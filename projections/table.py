"""All jobs, finished ones too, in SQLite: get, list, digest; the checkpoint in the same transaction
as the rows.

Rows are written behind: `put` keeps a job's newest state in memory, and `flush` writes all of them
and the position they reach at once. So a job that came and went between two flushes costs one row,
a crash loses nothing that the log does not make good, and the table on disk is at every moment
exactly the fold of the log up to its checkpoint.

It is a cache. Delete the file, or change FOLD_VERSION, and it is made again. It never answers a
question that the log would answer otherwise, and it takes no decision.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
import orjson

from eventstore.errors import StoreCorrupt
from eventstore.sqlite import is_unsound, transaction
from eventstore.timestamp import Timestamp
from projections.job import OPEN, Job, Status

FOLD_VERSION = 1  # raise it when `evolve` makes something else of a log: tables are made again
PAGE_MAX = 200
MEMORY = ":memory:"

_SCHEMA = files("projections").joinpath("table.sql").read_text()
_DECODER = msgspec.json.Decoder(Job)


class Filter(NamedTuple):
    """Which jobs a list is of. Times are of creation: from `created_after` (exclusive) to
    `created_before`.
    """

    status: Status | None = None
    kind: str | None = None
    created_after: Timestamp | None = None
    created_before: Timestamp | None = None


class JobTable:
    """The jobs of one log."""

    def __init__(self, path: str, *, log_id: str) -> None:
        """Open it, or begin one. Raises StoreCorrupt when it belongs to another log."""
        self._path = path
        self._log_id = log_id
        self._reading, self._writing = self._open()
        self._lock = threading.Lock()
        self._new: dict[str, Job] = {}  # states since the last flush
        self._flushing: dict[str, Job] = {}
        self.checkpoint = self._read_checkpoint()

    def get(self, job_id: str) -> Job | None:
        """The job, or None when there never was one."""
        with self._lock:
            job = self._new.get(job_id) or self._flushing.get(job_id)
            if job is None:
                query = "SELECT doc FROM jobs WHERE id = ?"
                row = self._reading.execute(query, (job_id,)).fetchone()
                job = _DECODER.decode(row[0]) if row else None
            return job

    def page(self, wanted: Filter, *, before: int | None, limit: int) -> list[Job]:
        """Jobs that were flushed, newest first, created at positions below `before`."""
        conditions, values = _conditions(wanted, before)
        # Built from constants only: the values are bound.
        query = f"SELECT doc FROM jobs{conditions} ORDER BY created_pos DESC LIMIT ?"  # noqa: S608
        with self._lock:
            rows = self._reading.execute(query, (*values, limit)).fetchall()
        return [_DECODER.decode(doc) for (doc,) in rows]

    def open_jobs(self) -> Iterator[Job]:
        """The flushed jobs that are not finished, oldest first: what a board starts from."""
        query = "SELECT doc FROM jobs WHERE status IN (?, ?) ORDER BY created_pos"
        try:
            for (doc,) in self._reading.execute(query, sorted(OPEN)):
                yield _DECODER.decode(doc)
        except (sqlite3.DatabaseError, msgspec.MsgspecError) as error:
            hint = "Delete jobs.sqlite and start again: it is made again from the log"
            raise StoreCorrupt(f"a damaged page: {error}", file=self._path, hint=hint) from error

    def jobs(self) -> Iterator[Job]:
        """All flushed jobs, oldest first."""
        for (doc,) in self._reading.execute("SELECT doc FROM jobs ORDER BY created_pos"):
            yield _DECODER.decode(doc)

    def digest(self) -> str:
        """SHA-256 of all flushed jobs and the checkpoint: the same log gives the same digest,
        whoever computes it.

        What is private is left out: it may be erased one day, and the rest must not change by that.
        """
        sha = hashlib.sha256()
        for job in self.jobs():
            sha.update(orjson.dumps(facts(job), option=orjson.OPT_SORT_KEYS) + b"\n")
        sha.update(str(self.checkpoint).encode())
        return sha.hexdigest()

    def put(self, job: Job) -> None:
        """Take in a job's newest state."""
        self._new[job.id] = job

    @property
    def unflushed(self) -> int:
        """Rows that the next flush will write."""
        return len(self._new)

    def begin_flush(self) -> None:
        """Set aside what is to be flushed. Look-ups go on seeing it."""
        with self._lock:
            assert not self._flushing
            self._flushing, self._new = self._new, {}

    def flush(self, checkpoint: int) -> None:
        """Write what was set aside, and that it reaches `checkpoint`. The blocking part, for a
        thread.
        """
        database = self._writing
        rows = [
            (j.created_pos, j.id, j.kind, j.status, j.created_at, msgspec.json.encode(j))
            for j in self._flushing.values()
        ]
        with transaction(database):
            database.executemany("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?)", rows)
            database.execute("UPDATE state SET checkpoint = ?", (checkpoint,))

    def end_flush(self, checkpoint: int) -> None:
        """What was set aside is on disk."""
        with self._lock:
            self._flushing = {}
            self.checkpoint = checkpoint

    def abandon_flush(self) -> None:
        """What was set aside could not be written (a full disk): keep it for the next time."""
        with self._lock:
            self._flushing, self._new = {}, self._flushing | self._new

    def close(self) -> None:
        """Let go of the file. What was not flushed is found again in the log."""
        self._reading.close()
        if self._writing is not self._reading:
            self._writing.close()

    def _open(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        """A connection to read by and one to write by. A file that is not sound is thrown away; one
        that cannot be used just now (locked, no room) is not: it is a witness.
        """
        try:
            return self._opened()
        except sqlite3.DatabaseError as error:
            if not is_unsound(error):
                raise
            for suffix in ("", "-wal", "-shm"):
                Path(self._path + suffix).unlink(missing_ok=True)
            return self._opened()

    def _opened(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        writing = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            writing.executescript(_SCHEMA)
            values = (self._log_id, FOLD_VERSION)
            writing.execute("INSERT OR IGNORE INTO state VALUES (1, ?, ?, 0)", values)
            log_id, fold = writing.execute("SELECT log_id, fold FROM state").fetchone()
            if fold != FOLD_VERSION and log_id == self._log_id:
                writing.execute("DELETE FROM jobs")
                writing.execute("UPDATE state SET fold = ?, checkpoint = 0", (FOLD_VERSION,))
        except sqlite3.DatabaseError:
            writing.close()
            raise
        if self._path == MEMORY:
            return writing, writing
        return sqlite3.connect(self._path, check_same_thread=False, isolation_level=None), writing

    def _read_checkpoint(self) -> int:
        query = "SELECT log_id, checkpoint FROM state"
        log_id, checkpoint = self._reading.execute(query).fetchone()
        if log_id != self._log_id:
            self.close()
            raise StoreCorrupt(
                f"these jobs belong to log {log_id}, the log here is {self._log_id}",
                file=self._path,
                hint="If log/ is the right one, delete jobs.sqlite and start again",
            )
        return int(checkpoint)


class Saved(NamedTuple):
    """What a table's file holds: whose jobs, made by which fold, up to where; oldest first."""

    log_id: str
    fold: int
    checkpoint: int
    jobs: Iterator[Job]


@contextmanager
def saved(path: str) -> Iterator[Saved]:
    """A table's file as it is at this moment, for who compares; somebody else may be writing it.

    Raises sqlite3.Error when there is none, or none that can be read.
    """
    with closing(read_only(path)) as database:
        database.execute("BEGIN")  # all that follows is of one moment
        state = database.execute("SELECT log_id, fold, checkpoint FROM state").fetchone()
        docs = database.execute("SELECT doc FROM jobs ORDER BY created_pos")
        log_id, fold, checkpoint = state
        yield Saved(log_id, fold, checkpoint, (_DECODER.decode(doc) for (doc,) in docs))


def read_only(path: str) -> sqlite3.Connection:
    """A connection that leaves no trace. SQLite would make files beside the one it reads, unless it
    is told that nobody writes, which is so where there is no write-ahead log.
    """
    written = Path(path + "-wal").exists()
    mode = "mode=ro&readonly_shm=1" if written else "mode=ro&immutable=1"
    return sqlite3.connect(f"file:{quote(path)}?{mode}", uri=True, isolation_level=None)


def facts(job: Job) -> dict[str, Any]:
    """The job without what is private."""
    bare = msgspec.to_builtins(job)
    assert isinstance(bare, dict)
    del bare["payload"], bare["result"]
    _forget_words(bare["last_error"])
    for attempt in bare["attempt_log"]:
        _forget_words(attempt["error"])
    return bare


def _forget_words(failure: dict[str, Any] | None) -> None:
    if failure is not None:
        del failure["message"], failure["traceback"]


def _conditions(wanted: Filter, before: int | None) -> tuple[str, list[object]]:
    """The WHERE clause, of constants only, and its values."""
    terms = {
        "status = ?": wanted.status,
        "kind = ?": wanted.kind,
        "created_at > ?": wanted.created_after,
        "created_at < ?": wanted.created_before,
        "created_pos < ?": before,
    }
    chosen = {term: value for term, value in terms.items() if value is not None}
    return (f" WHERE {' AND '.join(chosen)}" if chosen else ""), list(chosen.values())
