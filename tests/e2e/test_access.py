"""A real server with a file of tokens: who is let in, what the log says, and the file read again.

And what it does about clients that hold it up, with the limits it really has.
"""

import os
import re
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.access import Scope, Token, digest_of, line_of
from tests.support.server import Answer, Server, ServerDidNotStartError, serving

BODY_TO_COME = (
    b"POST /jobs/email HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 10\r\n\r\n{"
)
KEY = {"Idempotency-Key": "order-17"}


def line(name: str, *scopes: Scope, secret: str | None = None) -> str:
    return line_of(Token(name, digest_of(secret or f"jl_{name}"), frozenset(scopes))) + "\n"


def bearing(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer jl_{name}"}


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text(
        "# who may do what\n"
        + line("reader", Scope.READ)
        + line("writer", Scope.WRITE)
        + line("other", Scope.WRITE, Scope.READ)
    )
    return file


def post(server: Server, name: str | None, subject: str = "Hello", **headers: str) -> Answer:
    mail = {"to": "ada@example.com", "subject": subject}
    credentials = {} if name is None else bearing(name)
    return server.ask("POST", "/jobs/email", mail, credentials | headers)


def test_who_is_let_in_and_what_the_log_says(tmp_path: Path, tokens: Path) -> None:
    with serving(tmp_path / "data", "--no-worker", "--tokens-file", str(tokens)) as server:
        for name, status in ((None, 401), ("wrong", 401), ("reader", 403), ("writer", 202)):
            answer = post(server, name)
            assert answer.status == status
            assert ("www-authenticate" in answer.headers) is (status in (401, 403))
        events = f"/jobs/{answer.json['id']}/events"
        assert server.ask("GET", events, headers=bearing("writer")).status == 403
        [created] = server.ask("GET", events, headers=bearing("reader")).json["events"]
        assert created["meta"]["actor"] == "key:writer"
        assert server.ask("GET", "/livez").status == 200
        assert server.ask("GET", "/readyz").status == 200
        for path in (tmp_path / "data").rglob("*"):
            assert b"jl_" not in (path.read_bytes() if path.is_file() else b"")


def test_the_keys_of_two_tokens_do_not_collide_and_outlive_a_restart(
    tmp_path: Path, tokens: Path
) -> None:
    flags = ("--no-worker", "--tokens-file", str(tokens))
    with serving(tmp_path / "data", *flags) as server:
        ids = [post(server, name, name, **KEY).json["id"] for name in ("writer", "other")]
        assert ids[0] != ids[1]
        server.kill()
    with serving(tmp_path / "data", *flags) as server:
        again = [post(server, name, name, **KEY) for name in ("writer", "other")]
        assert [answer.json["id"] for answer in again] == ids
        assert all("idempotency-replayed" in answer.headers for answer in again)
        assert post(server, "writer", "other", **KEY).status == 422


def test_the_file_is_read_again_when_asked_and_one_that_is_wrong_changes_nothing(
    tmp_path: Path, tokens: Path
) -> None:
    with serving(tmp_path / "data", "--no-worker", "--tokens-file", str(tokens)) as server:
        tokens.write_text(line("newcomer", Scope.WRITE))
        os.kill(server.pid, signal.SIGHUP)
        while post(server, "newcomer").status == 401:
            pass
        assert post(server, "writer").status == 401
        tokens.write_text("secretly wrong\n")
        os.kill(server.pid, signal.SIGHUP)
        while not any("stay as they were" in said for said in server.lines):
            server.read_line()
        assert "line 1" in server.lines[-1]
        assert "secretly" not in server.lines[-1]
        assert post(server, "newcomer").status == 202
        assert server.terminate() == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--host", "0.0.0.0"), "give --tokens-file"),
        (("--tokens-file", "/nowhere/tokens"), "/nowhere/tokens: No such file or directory"),
        (("--tokens", "geheim"), "--tokens, line 1: a token is"),
        (("--tokens", ";"), "there are no tokens"),
    ],
)
def test_a_start_that_would_let_everybody_in_is_refused(
    tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ServerDidNotStartError) as refused:
        Server(tmp_path / "data", *flags)
    assert refused.value.code == 2
    assert said in refused.value.lines[-1]
    assert "geheim" not in refused.value.lines[-1]
    assert not (tmp_path / "data").exists()


def test_with_tokens_it_may_be_reached_by_the_names_it_is_told(
    tmp_path: Path, tokens: Path
) -> None:
    flags = ("--host", "0.0.0.0", "--tokens-file", str(tokens), "--allow-host", "jobs.example")
    with serving(tmp_path / "data", "--no-worker", *flags) as server:
        for host, status in (("jobs.example", 200), ("localhost", 200), ("evil.example", 421)):
            answer = server.ask("GET", "/jobs", headers=bearing("reader") | {"Host": host})
            assert answer.status == status


def connected(server: Server, sent: bytes) -> socket.socket:
    address = urlsplit(server.url)
    peer = socket.create_connection((address.hostname, address.port), timeout=60)
    peer.sendall(sent)
    return peer


def test_200_silent_clients_are_gone_in_time_and_keep_nobody_waiting(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--no-worker") as server:
        began = time.monotonic()
        silent = [connected(server, b"GET /livez HTTP/1.1\r\n") for _ in range(200)]
        assert server.post_email().status == 202
        for peer in silent:
            assert peer.recv(1) == b""
            peer.close()
        assert 9 < time.monotonic() - began < 30
        assert server.post_email().status == 202


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /livez HTTP/1.1\r\n",
        BODY_TO_COME,
    ],
)
def test_a_stop_waits_for_none_of_them(tmp_path: Path, sent: bytes) -> None:
    with serving(tmp_path / "data", "--no-worker") as server:
        peers = [connected(server, sent) for _ in range(20)]
        assert server.post_email().status == 202
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 4
        assert not any("Traceback" in said for said in server.lines)
        for peer in peers:
            peer.close()


def test_the_limit_of_connections_is_the_one_that_is_set(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--no-worker", "--max-connections", "2") as server:
        first, second = (connected(server, b"") for _ in range(2))
        with connected(server, b"") as third:
            assert third.recv(1) == b""
        first.close()
        second.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert re.match(rb"HTTP/1.1 200 ", second.recv(65536))
        second.close()
        assert server.terminate() == 0
        assert "there are 2 connections" in "\n".join(server.lines)
