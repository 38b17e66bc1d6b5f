"""Full-text search over jobs: what of a job is searched, and what a query means.

Searched are the job's id, its kind, the class and message of its last error, and the strings in its
payload, those of lists and objects within it too; not the names of members, and no numbers. In that
order, and at most TEXT_CHARACTERS_MAX of it, so that one huge payload costs no more than a long
letter.

A query is terms between white space. Every one must occur: as a phrase, whose last word may be only
begun. So `ada exam` finds `ada@example.com`, and so does `ada@exam`. Case and accents make no
difference. Whatever is neither letter nor digit only parts words: a term without either is passed
over, and a query of nothing else finds nothing. There are no operators, no columns and no wild
cards to get wrong: each term goes to SQLite as a quoted string.

Pure: the index itself is the table's (`table.sql`).
"""

import re
from typing import Final

from projections.job import Job

TEXT_CHARACTERS_MAX: Final = 10_000  # of a job; about 1,500 words
QUERY_CHARACTERS_MAX: Final = 200
TERMS_MAX: Final = 20  # of a query; those beyond are passed over

_UNFIT = re.compile(r"[\x00\ud800-\udfff]")  # SQLite ends a query at NUL, and UTF-8 has no halves


def searched(job: Job) -> str:
    """The text of a job that is searched."""
    error = job.last_error
    parts = [job.id, job.kind, *((error.class_, error.message) if error else ())]
    left = TEXT_CHARACTERS_MAX - sum(map(len, parts))
    waiting = [job.payload]  # last first: they are taken from the end
    while waiting and left > 0:
        value = waiting.pop()
        if isinstance(value, str):
            parts.append(value[:left])
            left -= len(value)
        elif isinstance(value, dict):
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))
    return _fit("\n".join(parts)[:TEXT_CHARACTERS_MAX])


def terms(query: str) -> list[str]:
    """The terms of a query."""
    return _fit(query[:QUERY_CHARACTERS_MAX]).split()[:TERMS_MAX]


def match(query: str) -> str | None:
    """The query in the words of FTS5; None when it has no terms, and so leaves nothing out."""
    return " ".join(f"{quoted(term)}*" for term in terms(query)) or None


def quoted(term: str) -> str:
    """Text that is no operator, column or wild card, whatever it is."""
    doubled = term.replace('"', '""')
    return f'"{doubled}"'


def _fit(text: str) -> str:
    return _UNFIT.sub(" ", text)
