"""A page of a list of jobs, as it is sent: so many of them, or fewer when they are large.

A job's document may have a hundred kilobytes. To write two hundred of those, and to let go of the
jobs afterwards, takes longer than others should wait; so both are done in slices, and what is
written once is not written again when the page is. A page that ends early is followed by another,
which begins where it ended.

Which jobs are listed, and what leads to the next page, is `jobs`' matter.
"""

from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from eventstore.pace import Pace
from projections.job import Job
from service.web.document import JobDocument, document

PAGE_BYTES_MAX: Final = 1024 * 1024  # of documents; a page of ordinary jobs has a fifth of it

_encode = msgspec.json.Encoder().encode


class Page(msgspec.Struct, frozen=True):
    """Some jobs of a list; the `total` of the whole list where it was asked for."""

    jobs: list[JobDocument]
    total: int | UnsetType = UNSET


class _Page(msgspec.Struct, frozen=True):
    """The same, of documents that are written already."""

    jobs: list[msgspec.Raw]
    total: int | UnsetType


class Written(NamedTuple):
    """The body of a page, where its last job was created, and whether others follow."""

    body: bytes
    last_pos: int
    more: bool


async def written_page(jobs: list[Job], limit: int, total: int | UnsetType) -> Written:
    """The page of the first of these jobs, at most `limit`. The list is empty afterwards."""
    pace = Pace()
    documents: list[msgspec.Raw] = []
    size = last_pos = 0
    jobs.reverse()
    while jobs and len(documents) < limit and size < PAGE_BYTES_MAX:
        job = jobs.pop()
        written = _encode(document(job))
        documents.append(msgspec.Raw(written))
        size, last_pos = size + len(written), job.created_pos
        await pace.breathe()
    more = bool(jobs)
    while jobs:
        del jobs[-1]
        await pace.breathe()
    return Written(_encode(_Page(documents, total)), last_pos, more)
