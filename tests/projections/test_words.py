"""Queries with their words spelled out find what FTS5 finds when it is told a beginning.

What a query means is told by examples in `test_search`; here both ways are compared.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import words
from projections.search import match
from projections.table import MEMORY
from projections.words import Words
from tests.projections.tables import flush, opened
from tests.support.build import pending_job


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with opened(MEMORY) as table:
        texts = ["an example", "examples of cafés", "EXAM results", "ada@example.com", "other"]
        jobs = [pending_job(f"j{pos}", pos=pos, payload=text) for pos, text in enumerate(texts, 1)]
        flush(table, 5, *jobs)
        yield table._writing


def found(database: sqlite3.Connection, expression: str | None) -> list[int]:
    query = "SELECT rowid FROM search WHERE search MATCH ? ORDER BY rowid"
    return [place for (place,) in database.execute(query, (expression,))]


@pytest.mark.parametrize(
    ("query", "spelled"),
    [
        ("exam", '("exam" OR "example" OR "examples")'),
        ("example", '("example" OR "examples")'),
        ("CAFÉ", '("cafes")'),
        ("ada@exampl", '("ada example" OR "ada examples")'),
        ("an Exampl", '("an") AND ("example" OR "examples")'),
        ("exam ☃", '("exam" OR "example" OR "examples")'),
        ("nothing", '"nothing"*'),
        ("☃", '"☃"*'),
        (" ", None),
    ],
)
def test_a_beginning_is_spelled_as_the_words_that_there_are(
    database: sqlite3.Connection, query: str, spelled: str | None
) -> None:
    assert Words(database).match(query) == spelled


@pytest.mark.parametrize(("most", "is_spelled"), [(2, False), (3, True), (4, True)])
def test_a_beginning_of_too_many_words_is_left_as_it_is(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, most: int, *, is_spelled: bool
) -> None:
    monkeypatch.setattr(words, "SPELLINGS_MAX", most)
    assert (Words(database).match("exam") != '"exam"*') is is_spelled


letters = st.characters(categories=["L", "N", "M", "Co", "P", "Zs"])
texts = st.lists(st.text(letters | st.sampled_from("abcABC éÉ"), max_size=12), max_size=6)


@given(texts=texts, query=st.text(letters, max_size=8), cut=st.integers(0, 9))
def test_both_ways_find_the_same(texts: list[str], query: str, cut: int) -> None:
    with opened(MEMORY) as table:
        flush(table, 1, *(pending_job(f"j{p}", pos=p, payload=t) for p, t in enumerate(texts, 1)))
        spelled = Words(table._writing)
        for asked in (query, *(text[: cut + 1] for text in texts), *texts):
            told = match(asked)
            if told is not None:
                assert found(table._writing, spelled.match(asked)) == found(table._writing, told)


def test_a_word_is_spelled_as_itself_whatever_it_is_made_of() -> None:
    """Or the phrase of a spelling would not find the word that it was taken from."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.execute(
            "CREATE VIRTUAL TABLE search USING fts5"
            " (text, content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2')"
        )
        database.execute("CREATE VIRTUAL TABLE terms USING fts5vocab (search, row)")
        every = [chr(code) for code in range(1, 0x3_0000) if not 0xD800 <= code <= 0xDFFF]
        text = "INSERT INTO search (rowid, text) VALUES (1, ?)"
        database.execute(text, (" ".join(every),))
        once = {term for (term,) in database.execute("SELECT term FROM terms")}
        database.execute("INSERT INTO search (search) VALUES ('delete-all')")
        database.execute(text, (" ".join(once),))
        assert {term for (term,) in database.execute("SELECT term FROM terms")} == once
