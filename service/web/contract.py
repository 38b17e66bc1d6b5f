"""The contract, served: `/openapi.json` for programs, `/docs` for people, and a page a problem.

All of it is made once, when the service starts, from the same declarations that the routes are made
of. Each answer has an ETag; on the pages `$JOBLOG` becomes the address they were asked for at, so
that their commands work as they stand.

What the document says is `openapi`'s, how a page looks `pages`' matter.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from markupsafe import escape
from starlette.requests import Request
from starlette.responses import Response

from service.processors import Registry
from service.web import problems
from service.web.curl import ADDRESS
from service.web.headers import has_it
from service.web.openapi import build_document
from service.web.operation import HTML, JSON, NoQuery, Operation, Reply
from service.web.pages import HEADERS, docs_page, problem_page
from service.web.problems import KINDS, ProblemError
from service.web.query import read_query

_PAGE_HEADERS: Final = ("ETag", "Content-Security-Policy")
_PAGE: Final = Reply(
    status=200,
    about="The page.",
    type=str,
    media=(HTML,),
    headers=_PAGE_HEADERS,
    example='<!doctype html>\n<html lang="en">…',
)
_SAME_PAGE: Final = Reply(status=304, about="It is as you know it.", headers=_PAGE_HEADERS)


class ContractResource:
    """The API of these calls, described; and its own four beside them."""

    def __init__(self, calls: Sequence[Operation], registry: Registry) -> None:
        document = build_document([*calls, *self.operations()], registry)
        self._document = msgspec.json.encode(document)
        self._docs = docs_page(self._document)

    def operations(self) -> list[Operation]:
        """What is served."""
        example = {"openapi": "3.1.1", "info": {"title": "joblog", "version": "0.1.0"}}
        return [
            Operation(
                name="getOpenapi",
                method="GET",
                path="/openapi.json",
                endpoint=self.openapi,
                summary="Get this document.",
                about="Clients can be generated from it, and requests checked against it.",
                scope=None,
                headers=("If-None-Match",),
                replies=(
                    Reply(
                        status=200,
                        about="The OpenAPI document.",
                        type=dict[str, Any],
                        headers=("ETag",),
                        example=example,
                    ),
                    Reply(status=304, about="It is as you know it.", headers=("ETag",)),
                ),
                problems=(problems.INVALID, problems.INVALID_HEADER),
            ),
            Operation(
                name="getDocs",
                method="GET",
                path="/docs",
                endpoint=self.docs,
                summary="Read about all of this.",
                about="A page for people: how to use the API, and every call of it.",
                scope=None,
                headers=("If-None-Match",),
                replies=(_PAGE, _SAME_PAGE),
                problems=(problems.INVALID, problems.INVALID_HEADER),
            ),
            self._start(),
            Operation(
                name="getProblem",
                method="GET",
                path="/problems/{name}",
                endpoint=self.problem,
                summary="Read what a problem means.",
                about="A page for people. Its path is the `type` of the problem.",
                scope=None,
                headers=("If-None-Match",),
                replies=(_PAGE, _SAME_PAGE),
                problems=(problems.NOT_FOUND, problems.INVALID, problems.INVALID_HEADER),
            ),
        ]

    def _start(self) -> Operation:
        return Operation(
            name="getStart",
            method="GET",
            path="/",
            endpoint=self.start,
            summary="Be sent to where to begin.",
            about="For whoever opens the server's address in a browser.",
            scope=None,
            replies=(Reply(status=302, about="Read `/docs`.", headers=("Location",)),),
            problems=(problems.INVALID,),
        )

    async def openapi(self, request: Request) -> Response:
        """The document."""
        return _unless_known(request, self._document, JSON, {"Cache-Control": "no-cache"})

    async def docs(self, request: Request) -> Response:
        """The page about all of it."""
        return _page(request, self._docs)

    async def start(self, request: Request) -> Response:
        """The way to the page."""
        read_query(request, NoQuery)
        return Response(status_code=302, headers={"Location": "/docs"})

    async def problem(self, request: Request) -> Response:
        """The page about a problem. Raises ProblemError for an unknown one."""
        kind = KINDS.get(request.path_params["name"])
        if kind is None:
            raise ProblemError(problems.NOT_FOUND, "there is no such problem")
        return _page(request, problem_page(kind))


def _page(request: Request, page: str) -> Response:
    """A page, with this server's address in its commands."""
    address = escape(f"{request.url.scheme}://{request.headers['host']}")
    return _unless_known(request, page.replace(ADDRESS, address).encode(), HTML, HEADERS)


def _unless_known(
    request: Request, body: bytes, media_type: str, headers: Mapping[str, str]
) -> Response:
    """The body, or 304 for who has it already."""
    read_query(request, NoQuery)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    tagged = {"ETag": tag, **headers}
    if has_it(request, tag):
        return Response(status_code=304, headers=tagged)
    return Response(body, headers=tagged, media_type=media_type)
