"""A real `joblog serve` in a process of its own, and the few HTTP calls that tests make to it.

It is started on a free port, is known to be up by the line it prints, and is killed with its whole
group at the end. Not a client library: no retries, no pooling, one connection a call, so that what
a test sees is what the server said.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from service.bench.process import Answer

__all__ = ["ROOT", "Answer", "Server", "ServerDidNotStartError", "serving"]

ROOT = Path(__file__).resolve().parents[2]

Env: TypeAlias = Mapping[str, str] | None
Command: TypeAlias = Sequence[str]

_STARTED = re.compile(r"joblog \S+ serving (http://\S+)")


class Server:
    """One process. `url` is where it listens."""

    def __init__(self, data: Path, *flags: str, env: Env = None, before: Command = ()) -> None:
        """`before` is a command that runs the server's own, as `strace` does."""
        self._process = _spawn(data, *flags, env=env, before=before)
        self.lines: list[str] = []
        self.url = self._read_url()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own. OSError or HTTPException when it breaks."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            sent = {"Content-Type": "application/json"} if data is not None else {}
            connection.request(method, path, data, sent | (headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def post_email(self, to: str = "ada@example.com", **headers: str) -> Answer:
        """Post one message."""
        return self.ask("POST", "/jobs/email", {"to": to, "subject": "Hello"}, headers)

    def finished(self, job_id: str, *, within_s: int = 30) -> Any:
        """The job once it ended, held by the server and not by a sleep."""
        answer = self.ask("GET", f"/jobs/{job_id}", headers={"Prefer": f"wait={within_s}"})
        return answer.json

    def history(self, job_id: str) -> list[dict[str, Any]]:
        """The job's events."""
        answer = self.ask(
            "GET", f"/jobs/{job_id}/events", headers={"Accept": "application/x-ndjson"}
        )
        return [json.loads(line) for line in answer.body.splitlines()]

    def kill(self) -> None:
        """Kill -9, what runs it too, and wait until it is gone."""
        os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def terminate(self) -> int:
        """SIGTERM, and the exit code it leads to."""
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Until the process ended; its exit code. What it printed is in `lines`."""
        assert self._process.stderr is not None
        self.lines += self._process.stderr.read().splitlines()
        code = self._process.wait(timeout=60)
        self._process.stderr.close()
        return code

    def read_line(self) -> None:
        """Wait for one more line of what it prints, which is then in `lines`."""
        assert self._process.stderr is not None
        self.lines.append(self._process.stderr.readline().rstrip("\n"))

    def destroy(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        if self._process.poll() is None:
            self.kill()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _read_url(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line.rstrip("\n"))
            if found := _STARTED.match(line):
                return found[1]
        code = self.wait()
        raise ServerDidNotStartError(code, self.lines)


class ServerDidNotStartError(Exception):
    """It ended before it listened."""

    def __init__(self, code: int, lines: list[str]) -> None:
        super().__init__(f"exit code {code}: " + "\n".join(lines))
        self.code = code
        self.lines = lines


def kill_while_starting(data: Path, *flags: str, env: Env = None, after_s: float) -> None:
    """Start a server and kill it so much later, wherever it is by then."""
    with _spawn(data, *flags, env=env) as process:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(after_s)
            assert process.stderr is not None
            raise ServerDidNotStartError(code, process.stderr.read().splitlines())
        process.kill()


def _spawn(
    data: Path, *flags: str, env: Env = None, before: Command = ()
) -> "subprocess.Popen[str]":
    serve = [sys.executable, "-m", "service", "serve", "--data", str(data), "--port", "0", *flags]
    return subprocess.Popen(
        [*before, *serve],
        cwd=ROOT,
        env=os.environ | (env or {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextmanager
def serving(data: Path, *flags: str, env: Env = None, before: Command = ()) -> Iterator[Server]:
    """A server for the length of a `with`."""
    server = Server(data, *flags, env=env, before=before)
    try:
        yield server
    finally:
        server.destroy()
