"""Which jobs a list is of, and how they are found and counted among millions: the reading half of
the table.

Newest first is `created_pos` descending, so a list is a walk of an index backwards, which stops
when its page is full. There is one such index, of kind and status; a list of one kind, or of one
state, merges the walks of the few pairs that have jobs at all (`counts` knows them), so that a
flush keeps one index and not three. Nothing is ever sorted.

| filter | walked | counted by |
|--------|--------|------------|
| none, times | the jobs themselves | `counts`, less what is outside of the times, if that is less |
| kind, status | the pairs' walks, merged | the same |
| held | the index of those | that index |
| words | the index of words; with another filter, the facets of its jobs are looked up | the same |
| words, and few jobs are of the others | these, each looked for in that index | the same |
| words, and few are not of the others | as above | that index, less those few that it has |

Times of creation grow with positions, so a time is a position that a few look-ups find: no index
of times is kept.

It only reads, and tells what was flushed: what is newer is the table's to know.
"""

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Final, Literal, NamedTuple, TypeAlias

from eventstore.store import POSITION_MAX
from eventstore.timestamp import Timestamp
from projections.job import Status
from projections.words import Words, are_whole

PAGE_MAX = 200
SOUGHT_MAX: Final = 1_000  # jobs looked for one by one in the index of words: 10 to 30 ms

_AT_OR_AFTER: Final = (
    "SELECT created_pos, created_at FROM jobs WHERE created_pos >= ? ORDER BY created_pos LIMIT 1"
)
_AMONG: Final = "FROM jobs WHERE created_pos IN"
_PLACES: Final = "created_pos > ? AND created_pos < ?"
# Without CROSS JOIN, SQLite may begin with the facets and ask the index of words about each.
_LOOKED_UP: Final = " CROSS JOIN facets ON facets.created_pos = search.rowid"

_Walk: TypeAlias = tuple[str, Sequence[object]]  # FROM and WHERE, made of constants; their values
_Pair: TypeAlias = tuple[str, Status]


class Filter(NamedTuple):
    """Which jobs a list is of; `held` leaves only those that wait for a person. Times are of
    creation: from `created_after` (exclusive) to `created_before`. What `q` means is told in
    `search`.
    """

    status: Status | None = None
    kind: str | None = None
    created_after: Timestamp | None = None
    created_before: Timestamp | None = None
    q: str | None = None
    held: bool = False


class Between(NamedTuple):
    """Positions above the one and below the other."""

    above: int = -1
    below: int = POSITION_MAX


