"""Where jobs are looked up: at the server when there is one, else in the files.

Both give the same documents and the same lines, so a command does not care which it has. A job *as
of* an earlier moment is made from its history, whichever of the two that came from.

Nothing here prints.
"""

import re
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from eventstore.event import Event, decode
from projections.job import Job, Status, fold
from projections.moment import NotYetError, as_it_was, moment
from projections.table import PAGE_MAX, Filter
from service.cli.client import Client, connect, job_path
from service.cli.failure import Failure, Misuse
from service.cli.files import LogFiles, replayed
from service.cli.place import Place
from service.web.document import document

_NEXT = re.compile(r'<([^>]*)>; rel="next"')


class Source(Protocol):
    """Knows jobs."""

    def job(self, job_id: str) -> Any:
        """The document of a job. Raises Failure when there is none."""
        ...

    def history(self, job_id: str) -> list[Event]:
        """All its events, oldest first. Raises Failure when there is none."""
        ...

    def jobs(
        self, *, status: str | None, kind: str | None, q: str | None, held: bool, limit: int
    ) -> Iterator[Any]:
        """Documents of jobs, newest first."""
        ...


def source_of(place: Place) -> Source:
    """The server, or else the files."""
    url = place.server()
    return AtServer(connect(url)) if url else InFiles(place.require_root())


def document_as_of(history: list[Event], text: str) -> Any:
    """The document of a job as it was at a moment. Raises Failure when it did not exist then."""
    try:
        then = moment(text)
    except ValueError as error:
        hint = "a position, or a time with its zone, as 2026-11-23T23:37:42Z"
        raise Misuse(f"--as-of {text}: give {hint}") from error
    try:
        return _document(as_it_was(history, then))
    except NotYetError as error:
        raise Failure(str(error)) from error


class AtServer:
    """Jobs as a server tells them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def job(self, job_id: str) -> Any:
        """See Source."""
        return self._client.get(job_path(job_id)).json()

    def history(self, job_id: str) -> list[Event]:
        """See Source."""
        answer = self._client.get(job_path(job_id, "events"), Accept="application/x-ndjson")
        return [decode(line) for line in answer.body.splitlines()]

    def jobs(
        self, *, status: str | None, kind: str | None, q: str | None, held: bool, limit: int
    ) -> Iterator[Any]:
        """See Source. Follows the links from page to page."""
        wanted = {
            "status": status,
            "kind": kind,
            "q": q,
            "held": "true" if held else None,
            "limit": min(limit, PAGE_MAX),
        }
        path = "/jobs?" + urlencode({name: value for name, value in wanted.items() if value})
        while path and limit > 0:
            answer = self._client.get(path)
            page = answer.json()["jobs"][:limit]
            yield from page
            limit -= len(page)
            link = _NEXT.search(answer.headers.get("link", ""))
            path = _path(link[1]) if link else ""


class InFiles:
    """Jobs as the log's files hold them."""

    def __init__(self, root: str) -> None:
        self._log = LogFiles(root)

    def job(self, job_id: str) -> Any:
        """See Source."""
        job = fold(self.history(job_id))
        assert job is not None
        return _document(job)

    def history(self, job_id: str) -> list[Event]:
        """See Source."""
        events = self._log.of_stream(job_id)
        if not events or events[0].type != "JobCreated":
            raise Failure(f"there is no job {job_id}")
        return events

    def jobs(
        self, *, status: str | None, kind: str | None, q: str | None, held: bool, limit: int
    ) -> Iterator[Any]:
        """See Source. Replays the whole log for it."""
        wanted = Filter(status=Status(status) if status else None, kind=kind, q=q, held=held)
        with replayed(self._log) as table:
            for job in table.page(wanted, before=None, limit=limit):
                yield _document(job)


def _document(job: Job) -> Any:
    return msgspec.to_builtins(document(job))


def _path(link: str) -> str:
    """The path and query of a link; a server names no other server."""
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"
