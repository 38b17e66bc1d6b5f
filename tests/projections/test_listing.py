"""Lists and counts against a plain list of all jobs: whatever is wanted, the walks, the merges and
the kept counts find the same jobs as looking at each of them.

What a filter means is told by examples in `test_table`, and what a query finds in `test_search`.
"""

import sqlite3
from contextlib import closing
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from projections import listing, words
from projections.job import Status, evolve
from projections.listing import Between, Filter, Listing, held, of_pair, with_words
from projections.search import searched
from projections.table import MEMORY
from tests.projections.tables import flush, ids, opened
from tests.support.build import US, at, folded, pending_job, random_life, record

KINDS = ["email", "report"]
WORDS = ["odd", "even", "no luck", "word"]


def some_jobs(dice, number=25):
    """Jobs with random lives, at growing positions and times, some of the same instant."""
    jobs, pos, seconds = [], 0, 0.0
    for _ in range(dice.randrange(number)):
        pos += dice.choice([1, 2, 50])
        seconds += dice.choice([0, US, 10])
        job = folded(*random_life(dice, 6), stream=f"j{pos}", pos=pos)
        payload = dice.sample(WORDS, 2)
        jobs.append(replace(job, kind=dice.choice(KINDS), created_at=at(seconds), payload=payload))
    return jobs


def is_wanted(job, wanted):
    text = " ".join([*job.payload, job.last_error.message if job.last_error else ""])
    return (
        wanted.status in (None, job.status)
        and wanted.kind in (None, job.kind)
        and (wanted.created_after is None or job.created_at > wanted.created_after)
        and (wanted.created_before is None or job.created_at < wanted.created_before)
        and (wanted.q is None or wanted.q in text)
        and (job.held_at is not None or not wanted.held)
    )


times = st.none() | st.sampled_from([0, US, 10, 10 + US, 20, 50, 99]).map(at)
filters = st.builds(
    Filter,
    status=st.none() | st.sampled_from(Status),
    kind=st.none() | st.sampled_from([*KINDS, "none"]),
    created_after=times,
    created_before=times,
    q=st.none() | st.sampled_from(WORDS),
    held=st.booleans(),
)


@given(
    dice=st.randoms(use_true_random=False),
    wanted=filters,
    before=st.none() | st.integers(0, 200),
    limit=st.integers(1, 30),
    sought_max=st.sampled_from([0, 3, 1000]),
    spellings_max=st.sampled_from([0, 1, 50]),
)
def test_a_list_has_the_jobs_that_are_wanted_and_its_count_is_theirs(
    dice, wanted, before, limit, sought_max, spellings_max
):
    jobs = some_jobs(dice)
    with pytest.MonkeyPatch.context() as patch, opened(MEMORY) as table:
        patch.setattr(listing, "SOUGHT_MAX", sought_max)
        patch.setattr(words, "SPELLINGS_MAX", spellings_max)
        flush(table, 1, *jobs[::-1])
        expected = [job for job in jobs[::-1] if is_wanted(job, wanted)]
        below = [job for job in expected if before is None or job.created_pos < before]
        assert table.page(wanted, before=before, limit=limit) == below[:limit]
        assert table.count(wanted) == len(expected)


@given(st.randoms(use_true_random=False))
def test_the_kept_counts_are_those_of_a_recount_however_jobs_were_flushed(dice):
    jobs = some_jobs(dice)
    with opened(MEMORY) as table:
        for pos in range(5):
            several = [job for job in jobs if dice.random() < 0.5]
            flush(table, pos, *(replace(job, status=dice.choice([*Status])) for job in several))
            query = "SELECT kind, status, count(*) FROM jobs GROUP BY kind, status"
            recount = {(k, Status(s)): n for k, s, n in table._writing.execute(query)}
            assert table.counts() == recount


@given(
    lives=st.lists(st.randoms(use_true_random=False).map(random_life), max_size=5),
    flushed=st.randoms(use_true_random=False),
)
def test_words_and_facets_are_those_of_the_newest_state_however_often_a_job_was_flushed(
    lives, flushed
):
    jobs = []
    with opened(MEMORY) as table:
        for number, life in enumerate(lives):
            job = None
            for event in record(*life, stream=f"j{number}", pos=1 + 100 * number):
                job = evolve(job, event)
                if flushed.random() < 0.5:
                    flush(table, event.pos, job)
            flush(table, job.pos, job)
            jobs.insert(0, job)
        for word in ("luck", "line", "Übel", "ValueError", "email"):
            said = [job for job in jobs if word in searched(job)]
            assert table.page(Filter(q=word), before=None, limit=99) == said
        columns = "created_pos, kind, status, {} FROM {} ORDER BY created_pos"
        of_jobs = columns.format("held_at IS NOT NULL", "jobs")
        selected = [
            table._writing.execute(f"SELECT {each}").fetchall()
            for each in (of_jobs, columns.format("held", "facets"))
        ]
        assert selected[0] == selected[1]


