"""The way from a stream to its lines: an SQLite file that can be deleted at any time, and a memory
of what is newer.

What the newest commits added is kept in memory until `flush` writes it, with the checkpoint in the
same transaction; look-ups ask the memory first. So the index on disk is never ahead of the log, and
that makes it a witness: an index that has seen a position beyond the log's end proves that the log
lost something (`StoreCorrupt`), which the log's own bytes cannot show when its last commits are
gone.

Look-ups, additions and flushes may come from different threads: a lock guards the memory, and
`flush`, the slow part, works outside it on its own connection.
"""

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from importlib.resources import files
from itertools import islice

from eventstore.errors import LOST_END_HINT, StoreCorrupt
from eventstore.event import NEW, Event, Head
from eventstore.file.disk import Disk
from eventstore.file.reader import BAD_INDEX_HINT, PLACE, Place
from eventstore.file.writer import Written
from eventstore.leisure import Rest, without_rest
from eventstore.sqlite import ROWS_MAX, insert_rows, is_unsound, transaction

RECENT_MAX = 50_000  # streams whose places stay in memory: those that are likely to go on soon
_STREAMS = "INSERT INTO streams (stream, places) VALUES"
_CONTINUED = "ON CONFLICT (stream) DO UPDATE SET places = CAST(places || excluded.places AS BLOB)"
SCHEMA = files("eventstore.file").joinpath("index.sql").read_text()


class Index:
    """Stream -> places, and from the last place the head."""

    def __init__(self, disk: Disk, path: str, log_id: str) -> None:
        self._disk = disk
        self._path = path
        self._log_id = log_id
        self._database = self._open()
        self._flusher = disk.database(path)
        self._lock = threading.Lock()
        self._new: dict[str, bytes] = {}  # places since the last flush
        self._flushing: dict[str, bytes] = {}
        # All places of streams seen lately, newest last. A plain dict would look for its first
        # member through all that were deleted before it, each time.
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._head = self.checkpoint = self._read_checkpoint()

    def require_not_beyond(self, head: int) -> None:
        """The second witness: raise StoreCorrupt when it has seen more than the log holds."""
        if self.checkpoint > head:
            raise StoreCorrupt(
                f"the log ends at position {head}, but its index has seen {self.checkpoint}:"
                " acknowledged events are gone",
                file=self._path,
                hint=LOST_END_HINT,
            )

    def add(self, written: Iterable[Written]) -> None:
        """Take in synced events, in order."""
        with self._lock:
            for event, offset in written:
                self._add(event, offset)
            while len(self._recent) > RECENT_MAX:
                self._recent.popitem(last=False)

    def places(self, stream: str) -> list[Place]:
        """All places of a stream in order of revision; none when it does not exist."""
        return [Place(pos, offset) for pos, offset in PLACE.iter_unpack(self._packed(stream))]

    def head(self, stream: str, *, fresh: bool = False) -> Head:
        """Where the stream ends; of a fresh one, as far as memory knows: the disk is not asked."""
        packed = self._in_memory(stream) if fresh else self._packed(stream)
        if not packed:
            return NEW
        pos, _ = PLACE.unpack_from(packed, len(packed) - PLACE.size)
        return Head(len(packed) // PLACE.size, pos)

    @property
    def unflushed(self) -> int:
        """Streams that the next flush will write."""
        return len(self._new)

    def begin_flush(self) -> int:
        """Set aside what is to be flushed; return the position it reaches. Look-ups go on seeing
        it.
        """
        with self._lock:
            assert not self._flushing
            self._flushing, self._new = self._new, {}
            return self._head

    def flush(self, checkpoint: int, rest: Rest = without_rest) -> None:
        """Write what was set aside and its checkpoint in one transaction. The blocking part, for a
        thread; it rests between slices.
        """
        database = self._flusher
        with transaction(database):
            left = iter(self._flushing.items())
            while some := list(islice(left, ROWS_MAX)):
                insert_rows(database, _STREAMS, some, _CONTINUED)
                rest()
            database.execute("UPDATE state SET checkpoint = ?", (checkpoint,))

    def end_flush(self, checkpoint: int) -> None:
        """What was set aside is on disk."""
        with self._lock:
            self._flushing = {}
            self.checkpoint = checkpoint

    def abandon_flush(self) -> None:
        """What was set aside could not be written (a full disk): keep it for the next time."""
        with self._lock:
            for stream, places in self._new.items():
                self._flushing[stream] = self._flushing.get(stream, b"") + places
            self._flushing, self._new = {}, self._flushing

    def flush_now(self) -> None:
        """All of a flush, blocking: for an open that catches up."""
        checkpoint = self.begin_flush()
        self.flush(checkpoint)
        self.end_flush(checkpoint)

    def close(self) -> None:
        """Let go of the database. What was not flushed is found again in the log."""
        self._flusher.close()
        self._database.close()

    def _add(self, event: Event, offset: int) -> None:
        stream, place = event.stream, PLACE.pack(event.pos, offset)
        if event.rev == 1:
            self._recent[stream] = self._new[stream] = place
        else:
            if stream in self._recent:
                self._recent[stream] = self._recent.pop(stream) + place
            self._new[stream] = self._new.get(stream, b"") + place
        self._head = event.pos

    def _in_memory(self, stream: str) -> bytes:
        with self._lock:
            for known in (self._recent, self._new, self._flushing):
                if packed := known.get(stream):
                    return packed
            return b""

    def _packed(self, stream: str) -> bytes:
        with self._lock:
            packed = self._recent.get(stream)
            if packed is None:
                packed = self._stored(stream)
                for newer in (self._flushing, self._new):
                    packed = _join(packed, newer.get(stream, b""))
                if packed:
                    self._recent[stream] = packed
            return packed

    def _stored(self, stream: str) -> bytes:
        query = "SELECT places FROM streams WHERE stream = ?"
        try:
            row = self._database.execute(query, (stream,)).fetchone()
        except sqlite3.DatabaseError as error:
            if not is_unsound(error):
                raise
            found = f"a damaged page: {error}"
            raise StoreCorrupt(found, file=self._path, hint=BAD_INDEX_HINT) from error
        return bytes(row[0]) if row else b""

    def _open(self) -> sqlite3.Connection:
        """Open it; a file that is no sound database is thrown away and made again from the log."""
        try:
            return self._opened()
        except sqlite3.DatabaseError as error:
            if not is_unsound(error):
                raise
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self._disk.unlink(self._path + suffix)
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        database = self._disk.database(self._path)
        try:
            database.executescript(SCHEMA)
            database.execute("INSERT OR IGNORE INTO state VALUES (1, ?, 0)", (self._log_id,))
            database.execute("SELECT 1 FROM streams LIMIT 1")
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def _read_checkpoint(self) -> int:
        query = "SELECT log_id, checkpoint FROM state"
        log_id, checkpoint = self._database.execute(query).fetchone()
        if log_id != self._log_id:
            self.close()
            raise StoreCorrupt(
                f"this index belongs to log {log_id}, the log here is {self._log_id}",
                file=self._path,
                hint="If log/ is the right one, delete index.sqlite and jobs.sqlite, and start",
            )
        return int(checkpoint)


def _join(stored: bytes, newer: bytes) -> bytes:
    """Places in order, without those that a flush has just moved from `newer` to `stored`."""
    if not newer:
        return stored
    last = PLACE.unpack(stored[-PLACE.size :])[0] if stored else 0
    return stored + b"".join(
        newer[i : i + PLACE.size]
        for i in range(0, len(newer), PLACE.size)
        if PLACE.unpack(newer[i : i + PLACE.size])[0] > last
    )
