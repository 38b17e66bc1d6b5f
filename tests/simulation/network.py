"""Requests between nodes: they come late or not at all, and so do their answers.

A request is carried out on the server's node, in a task of its own, and goes through the whole
application. Who asked gets an answer, or an error that says as much as a socket would: nobody was
there (`Unreachable`), or the line went dead and nobody knows (`NoAnswer`). When the server dies, so
do all its lines; when a caller gives up, the server sees that he has gone.

`RemoteClient` is that with the face of the HTTP client that `service.remote` uses.
"""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Any

import httpx2
import orjson

from service.wiring import Service
from tests.simulation.faults import Faults
from tests.simulation.loop import Node, SeededLoop

GIVE_UP_S = 8.0  # a caller's patience, unless he says otherwise
HOST = (b"host", b"localhost")
JSON = (b"content-type", b"application/json")


class Unreachable(Exception):
    """Nobody listens there: nothing was done."""


class NoAnswer(Exception):
    """The line went dead: it may have been done."""


class Answer:
    """What the server said."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status_code = status
        self.headers = headers
        self.body = body
        self.is_server_error = status >= 500

    def json(self) -> Any:
        """The body, decoded."""
        return orjson.loads(self.body)

    @property
    def problem(self) -> str:
        """Which sort of problem it tells of; empty when of none."""
        return self.json()["type"].removeprefix("/problems/") if self.status_code >= 400 else ""


class _Line:
    """One request on its way."""

    def __init__(self, caller: Node, answered: asyncio.Future[Answer]) -> None:
        self.caller = caller
        self.answered = answered
        self.gone = asyncio.Event()  # the caller


class Network:
    """See the module."""

    def __init__(self, loop: SeededLoop, faults: Faults, dice: Random) -> None:
        self._loop = loop
        self._faults = faults
        self._dice = dice
        self._server: tuple[Node, Service] | None = None
        self.listening = asyncio.Event()
        self.lines: list[_Line] = []
        self._requests: list[asyncio.Task[None]] = []  # whether or not somebody still waits

    def listen(self, node: Node, service: Service) -> None:
        """The server is this one."""
        self._server = node, service
        self.listening.set()

    async def close(self, grace_s: float) -> None:
        """Who asks from now on finds nobody; who has asked may be answered within so long."""
        self._server = None
        self.listening.clear()
        if tasks := [task for task in self._requests if not task.done()]:
            await asyncio.wait(tasks, timeout=grace_s)
            for task in tasks:
                task.cancel()

    def hang_up(self) -> None:
        """The server is gone."""
        self._server = None
        self.listening.clear()
        for line in self.lines:
            if not line.answered.done():
                line.answered.set_exception(NoAnswer("the server died"))
        self.lines.clear()
        self._requests.clear()

    def forget(self, caller: Node) -> None:
        """He died: his system hangs up for him."""
        for line in [line for line in self.lines if line.caller is caller]:
            line.gone.set()
            self.lines.remove(line)

    async def ask(
        self,
        caller: Node,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        patience_s: float = GIVE_UP_S,
    ) -> Answer:
        """The answer to a request. Raises Unreachable or NoAnswer."""
        faults = self._faults
        if faults.hit("an answer is slow"):
            await asyncio.sleep(self._dice.choice((0.001, 0.03, 0.5)))
        if self._server is None:
            raise Unreachable("nobody listens")
        if caller.cut_off or faults.hit("a request is lost"):
            await asyncio.sleep(patience_s)
            raise NoAnswer("nobody answered")
        line = self._send(caller, method, target, body, headers or {})
        try:
            async with asyncio.timeout(patience_s):
                answer = await line.answered
        except TimeoutError:
            raise NoAnswer("nobody answered") from None
        finally:
            line.gone.set()
            if line in self.lines:
                self.lines.remove(line)
        if caller.cut_off or faults.hit("an answer is lost"):
            raise NoAnswer("the line went dead")
        if faults.hit("an answer is slow"):
            await asyncio.sleep(self._dice.choice((0.001, 0.03, 0.5)))
        return answer

    def _send(
        self, caller: Node, method: str, target: str, body: Any, headers: Mapping[str, str]
    ) -> _Line:
        assert self._server is not None
        node, service = self._server
        line = _Line(caller, self._loop.create_future())
        self.lines.append(line)
        content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        scope = _scope(method, target, content, headers)
        carrying_out = _carry_out(service.app, scope, content, line)
        task = self._loop.start(node, carrying_out, "request")
        self._requests = [*(task for task in self._requests if not task.done()), task]
        return line


async def _carry_out(app: Any, scope: Any, content: bytes, line: _Line) -> None:
    """On the server: one request through the application."""
    start: dict[str, Any] = {}
    parts: list[bytes] = []
    unread = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Any:
        if unread:
            return unread.pop()
        await line.gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    try:
        await app(scope, receive, send)
    except BaseException as error:
        if not line.answered.done():
            line.answered.set_exception(NoAnswer(repr(error)))
        raise
    if not line.answered.done():
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        line.answered.set_result(Answer(start["status"], headers, b"".join(parts)))


def _scope(method: str, target: str, content: bytes, headers: Mapping[str, str]) -> Any:
    path, _, query = target.partition("?")
    sent = [HOST, *((name.lower().encode(), value.encode()) for name, value in headers.items())]
    if content:
        sent += [JSON, (b"content-length", str(len(content)).encode())]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": sent,
        "client": ("127.0.0.1", 0),
        "server": ("localhost", 80),
        "state": {},
    }


class RemoteClient:
    """What `service.remote` asks its server with."""

    def __init__(self, network: Network, caller: Node) -> None:
        self._network = network
        self._caller = caller

    async def post(
        self,
        path: str,
        *,
        json: Any = None,
        content: Any = None,
        timeout: float = GIVE_UP_S,
        **_: Any,
    ) -> Answer:
        """See httpx2.AsyncClient."""
        body = content if content is not None else json
        try:
            return await self._network.ask(self._caller, "POST", path, body, patience_s=timeout)
        except Unreachable as error:
            raise httpx2.ConnectError(str(error)) from error
        except NoAnswer as error:
            raise httpx2.ReadError(str(error)) from error
