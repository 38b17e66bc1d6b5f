"""Searching jobs: which words find which jobs, that nothing a person types is refused, and that it
goes well with the other filters.

The table is in memory and real: what FTS5 makes of a query is half of the matter.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from projections.job import Job, Status
from projections.search import QUERY_CHARACTERS_MAX, TEXT_CHARACTERS_MAX, match, searched
from projections.table import MEMORY, Filter, JobTable
from tests.projections.tables import flush, ids, opened
from tests.support.build import (
    at,
    attempt_failed,
    attempt_started,
    folded,
    job_created,
    pending_job,
)

MAIL = {"to": "ada@example.com", "subject": "Hello, World", "body": "Café at 12"}


@pytest.fixture
def table() -> Iterator[JobTable]:
    with opened(MEMORY) as opened_table:
        yield opened_table


def finds(table: JobTable, q: str, **others: Any) -> list[str]:
    return ids(table.page(Filter(q=q, **others), before=None, limit=100))


def failed_once(error: str, pos: int = 1) -> Job:
    events = job_created(payload="x"), attempt_started(1), attempt_failed(2, error=error)
    return folded(*events, stream=f"j{pos}", pos=pos)


@pytest.mark.parametrize(
    "q",
    [
        "ada",
        "ADA",
        "ad",
        "ada@example.com",
        "ada@exam",
        "example.com",
        "com",
        "hello",
        "Hello,",
        "world hello",
        "hello   world",
        "\thello\nworld ",
        "cafe",
        "CAFÉ",
        "caf",
        "12",
        "email",
        "em",
        "j1",
        "",
        " ",
        "hello ☃",
        "- hello",
        '"hello"',
        '"hello world"',
    ],
)
def test_what_finds_the_job(table: JobTable, q: str) -> None:
    flush(table, 1, pending_job("j1", payload=MAIL))
    assert finds(table, q) == ["j1"]


@pytest.mark.parametrize(
    "q",
    [
        "bob",
        "da",
        "adam",
        "hello bob",
        "hello OR bob",
        "hello NOT bob",
        "NEAR(hello world)",
        "text:hello",
        "ada@example.org",
        "world,hello",  # a phrase, and in another order
        "subject",  # names of members are not searched
        "*",
        "☃",
        '"',
    ],
)
def test_what_does_not(table: JobTable, q: str) -> None:
    flush(table, 1, pending_job("j1", payload=MAIL))
    assert finds(table, q) == []


@pytest.mark.parametrize(
    ("payload", "q", "found"),
    [
        ("only a word", "word", True),
        (["first", ["second", {"x": "third"}]], "third first", True),
        ({"a": {"b": [{"c": "deep"}]}}, "deep", True),
        ({"amount": 1815}, "1815", False),
        ({"is": True, "none": None}, "true", False),
        (None, "none", False),
        ({"key": "value"}, "key", False),
    ],
)
def test_strings_are_searched_wherever_they_are(
    table: JobTable, payload: Any, q: str, *, found: bool
) -> None:
    flush(table, 1, pending_job("j1", payload=payload))
    assert finds(table, q) == (["j1"] if found else [])


def test_the_last_error_is_searched_and_no_other(table: JobTable) -> None:
    flush(table, 3, failed_once("mailbox unavailable"))
    assert finds(table, "mailbox valueerror") == ["j1"]
    flush(table, 4, replace(failed_once("connection refused"), rev=5, pos=5))
    assert finds(table, "mailbox") == []
    assert finds(table, "refused") == ["j1"]
    assert finds(table, "refused", status=Status.PENDING) == ["j1"]


def test_a_text_that_stays_is_not_written_again(table: JobTable) -> None:
    job = pending_job("j1", payload=MAIL)
    flush(table, 1, job)
    changes = table._writing.total_changes
    flush(table, 2, replace(job, rev=2, status=Status.PROCESSING))
    rewritten = table._writing.total_changes - changes
    flush(table, 3, replace(job, rev=3, last_error=failed_once("another").last_error))
    assert rewritten < table._writing.total_changes - changes - rewritten
    assert finds(table, "another hello") == ["j1"]


def test_newest_first_and_page_by_page(table: JobTable) -> None:
    jobs = [
        pending_job(f"j{pos}", pos=pos, payload="odd" if pos % 2 else "even")
        for pos in (9, 3, 4, 7, 8)
    ]
    flush(table, 9, *jobs)
    odd = Filter(q="odd")
    assert ids(table.page(odd, before=None, limit=2)) == ["j9", "j7"]
    assert ids(table.page(odd, before=7, limit=2)) == ["j3"]
    assert ids(table.page(odd, before=3, limit=2)) == []


def test_together_with_the_other_filters(table: JobTable) -> None:
    done = replace(pending_job("j2", pos=2, payload="word"), status=Status.COMPLETED)
    jobs = [
        pending_job("j1", pos=1, payload="word"),
        replace(done, created_at=at(1)),
        replace(pending_job("j3", pos=3, payload="word", kind="report"), created_at=at(2)),
        replace(pending_job("j4", pos=4, payload="other"), created_at=at(3)),
    ]
    flush(table, 4, *jobs)
    assert finds(table, "word") == ["j3", "j2", "j1"]
    assert finds(table, "word", kind="email") == ["j2", "j1"]
    assert finds(table, "word", status=Status.PENDING) == ["j3", "j1"]
    assert finds(table, "word", status=Status.PENDING, kind="email") == ["j1"]
    assert finds(table, "word", created_after=at(0)) == ["j3", "j2"]
    assert finds(table, "word", created_before=at(2)) == ["j2", "j1"]
    assert finds(table, "word", created_after=at(0), created_before=at(2)) == ["j2"]
    for wanted in (Filter(q="word"), Filter(q="word", kind="email"), Filter(), Filter(q="no")):
        assert table.count(wanted) == len(table.page(wanted, before=None, limit=100))


@given(q=st.text() | st.text('"*^:(){}+-ANDORNEAT \x00\ud800', max_size=30))
def test_whatever_is_typed_is_a_query(q: str) -> None:
    with opened(MEMORY) as table:
        flush(table, 1, pending_job("j1", payload=MAIL))
        assert finds(table, q) in (["j1"], [])
        assert table.count(Filter(q=q)) in (0, 1)


words = st.text(st.characters(categories=["L", "N"], max_codepoint=0x24F), min_size=1, max_size=20)


@given(words=st.lists(words, min_size=1, max_size=5), cut=st.integers(1, 20))
def test_every_word_of_a_payload_finds_it_whole_or_begun(words: list[str], cut: int) -> None:
    with opened(MEMORY) as table:
        flush(table, 1, pending_job("j1", payload=words))
        assert finds(table, " ".join(words)) == ["j1"]
        assert finds(table, words[0][:cut]) == ["j1"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(payload=json_values)
def test_the_text_has_every_string_in_order_and_nothing_else(payload: Any) -> None:
    def strings(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | dict):
            for each in value.values() if isinstance(value, dict) else value:
                yield from strings(each)

    text = searched(pending_job("j1", payload=payload))
    expected = "\n".join(["j1", "email", *strings(payload)])
    assert text == expected.replace("\x00", " ")


def test_a_text_has_an_end() -> None:
    for payload in ("x" * 65_000, ["word"] * 20_000, [["x" * 9_000]] * 3):
        job = replace(pending_job("j1"), payload=payload)
        assert len(searched(job)) == TEXT_CHARACTERS_MAX


def test_a_payload_of_any_depth_is_searched() -> None:
    deep: Any = "bottom"
    for _ in range(5_000):
        deep = [deep]
    assert searched(replace(pending_job("j1"), payload=deep)).endswith("bottom")


def test_a_query_has_an_end() -> None:
    assert len(match("a b " * 10_000) or "") < 4 * QUERY_CHARACTERS_MAX
