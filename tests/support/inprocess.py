"""A whole service as a `requests` session: for test tools that are not async and know no other
client.

Each request runs the service's own virtual loop until it is answered, and not a moment longer. So a
held answer takes no time at all, and the worker moves only while a request does: a run is the same
every time. Who is still being sent something after READ_S is taken to have gone away, as with a
stream of events that never ends.

Like `run_virtual` it freezes time, and must be the outermost to do so: tests in the same module as
an `async def test_…` cannot use it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

import freezegun
import requests
from requests.adapters import BaseAdapter
from starlette.types import ASGIApp, Message
from urllib3 import HTTPHeaderDict, HTTPResponse

from eventstore.log import EventLog
from eventstore.memory import MemoryStore
from service.processors import Registry
from service.settings import Settings
from service.wiring import Service, assembled
from tests.support.loop import virtual_time

URL = "http://localhost:8080"
READ_S = 40.0  # longer than any answer is held

LOG_ID = "1f" * 16

# pytest measures how long a test really took. Not all of it may be left out: freezegun looks up the
# stack, where pytest is not far above any test.
freezegun.configure(extend_ignore_list=["_pytest.timing"])


@contextmanager
def serving(registry: Registry) -> Iterator[tuple[Service, asyncio.AbstractEventLoop]]:
    """A service of these kinds with its worker, on a virtual loop that stands still."""
    with virtual_time() as runner:
        loop, stack = runner.get_loop(), AsyncExitStack()
        service = loop.run_until_complete(stack.enter_async_context(_service(registry)))
        try:
            yield service, loop
        finally:
            loop.run_until_complete(stack.aclose())


def session(app: ASGIApp, loop: asyncio.AbstractEventLoop) -> requests.Session:
    """A client of the application, at URL."""
    made = requests.Session()
    made.trust_env = False
    made.mount(URL, InProcess(app, loop))
    return made


class InProcess(BaseAdapter):
    """Carries requests to an application on this loop."""

    def __init__(self, app: ASGIApp, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._app = app
        self._loop = loop

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Ask, and wait for the answer."""
        return _as_requests(request, self._loop.run_until_complete(_sent(self._app, request)))

    def close(self) -> None:
        """Nothing is kept open."""


def _service(registry: Registry) -> Any:
    dice = Random(1)
    log = EventLog(MemoryStore(log_id=LOG_ID), dice=dice)
    return assembled(log, registry, Settings(store="memory:"), dice)


async def _sent(app: ASGIApp, request: requests.PreparedRequest) -> list[Message]:
    """What the application sends in answer."""
    sent: list[Message] = []
    body = request.body or b""
    coming = [{"type": "http.request", "body": body.encode() if isinstance(body, str) else body}]

    async def receive() -> Message:
        if coming:
            return coming.pop()
        await asyncio.sleep(READ_S)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        async with asyncio.timeout(READ_S):
            await app(_scope(request), receive, send)
    except TimeoutError:
        assert sent, "no answer began"
    return sent


def _scope(request: requests.PreparedRequest) -> dict[str, Any]:
    url = urlsplit(str(request.url))
    headers = {"host": url.netloc, **request.headers}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": unquote(url.path),
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "root_path": "",
        "headers": [(_bytes(name).lower(), _bytes(value)) for name, value in headers.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("localhost", 8080),
    }


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def _as_requests(request: requests.PreparedRequest, sent: list[Message]) -> requests.Response:
    start, *rest = sent
    content = b"".join(message.get("body", b"") for message in rest)
    headers = HTTPHeaderDict(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]
    )
    made = requests.Response()
    made.status_code = start["status"]
    made.headers.update(headers)
    made.request = request
    made.url = str(request.url)
    made.encoding = "utf-8"
    made._content = content
    made.raw = HTTPResponse(content, headers, start["status"], version=11, preload_content=False)
    return made
