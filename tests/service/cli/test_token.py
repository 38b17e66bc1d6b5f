"""`joblog token`, and commands that have one: what is made, what is sent, and what a refusal says.

A server is asked by the commands here only as far as it refuses; `tests/e2e/test_access.py` has
whole lives with tokens.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.access import Keyring, Scope, tokens_of
from tests.service.cli.runner import at_a_terminal, joblog, printed, refused, succeed
from tests.support.server import Server, serving


def test_a_secret_and_its_line_are_made_and_fit_each_other() -> None:
    [made] = printed("token", "billing")
    assert made["secret"].startswith("jl_")
    assert len(made["secret"]) >= 46
    assert made["secret"] not in made["line"]
    found = Keyring(tokens_of([made["line"]])).find(made["secret"])
    assert found is not None
    assert (found.name, found.scopes) == ("billing", {Scope.READ, Scope.WRITE})


def test_no_two_secrets_are_the_same() -> None:
    assert len({printed("token", "billing")[0]["secret"] for _ in range(20)}) == 20


def test_scopes_are_chosen() -> None:
    [made] = printed("token", "runner", "--scope", "work", "--scope", "jobs:read")
    assert made["line"].endswith(" jobs:read,work")


@pytest.mark.parametrize("name", ["", "-", "a b", "a/b", "n" * 65, "é"])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    assert "is no name" in refused(2, "token", "--", name)


def test_an_unknown_scope_is_refused() -> None:
    assert "jobs:read" in refused(2, "token", "billing", "--scope", "jobs")


def test_at_a_terminal_it_says_where_the_line_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch)
    result = joblog("token", "billing")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["secret", "line"]
    assert "--tokens-file" in result.stderr


@pytest.mark.parametrize("token", ["a b", "geheim\n", "geheim\r\nHost: evil", "é", "="])
def test_what_cannot_be_a_token_is_not_sent_and_not_said_back(token: str) -> None:
    for given in ({"env": {"JOBLOG_TOKEN": token}}, {}):
        args = () if given else ("--token", token)
        said = refused(2, "list", "--url", "http://127.0.0.1:1", *args, **given)
        assert "that is no token" in said
        assert "geheim" not in said


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server that knows three tokens, and their secrets by name."""
    made = {
        scope: printed("token", scope.split(":")[-1], "--scope", scope)[0]
        for scope in ("jobs:read", "jobs:write", "admin")
    }
    tokens = ";".join(each["line"] for each in made.values())
    data: Path = tmp_path_factory.mktemp("tokens") / "data"
    with serving(data, "--no-worker", env={"JOBLOG_TOKENS": tokens}) as server:
        yield server, {scope: each["secret"] for scope, each in made.items()}


@pytest.mark.real_time
def test_a_command_has_its_token_typed_or_set(server: tuple[Server, dict[str, str]]) -> None:
    url, secrets = server[0].url, server[1]
    to = ("--to", "ada@example.com", "--subject", "Hello")
    [job] = printed("enqueue", "email", *to, "--url", url, "--token", secrets["jobs:write"])
    env = {"JOBLOG_TOKEN": secrets["jobs:read"]}
    assert printed("show", job["id"], "--url", url, env=env) == [job]
    [created] = printed("history", job["id"], "--url", url, env=env)
    assert created["meta"]["actor"] == "key:write"
    assert succeed("list", "--url", url, "--token", secrets["admin"], env=env)


@pytest.mark.real_time
def test_who_is_refused_learns_what_to_do(server: tuple[Server, dict[str, str]]) -> None:
    url, secrets = server[0].url, server[1]
    for token in ((), ("--token", "jl_wrong"), ("--token", "")):
        assert "set JOBLOG_TOKEN" in refused(1, "list", "--url", url, *token)
    said = refused(1, "cancel", "x", "--url", url, "--token", secrets["jobs:read"])
    assert "the scope jobs:write, which the token read does not have: ask" in said
