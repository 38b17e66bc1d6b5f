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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from importlib.resources import files
from pathlib import Path
from sys import intern
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec
import orjson

from eventstore.errors import StoreCorrupt
from eventstore.leisure import Rest, without_rest
from eventstore.sqlite import ROWS_MAX, is_unsound, transaction
from eventstore.timestamp import EPOCH, Timestamp
from projections.board import Waiting
from projections.job import Job, Status
from projections.kind import Kind
from projections.listing import PAGE_MAX, Filter, Listing
from projections.rows import DECODER, KIND_DECODER, write_jobs, write_kinds

__all__ = ["FOLD_VERSION", "MEMORY", "PAGE_MAX", "Filter", "JobTable", "Saved", "facts", "saved"]

# Raise it when `evolve` makes something else of a log, when something else is searched, and with
# every change of `table.sql`: tables of another version are thrown away and made again.
FOLD_VERSION = 4
MEMORY = ":memory:"
WAITING_ROWS: Final = 1_000  # read at once: a turn for each would cost as much as the reading
CACHE_KIB: Final = 16_384  # of pages; with SQLite's 2 MiB, a flush writes many of them twice

_SCHEMA = files("projections").joinpath("table.sql").read_text()


_WAITING = (  # where both times are the same, as in most jobs, it is told once
    "SELECT -priority, run_at, created_pos, id, rev,"
    " CASE next_attempt_at WHEN run_at THEN '' ELSE next_attempt_at END, expires_at FROM jobs"
    " WHERE status = 'pending' AND kind = ? ORDER BY priority DESC, run_at, created_pos"
)


class _OtherVersionError(Exception):
    """The file was made by another version of the fold."""


