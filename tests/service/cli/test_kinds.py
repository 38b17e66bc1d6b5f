"""`kinds`, `pause`, `resume`, `limit` with a real server: asked, obeyed, and on the record."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.cli.runner import at_a_terminal, printed, refused, succeed
from tests.support.server import serving

pytestmark = pytest.mark.real_time


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("kinds") / "data"
    with serving(root, "--no-worker", "--remote-kind", "thumbnail"):
        yield root


def kind(data: Path, name: str = "thumbnail") -> Any:
    return next(each for each in printed("kinds", "--data", data) if each["kind"] == name)


def events(data: Path) -> list[tuple[str, Any]]:
    lines = printed("tail", "--stream", "kind-thumbnail", "--after", 0, "--data", data)
    return [(line["type"], line["data"]) for line in lines]


def test_a_kind_is_paused_resumed_and_limited_and_the_log_knows(data: Path) -> None:
    assert kind(data)["remote"] is True
    [paused] = printed("pause", "thumbnail", "--reason", "no disk", "--data", data)
    assert (paused["paused"]["reason"], paused["paused"]["cause"]) == ("no disk", "operator")
    assert kind(data) == paused
    [resumed] = printed("resume", "thumbnail", "--data", data)
    assert resumed["paused"] is None
    flags = ("--at-a-time", 2, "--rate", "5/0.5")
    [limited] = printed("limit", "thumbnail", *flags, "--data", data)
    assert limited["limits"] == {"concurrency": 2, "rate": {"count": 5, "per_s": 0.5}}
    flags = ("--at-a-time", "none", "--rate", "none")
    [free] = printed("limit", "thumbnail", *flags, "--data", data)
    assert free["limits"] == {"concurrency": None, "rate": None}
    assert events(data) == [
        ("KindPaused", {"cause": "operator"}),
        ("KindResumed", {}),
        ("KindLimited", {"concurrency": 2, "rate": {"count": 5, "per_s": 0.5}}),
        ("KindLimited", {"concurrency": None, "rate": None}),
    ]


def test_a_table_for_people_says_who_paused_what_and_why(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed("pause", "email", "--reason", "too many bounces", "--data", data)
    at_a_terminal(monkeypatch)
    rows = {row.split()[0]: row for row in succeed("kinds", "--data", data).splitlines()}
    assert "by local:" in rows["email"]
    assert "too many bounces" in rows["email"]
    assert rows["thumbnail"].split() == ["thumbnail", "any", "any", "elsewhere", "no"]


@pytest.mark.parametrize("given", [("--at-a-time", "many"), ("--at-a-time", "-1")])
def test_a_concurrency_that_is_no_number_is_misuse(data: Path, given: tuple[str, str]) -> None:
    assert "give a number, or none" in refused(
        2, "limit", "email", *given, "--rate", "none", "--data", data
    )


@pytest.mark.parametrize("rate", ["100", "100/", "a/b", "1/-1", "1/1/1"])
def test_a_rate_that_is_none_is_misuse(data: Path, rate: str) -> None:
    said = refused(2, "limit", "email", "--at-a-time", "1", "--rate", rate, "--data", data)
    assert "as 100/60" in said


def test_what_the_server_does_not_permit_is_misuse_with_its_words(data: Path) -> None:
    said = refused(2, "limit", "email", "--at-a-time", "0", "--rate", "none", "--data", data)
    assert "#/concurrency" in said


def test_an_unknown_kind_is_a_no_that_names_the_known_ones(data: Path) -> None:
    assert "but email, thumbnail, webhook" in refused(1, "pause", "nonsense", "--data", data)


def test_without_a_server_there_is_nobody_to_ask(tmp_path: Path) -> None:
    assert "no server runs" in refused(1, "kinds", "--data", tmp_path)


def test_another_servers_url_is_enough(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--no-worker") as server:
        found = [each["kind"] for each in printed("kinds", "--url", server.url)]
        assert found == ["email", "webhook"]