def plans(walk, place):
    """How SQLite would go about it."""
    origin, values = walk
    with opened(MEMORY) as table:
        query = f"EXPLAIN QUERY PLAN SELECT {place} {origin} ORDER BY {place} DESC"
        return [row[3] for row in table._writing.execute(query, values)]


OTHERS = [{}, {"kind": "email"}, {"status": Status.FAILED}, {"kind": "a", "status": Status.FAILED}]


def test_the_jobs_of_a_pair_are_walked_in_order_and_none_of_them_is_looked_up():
    [plan] = plans(of_pair(("email", Status.FAILED), Between(3, 7)), "created_pos")
    assert plan.startswith("SEARCH jobs USING COVERING INDEX jobs_by_kind_and_status")


@pytest.mark.parametrize("others", OTHERS)
def test_held_jobs_are_walked_in_the_order_of_their_index(others):
    [plan] = plans(held(Filter(**others, held=True), Between(3, 7)), "created_pos")
    assert "USING" in plan
    assert "jobs_held" in plan


@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("is_held", [False, True])
def test_a_search_walks_the_index_of_words_backwards_and_sorts_nothing(others, is_held):
    wanted = Filter(**others, held=is_held)
    plan = plans(with_words(wanted, '"word"*', Between(3, 7)), "search.rowid")
    assert plan[0].startswith("SCAN search VIRTUAL TABLE")
    assert not [step for step in plan if "TEMP B-TREE" in step]
    looked_up = ["SEARCH facets USING INTEGER PRIMARY KEY (rowid=?)"] if others or is_held else []
    assert plan[1:] == looked_up


def test_a_search_asks_for_no_bound_that_all_jobs_are_within():
    walk = "FROM search WHERE search MATCH ?", ('"word"',)
    assert with_words(Filter(), '"word"', Between()) == walk


@pytest.mark.parametrize("is_narrowed", [False, True])
def test_of_a_beginning_that_many_words_share_no_job_is_looked_for_by_itself(is_narrowed):
    """Of each, all places of all these words would be gathered anew."""
    jobs = [replace(pending_job(f"j{n}", pos=n), payload=f"e{n}") for n in range(1, 9)]
    jobs[0] = replace(jobs[0], kind="report")
    wanted = Filter(q="e", kind="report" if is_narrowed else "email")
    statements = []
    with pytest.MonkeyPatch.context() as patch, opened(MEMORY) as table:
        patch.setattr(words, "SPELLINGS_MAX", 3)
        flush(table, 1, *jobs)
        table._writing.set_trace_callback(statements.append)
        found = table.count(wanted), len(table.page(wanted, before=None, limit=9))
        table._writing.set_trace_callback(None)
    assert found == ((1, 1) if is_narrowed else (7, 7))
    assert not [each for each in statements if "AND rowid =" in each]


def test_a_planted_miscount_is_found():
    with opened(MEMORY) as table:
        flush(table, 1, pending_job("a", pos=1), pending_job("b", pos=2))
        table._writing.execute("UPDATE counts SET number = 3")
        assert (
            table.count(Filter(kind="email"))
            == 3
            != len(ids(table.page(Filter(kind="email"), before=None, limit=9)))
        )


def test_the_first_position_of_a_time_is_found_between_positions_that_nothing_has():
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE jobs (created_pos INTEGER PRIMARY KEY, created_at TEXT)")
        dice = Random(1)
        places = sorted(dice.sample(range(1, 10_000), 50))
        rows = [(place, at(number // 3)) for number, place in enumerate(places)]
        database.executemany("INSERT INTO jobs VALUES (?, ?)", rows)
        found = Listing(database)
        for seconds in range(-1, 19):
            for order, is_after in ((">", str.__gt__), (">=", str.__ge__)):
                first = found._first(at(seconds), order)
                wanted = [place for place, time in rows if is_after(time, at(seconds))]
                assert [place for place in places if place >= first] == wanted
