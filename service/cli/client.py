"""Talking to a server: one connection, one question at a time, and its refusals as failures.

Nothing is asked twice by itself: whether a broken answer to a POST had an effect is not known here,
and only who gave the request a key may repeat it safely. Made on `http.client`, which is there and
loads in a fraction of what a full client takes.
"""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import click
import orjson

from service.cli.failure import Failure, Misuse
from service.cli.options import TOKEN

TIMEOUT_S = 30.0
WAIT_S_MAX = 30  # the longest that a server holds an answer back
MALFORMED = frozenset({400, 413, 415, 422})  # what was asked for is wrong, not its time
NOT_FOUND = 404
HINTS = {
    401: ": give the --token that this server knows you by, or set JOBLOG_TOKEN",
    403: ": ask who runs the server for a token with it",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's value."""
        return orjson.loads(self.body)


def connect(url: str) -> "Client":
    """A connection that ends with the command that runs, and has its token."""
    context = click.get_current_context()
    client = Client(url, token=context.meta.get(TOKEN))
    context.call_on_close(client.close)
    return client


def address_of(url: str) -> SplitResult:
    """The parts of a server's URL. Raises Misuse when it is none."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise Misuse(f"{url} is no address of a server: http://HOST:PORT")


class Client:
    """A connection to one server."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """Raises Failure when the URL is none."""
        self._credentials = {} if token is None else {"Authorization": f"Bearer {token}"}
        parts = address_of(url)
        self.url = url.rstrip("/")
        self._path = parts.path.rstrip("/")
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(parts.netloc.rpartition("@")[2], timeout=TIMEOUT_S + WAIT_S_MAX)

    def get(self, path: str, **headers: str) -> Answer:
        """Ask. Raises Failure for a refusal."""
        return self._accepted(self._ask("GET", path, None, headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask for a change. Raises Failure for a refusal."""
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        typed = {} if data is None else {"Content-Type": "application/json"}
        return self._accepted(self._ask("POST", path, data, typed | headers))

    def put(self, path: str, body: Any) -> Answer:
        """Say how something shall be. Raises Failure for a refusal."""
        typed = {"Content-Type": "application/json"}
        return self._accepted(self._ask("PUT", path, orjson.dumps(body), typed))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named |= self._credentials
        try:
            self._connection.request(method, self._path + path, body, named)
            response = self._connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        except (UnicodeError, http.client.InvalidURL) as error:
            raise Misuse(f"this cannot be sent: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            raise self._no_answer(method, error) from error

    def _no_answer(self, method: str, error: Exception) -> Failure:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        sent = method != "GET" and not isinstance(error, ConnectionRefusedError)
        unsure = "; whether it was done is not known" if sent else ""
        hint = "start a server with `joblog serve`, or give another --url"
        return Failure(f"no answer from {self.url} ({what}){unsure}: {hint}")

    def _accepted(self, answer: Answer) -> Answer:
        """Raises Failure when the answer is a problem."""
        if answer.status < 400 or answer.status == 304:  # noqa: PLR2004  HTTP's own numbers
            return answer
        malformed = answer.status in MALFORMED
        try:
            said = answer.json()
            words = f"{said['title']}: {said['detail']}" if malformed else str(said["detail"])
        except (ValueError, KeyError, TypeError):
            words = f"{self.url} answered {answer.status}, and not as joblog does"
        if "retry-after" in answer.headers:
            words += f"; try again in {answer.headers['retry-after']} s"
        words += HINTS.get(answer.status, "")
        raise Misuse(words) if malformed else Failure(words)


def job_path(job_id: str, *more: str) -> str:
    """The path of a job, whatever was typed for its id."""
    return "/".join(["/jobs", quote(job_id, safe=""), *more])
