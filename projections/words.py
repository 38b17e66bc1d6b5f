"""The words of a query, spelled as the index of words has them: what makes a search for a common
word cheap.

The last word of a phrase may be only begun. Told so, FTS5 gathers the places of all words that
begin like it before it gives out the first: for a word that is in each of a million jobs, a million
places for a page of 25. So it is looked up here which words there are. Mostly that is one or a few,
and whole words are walked place by place, as far as somebody asks. Of a beginning that many words
share (`e`), FTS5 is told as before: the answer is the same, and takes longer.

How a text falls into words is the tokenizer's business, so that is asked: by a table to which only
queries go, and which nobody else sees.
"""

import sqlite3
from typing import Final

from projections.search import match, quoted, terms

SPELLINGS_MAX: Final = 50  # of one beginning; to find each takes some 30 us

_TABLES: Final = """
CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab (main, search, instance);
CREATE VIRTUAL TABLE temp.query USING fts5 (
    text, columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE temp.query_words USING fts5vocab (temp, query, instance);
"""


def are_whole(expression: str) -> bool:
    """Whether all words of an expression are whole. Where one is only begun, to look for one job
    costs as much as to look for all.
    """
    return '"*' not in expression


class Words:
    """Queries, for the index of words that a connection sees."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.executescript(_TABLES)

    def match(self, query: str) -> str | None:
        """The query in the words of FTS5; None when it has no terms, and so leaves nothing out."""
        spelled = [found for term in terms(query) if (found := self._spelled(term))]
        return " AND ".join(spelled) or match(query)

    def _spelled(self, term: str) -> str | None:
        """One of these whole phrases; None for a term without a word."""
        *before, begun = self._words(term) or [""]
        if not begun:
            return None
        spellings = self._spellings(begun)
        if not 0 < len(spellings) <= SPELLINGS_MAX:
            return f"{quoted(term)}*"
        phrases = (quoted(" ".join([*before, word])) for word in spellings)
        return f"({' OR '.join(phrases)})"

    def _words(self, text: str) -> list[str]:
        execute = self._database.execute
        execute("INSERT INTO temp.query (rowid, text) VALUES (1, ?)", (text,))
        words = execute("SELECT term FROM temp.query_words ORDER BY offset").fetchall()
        execute("DELETE FROM temp.query")
        return [word for (word,) in words]

    def _spellings(self, begun: str) -> list[str]:
        """The words that begin so; one more than SPELLINGS_MAX of them when there are so many."""
        query = "SELECT term FROM temp.vocabulary WHERE term >= ? LIMIT 1"
        found: list[str] = []
        sought = begun
        while len(found) <= SPELLINGS_MAX:
            row = self._database.execute(query, (sought,)).fetchone()
            if row is None or not row[0].startswith(begun):
                break
            found.append(row[0])
            sought = row[0] + "\x01"  # what comes after it
        return found
