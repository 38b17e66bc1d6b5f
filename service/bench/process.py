"""Processes of the bench: servers that run for the length of a `with`, and what is asked of them.

A server is known to be up by the line that it prints, as `joblog serve` does, and is told to stop
by SIGTERM. Its environment is the user's, without any JOBLOG_… variable: what a user has set for
his own server decides nothing here.
"""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

import service
from eventstore import clock
from service.bench.measured import MeasurementError

STOP_S = 60.0  # for a server to stop in good order
LAST_LINES = 20  # of what it said, for who wants to know why it ended

_SERVING = re.compile(r"serving (http://\S+)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return orjson.loads(self.body)


class Server:
    """A process that serves HTTP. `started_s` is how long it took to answer."""

    def __init__(self, *arguments: str) -> None:
        since = clock.monotonic()
        self._process = subprocess.Popen(  # noqa: S603  ourselves
            command(*arguments),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is ours to hear first
        )
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        self._listening = threading.Thread(target=self._listen, daemon=True)
        try:
            self.url = self._read_url()
        except BaseException:
            self.destroy()
            raise
        self.started_s = clock.monotonic() - since
        self._listening.start()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def resident_bytes(self) -> int:
        """Its memory, as the system has it."""
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists():
            [kib] = re.findall(r"VmRSS:\s+(\d+) kB", status.read_text())
        else:
            asked = ["/bin/ps", "-o", "rss=", "-p", str(self._process.pid)]
            kib = subprocess.check_output(asked, text=True)  # noqa: S603
        return int(kib) * 1024

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own. Raises MeasurementError unless it succeeds."""
        connection = http.client.HTTPConnection(*self.address)
        try:
            data = None if body is None else orjson.dumps(body)
            sent = {"Content-Type": "application/json"} if data is not None else {}
            connection.request(method, path, data, sent | headers)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, found, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise MeasurementError(f"{method} {path}: {error!r}{self._last_words()}") from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise MeasurementError(f"{method} {path}: {answer.status} {answer.body[:500]!r}")
        return answer

    def stop(self) -> str:
        """Stop it in good order; what it printed on stdout."""
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired as error:
            raise MeasurementError(f"a server does not stop{self._last_words()}") from error
        if code != 0:
            raise MeasurementError(f"a server ended with {code}{self._last_words()}")
        return self._process.stdout.read()

    def destroy(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._listening.is_alive():
            self._listening.join()
        self._process.stdout.close()
        self._process.stderr.close()

    def _read_url(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)
            if found := _SERVING.search(line):
                return found[1]
        raise MeasurementError(f"a server does not start{self._last_words()}")

    def _listen(self) -> None:
        """Take what it says, so that it never waits for a reader."""
        assert self._process.stderr is not None
        self._said.extend(self._process.stderr)

    def _last_words(self) -> str:
        return "".join([": ", *self._said]).rstrip() if self._said else ""


@contextmanager
def running(*arguments: str) -> Iterator[Server]:
    """A server, `python -m` with these arguments, which is gone afterwards."""
    server = Server(*arguments)
    try:
        yield server
    finally:
        server.destroy()


@contextmanager
def serving(root: Path, *flags: str) -> Iterator[Server]:
    """`joblog serve` on a directory; stopped in good order, unless the `with` fails."""
    with running(service.__name__, "serve", "--data", str(root), "--port", "0", *flags) as server:
        yield server
        server.stop()


def command(*arguments: str) -> list[str]:
    """`python -m` with these arguments; `-P`: a folder called `service` here is not ours."""
    return [sys.executable, "-P", "-m", *arguments]


def environment() -> dict[str, str]:
    """The user's, without what he has set for a joblog of his own; and where to find ours."""
    assert service.__file__ is not None
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBLOG_")}
    paths = [str(Path(service.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
