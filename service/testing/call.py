"""One call of the API without a socket: the request goes through the whole application, in process.

That is how the kit posts jobs, so what it accepts and refuses is what the server does, to the
letter. Not an HTTP client: no cookies, no redirects, and an answer is read to its end before it is
given back, which a stream of events never comes to.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.types import ASGIApp, Message

ANSWER_S_MAX = 3600.0  # virtual: longer than any call that ends holds its caller


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said. The names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Refused(Exception):
    """The API answered with a problem: the request was not valid, or not possible now.

    `status` is the HTTP status, `problem` the document (RFC 9457), `pointers` the places that are
    wrong: into the payload as `#/month`, an option as `?delay`.
    """

    def __init__(self, request: str, answer: Answer) -> None:
        self.status = answer.status
        self.problem: dict[str, Any] = answer.json
        self.pointers = [error["pointer"] for error in self.problem.get("errors", ())]
        said = f"{self.problem['title']}: {self.problem['detail']}"
        super().__init__(f"{request}: {answer.status} {said}")


async def call(
    app: ASGIApp, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
) -> Answer:
    """Send a request to the application and read its answer to the end. `target` is a path, and may
    have a query. Raises TimeoutError for an answer that does not end.
    """
    request: list[Message] = [{"type": "http.request", "body": body or b"", "more_body": False}]
    start: Message = {}
    parts: list[bytes] = []

    async def receive() -> Message:
        if not request:
            await asyncio.get_running_loop().create_future()  # nobody hangs up
        return request.pop()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    async with asyncio.timeout(ANSWER_S_MAX):
        await app(_scope(method, target, body, headers), receive, send)
    names = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], names, b"".join(parts))


def _scope(
    method: str, target: str, body: bytes | None, headers: Mapping[str, str]
) -> dict[str, Any]:
    path, _, query = target.partition("?")
    sent = {"host": "localhost", **{name.lower(): value for name, value in headers.items()}}
    if body is not None:
        sent = {"content-type": "application/json", "content-length": str(len(body)), **sent}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method.upper(),
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 0),
        "server": ("localhost", 80),
        "state": {},
    }