class JobTable:
    """The jobs of one log."""

    def __init__(self, path: str, *, log_id: str) -> None:
        """Open it, or begin one. Raises StoreCorrupt when it belongs to another log."""
        self._path = path
        self._log_id = log_id
        self._writing = self._open()
        # A list or a count may take its time, and `get` must not wait for that.
        self._reading, listing = (
            self._writing if path == MEMORY else self._connect() for _ in range(2)
        )
        self._connections = (self._reading, listing, self._writing)
        self._listing = Listing(listing)
        self._lock = threading.Lock()
        self._new: dict[str, Job] = {}  # states since the last flush
        self._flushing: dict[str, Job] = {}
        self._new_kinds: dict[str, Kind] = {}
        self._flushing_kinds: dict[str, Kind] = {}
        self.checkpoint: int
        [self.checkpoint] = self._reading.execute("SELECT checkpoint FROM state").fetchone()

    def get(self, job_id: str) -> Job | None:
        """The job, or None when there never was one."""
        with self._lock:
            job = self._new.get(job_id) or self._flushing.get(job_id)
            if job is None:
                query = "SELECT doc FROM jobs WHERE id = ?"
                row = self._reading.execute(query, (job_id,)).fetchone()
                job = DECODER.decode(row[0]) if row else None
            return job

    def unwritten(self, job_id: str) -> Job | None:
        """The job, if it is one of those that the next flush will write."""
        return self._new.get(job_id)

    def page(self, wanted: Filter, *, before: int | None, limit: int) -> list[Job]:
        """Jobs that were flushed, newest first, created at positions below `before`."""
        docs = self._listing.page(wanted, before=before, limit=limit)
        return [DECODER.decode(doc) for doc in docs]

    def count(self, wanted: Filter) -> int:
        """How many of the flushed jobs are wanted."""
        return self._listing.count(wanted)

    def counts(self) -> dict[tuple[str, Status], int]:
        """How many of the flushed jobs there are of each kind in each state."""
        with self._damage_told():
            return self._listing.counts()

    def due_since(self, now: Timestamp) -> Timestamp | None:
        """Since when the one of the flushed jobs is due that is so longest; None when none is."""
        return self._listing.due_since(now)

    def running(self) -> Iterator[Job]:
        """The flushed jobs with an attempt under way."""
        query = "SELECT doc FROM jobs WHERE kind = ? AND status = 'processing'"
        with self._damage_told():
            for kind in self._kinds_of(Status.PROCESSING):
                for (doc,) in self._reading.execute(query, (kind,)):
                    yield DECODER.decode(doc)

    def waiting(self) -> Iterator[list[Waiting]]:
        """The flushed jobs that are pending, as a board keeps them: at most WAITING_ROWS of one
        kind at a time, those of a kind in order.
        """
        with self._damage_told():
            for kind in self._kinds_of(Status.PENDING):
                name = intern(kind)
                rows = self._reading.execute(_WAITING, (kind,))
                while some := rows.fetchmany(WAITING_ROWS):
                    yield [
                        Waiting(rank, run_at, pos, id_, name, rev, run_at if at == "" else at, end)
                        for rank, run_at, pos, id_, rev, at, end in some
                    ]

    def newest_at(self) -> Timestamp:
        """When the last of the flushed jobs was created."""
        query = "SELECT created_at FROM jobs ORDER BY created_pos DESC LIMIT 1"
        [time] = self._reading.execute(query).fetchone() or (EPOCH,)
        return str(time)

    def recall(self, waiting: Sequence[Waiting]) -> Iterator[Job]:
        """The newest states of these jobs, in any order, by one query."""
        with self._lock:
            older: list[int] = []
            for each in waiting:
                job = self._new.get(each.id) or self._flushing.get(each.id)
                if job is None:
                    older.append(each.created_pos)
                else:
                    yield job
            marks = ", ".join("?" * len(older))
            query = f"SELECT doc FROM jobs WHERE created_pos IN ({marks})"  # noqa: S608  marks only
            docs = self._reading.execute(query, older).fetchall()
        for (doc,) in docs:
            yield DECODER.decode(doc)

    def newest(self, ids: Iterable[str]) -> dict[str, Job]:
        """The newest states of those of these jobs that there are, by one query."""
        found: dict[str, Job] = {}
        with self._lock:
            older: list[str] = []
            for job_id in ids:
                job = self._new.get(job_id) or self._flushing.get(job_id)
                if job is None:
                    older.append(job_id)
                else:
                    found[job_id] = job
            marks = ", ".join("?" * len(older))
            query = f"SELECT doc FROM jobs WHERE id IN ({marks})"  # noqa: S608  marks only
            docs = self._reading.execute(query, older).fetchall() if older else []
        for (doc,) in docs:
            job = DECODER.decode(doc)
            found[job.id] = job
        return found

    def jobs(self) -> Iterator[Job]:
        """All flushed jobs, oldest first."""
        for (doc,) in self._reading.execute("SELECT doc FROM jobs ORDER BY created_pos"):
            yield DECODER.decode(doc)

    def kinds(self) -> Iterator[Kind]:
        """What holds for kinds, as flushed, by name."""
        for (doc,) in self._reading.execute("SELECT doc FROM kinds ORDER BY name"):
            yield KIND_DECODER.decode(doc)

    def digest(self) -> str:
        """SHA-256 of all flushed jobs and kinds and the checkpoint: the same log gives the same,
        whoever computes it.

        What is private is left out: it may be erased one day, and the rest must not change by that.
        """
        sha = hashlib.sha256()
        for job in self.jobs():
            sha.update(orjson.dumps(facts(job), option=orjson.OPT_SORT_KEYS) + b"\n")
        for kind in self.kinds():
            sha.update(orjson.dumps(facts_of_kind(kind), option=orjson.OPT_SORT_KEYS) + b"\n")
        sha.update(str(self.checkpoint).encode())
        return sha.hexdigest()

    def put(self, job: Job) -> None:
        """Take in a job's newest state."""
        self._new[job.id] = job

    def put_all(self, jobs: Mapping[str, Job]) -> None:
        """The same of many jobs, by their ids."""
        self._new.update(jobs)

    def put_kind(self, kind: Kind) -> None:
        """Take in what holds for a kind."""
        self._new_kinds[kind.name] = kind

    def unwritten_jobs(self) -> Iterable[Job]:
        """The newest states of those that the next flush will write."""
        return self._new.values()

    @property
    def unflushed(self) -> int:
        """Rows that the next flush will write."""
        return len(self._new)

    def begin_flush(self) -> None:
        """Set aside what is to be flushed. Look-ups go on seeing it."""
        with self._lock:
            assert not self._flushing
            self._flushing, self._new = self._new, {}
            self._flushing_kinds, self._new_kinds = self._new_kinds, {}

    def flush(self, checkpoint: int, rest: Rest = without_rest) -> None:
        """Write what was set aside, and that it reaches `checkpoint`. The blocking part, for a
        thread; it rests between slices.
        """
        database = self._writing
        with transaction(database):
            write_jobs(database, self._flushing.values(), rest)
            write_kinds(database, self._flushing_kinds.values())
            database.execute("UPDATE state SET checkpoint = ?", (checkpoint,))
        self._let_go(rest)

    def end_flush(self, checkpoint: int) -> None:
        """What was set aside is on disk, up to there."""
        self.checkpoint = checkpoint

    def abandon_flush(self) -> None:
        """What was set aside could not be written (a full disk): keep it for the next time."""
        with self._lock:
            self._flushing.update(self._new)  # the newer ones, and so the fewer
            self._flushing_kinds.update(self._new_kinds)
            self._flushing, self._new = {}, self._flushing
            self._flushing_kinds, self._new_kinds = {}, self._flushing_kinds

    def close(self) -> None:
        """Let go of the file. What was not flushed is found again in the log."""
        for connection in self._connections:
            connection.close()

    def _let_go(self, rest: Rest) -> None:
        """Look-ups find on disk what was set aside. To free thousands of jobs takes its time, which
        the event loop need not spend; one by one, so that it is not kept waiting either.
        """
        with self._lock:
            flushed, self._flushing, self._flushing_kinds = self._flushing, {}, {}
        while flushed:
            for _ in range(min(ROWS_MAX, len(flushed))):
                flushed.popitem()
            rest()

    def _kinds_of(self, status: Status) -> list[str]:
        return sorted(kind for kind, of_status in self._listing.counts() if of_status is status)

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        """What a damaged page makes of reading, at the start."""
        try:
            yield
        except (sqlite3.DatabaseError, msgspec.MsgspecError) as error:
            hint = "Delete jobs.sqlite and start again: it is made again from the log"
            raise StoreCorrupt(f"a damaged page: {error}", file=self._path, hint=hint) from error

    def _open(self) -> sqlite3.Connection:
        """A connection to write by, to tables as they should be. A file that is not sound, or of
        another version, is thrown away; one that cannot be used just now (locked, no room) is not:
        it is a witness.
        """
        try:
            return self._opened()
        except _OtherVersionError:
            pass
        except sqlite3.DatabaseError as error:
            if not is_unsound(error):
                raise
        for suffix in ("", "-wal", "-shm"):
            Path(self._path + suffix).unlink(missing_ok=True)
        return self._opened()

    def _opened(self) -> sqlite3.Connection:
        with ExitStack() as undo:
            writing = undo.enter_context(closing(self._connect()))
            self._require_ours(writing)
            writing.executescript(_SCHEMA)
            writing.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            values = (self._log_id, FOLD_VERSION)
            writing.execute("INSERT OR IGNORE INTO state VALUES (1, ?, ?, 0)", values)
            undo.pop_all()
        return writing

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)

    def _require_ours(self, database: sqlite3.Connection) -> None:
        """Before anything in the file is changed. A file without a state is none yet."""
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
            return
        query = "SELECT log_id, fold FROM state"
        log_id, fold = database.execute(query).fetchone() or (self._log_id, FOLD_VERSION)
        if log_id != self._log_id:
            raise StoreCorrupt(
                f"these jobs belong to log {log_id}, the log here is {self._log_id}",
                file=self._path,
                hint="If log/ is the right one, delete jobs.sqlite and start again",
            )
        if fold != FOLD_VERSION:
            raise _OtherVersionError