class Listing:
    """The lists and counts of a table's file."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def page(self, wanted: Filter, *, before: int | None, limit: int) -> list[bytes]:
        """The documents of at most `limit` jobs, newest first, created at positions below
        `before`.
        """
        between = self._between(wanted, Between() if before is None else Between(below=before))
        places = list(islice(self._places(wanted, between), limit))
        marks = ", ".join("?" * len(places))
        query = f"SELECT doc {_AMONG} ({marks}) ORDER BY created_pos DESC"
        return [doc for (doc,) in self._database.execute(query, places)]

    def count(self, wanted: Filter) -> int:
        """How many jobs are wanted."""
        between = self._between(wanted, Between())
        expression = self._match(wanted)
        if expression is not None and are_whole(expression) and self._are_few(wanted):
            return sum(1 for _ in self._places(wanted, between))
        if expression is not None:
            return self._number_with_words(wanted, expression, between)
        if wanted.held:
            return self._number(held(wanted, between))
        pairs = self._pairs(wanted).items()
        return sum(self._number_of_pair(pair, number, between) for pair, number in pairs)

    def counts(self) -> dict[_Pair, int]:
        """How many jobs there are of each kind in each state."""
        rows = self._database.execute("SELECT kind, status, number FROM counts")
        return {(kind, Status(status)): number for kind, status, number in rows}

    def due_since(self, now: Timestamp) -> Timestamp | None:
        """Since when the one is due that is so longest; None when none is."""
        query = "SELECT min(next_attempt_at) FROM jobs WHERE next_attempt_at <= ?"
        [oldest] = self._database.execute(query, (now,)).fetchone()
        return None if oldest is None else str(oldest)

    def _places(self, wanted: Filter, between: Between) -> Iterator[int]:
        """The positions of the wanted jobs, newest first, found as they are asked for."""
        expression = self._match(wanted)
        if expression is not None and are_whole(expression) and self._are_few(wanted):
            others = self._places(wanted._replace(q=None), between)
            return (place for place in others if self._says(place, expression))
        if expression is not None:
            return self._newest("search.rowid", with_words(wanted, expression, between))
        if wanted.held:
            return self._newest("created_pos", held(wanted, between))
        if wanted.kind is None and wanted.status is None:
            return self._newest("created_pos", (f"FROM jobs WHERE {_PLACES}", between))
        walks = (of_pair(pair, between) for pair in self._pairs(wanted))
        return heapq.merge(*(self._newest("created_pos", walk) for walk in walks), reverse=True)

    def _newest(self, place: str, walk: _Walk) -> Iterator[int]:
        origin, values = walk
        rows = self._database.execute(f"SELECT {place} {origin} ORDER BY {place} DESC", values)
        return (found for (found,) in rows)

    def _number(self, walk: _Walk) -> int:
        origin, values = walk
        [number] = self._database.execute(f"SELECT count(*) {origin}", values).fetchone()
        return int(number)

    def _number_with_words(self, wanted: Filter, expression: str, between: Between) -> int:
        """How many have these words and are what else is wanted: nearly all jobs may be that, and
        then it is quicker to see which are not.
        """
        chosen = self._pairs(wanted)
        others = {pair: number for pair, number in self.counts().items() if pair not in chosen}
        few = are_whole(expression) and sum(others.values()) <= SOUGHT_MAX
        if wanted.held or not few:
            return self._number(with_words(wanted, expression, between))
        places = chain(*(self._newest("created_pos", of_pair(pair, between)) for pair in others))
        less = sum(1 for place in places if self._says(place, expression))
        return self._number(with_words(Filter(), expression, between)) - less

    def _number_of_pair(self, pair: _Pair, number: int, between: Between) -> int:
        """How many of a pair's jobs, `number` in all, are between: those, or the others, whichever
        part of the log is shorter.
        """
        if between == Between():
            return number
        newest = self._newest_place()
        above, below = max(between.above, 0), min(between.below, newest + 1)
        if 2 * (below - above) <= newest:
            return self._number(of_pair(pair, between))
        outside = (Between(below=between.above + 1), Between(above=between.below - 1))
        return number - sum(self._number(of_pair(pair, part)) for part in outside)

    def _pairs(self, wanted: Filter) -> dict[_Pair, int]:
        """The pairs of kind and status that are wanted, and how many jobs they have."""
        return {
            (kind, status): number
            for (kind, status), number in self.counts().items()
            if wanted.kind in (None, kind) and wanted.status in (None, status)
        }

    def _are_few(self, wanted: Filter) -> bool:
        """Whether to look for each of them in the index of words takes less than to walk that."""
        if wanted.held:
            some = self._newest("created_pos", held(wanted, Between()))
            return sum(1 for _ in islice(some, SOUGHT_MAX + 1)) <= SOUGHT_MAX
        return sum(self._pairs(wanted).values()) <= SOUGHT_MAX

    def _match(self, wanted: Filter) -> str | None:
        return self._words.match(wanted.q) if wanted.q else None

    @cached_property
    def _words(self) -> Words:
        return Words(self._database)

    def _says(self, place: int, expression: str) -> bool:
        query = "SELECT 1 FROM search WHERE search MATCH ? AND rowid = ?"
        return self._database.execute(query, (expression, place)).fetchone() is not None

    def _between(self, wanted: Filter, between: Between) -> Between:
        """The bounds that the wanted times make of these."""
        above, below = between
        if wanted.created_after is not None:
            above = max(above, self._first(wanted.created_after, ">") - 1)
        if wanted.created_before is not None:
            below = min(below, self._first(wanted.created_before, ">="))
        return Between(above, below)

    def _first(self, time: Timestamp, order: Literal[">", ">="]) -> int:
        """The first position whose job was created after a time, or at it; beyond all if none."""
        low, high = 1, self._newest_place() + 1
        while low < high:
            middle = (low + high) // 2
            place, created_at = self._database.execute(_AT_OR_AFTER, (middle,)).fetchone()
            if created_at > time or (order == ">=" and created_at == time):
                high = middle
            else:
                low = place + 1
        return low

    def _newest_place(self) -> int:
        [newest] = self._database.execute("SELECT max(created_pos) FROM jobs").fetchone()
        return newest or 0


def of_pair(pair: _Pair, between: Between) -> _Walk:
    """The jobs of one kind in one state."""
    kind, status = pair
    return f"FROM jobs WHERE kind = ? AND status = ? AND {_PLACES}", (kind, str(status), *between)


def held(wanted: Filter, between: Between) -> _Walk:
    """The held jobs, of the wanted kind and state."""
    others, values = _others(wanted)
    # Few jobs are held, and SQLite may begin with all of a kind.
    origin = f"FROM jobs INDEXED BY jobs_held WHERE held_at IS NOT NULL AND {_PLACES}{others}"
    return origin, (*between, *values)


def with_words(wanted: Filter, expression: str, between: Between) -> _Walk:
    """The jobs with these words, and of the wanted kind and state."""
    others, values = _others(wanted)
    others += " AND held" if wanted.held else ""
    # A bound costs as much as the search, even one that all are within.
    bounds = {
        " AND search.rowid > ?": (between.above, Between().above),
        " AND search.rowid < ?": (between.below, Between().below),
    }
    needed = {term: bound for term, (bound, without) in bounds.items() if bound != without}
    origin = f"FROM search{_LOOKED_UP if others else ''} WHERE search MATCH ?"
    return f"{origin}{''.join(needed)}{others}", (expression, *needed.values(), *values)


def _others(wanted: Filter) -> tuple[str, list[str]]:
    """Conditions, each with an AND before it, and their values."""
    terms = {" AND kind = ?": wanted.kind, " AND status = ?": wanted.status}
    chosen = {term: str(value) for term, value in terms.items() if value is not None}
    return "".join(chosen), list(chosen.values())