class Saved(NamedTuple):
    """What a table's file holds: whose jobs, made by which fold, up to where; oldest first. Of
    another fold than this one's, the jobs only.
    """

    log_id: str
    fold: int
    checkpoint: int
    jobs: Iterator[Job]
    kinds: Iterator[Kind]
    counts: dict[tuple[str, Status], int]


@contextmanager
def saved(path: str) -> Iterator[Saved]:
    """A table's file as it is at this moment, for who compares; somebody else may be writing it.

    Raises sqlite3.Error when there is none, or none that can be read.
    """
    with closing(read_only(path)) as database:
        database.execute("BEGIN")  # all that follows is of one moment
        state = database.execute("SELECT log_id, fold, checkpoint FROM state").fetchone()
        log_id, fold, checkpoint = state
        docs = database.execute("SELECT doc FROM jobs ORDER BY created_pos")
        jobs = (DECODER.decode(doc) for (doc,) in docs)
        counts = Listing(database).counts() if fold == FOLD_VERSION else {}
        yield Saved(log_id, fold, checkpoint, jobs, _saved_kinds(database, fold), counts)


def _saved_kinds(database: sqlite3.Connection, fold: int) -> Iterator[Kind]:
    if fold == FOLD_VERSION:
        for (doc,) in database.execute("SELECT doc FROM kinds ORDER BY name"):
            yield KIND_DECODER.decode(doc)


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


def facts_of_kind(kind: Kind) -> dict[str, Any]:
    """The kind without what is private."""
    bare = msgspec.to_builtins(kind)
    assert isinstance(bare, dict)
    if bare["pause"] is not None:
        del bare["pause"]["reason"]
    return bare


def _forget_words(failure: dict[str, Any] | None) -> None:
    if failure is not None:
        del failure["message"], failure["traceback"]
