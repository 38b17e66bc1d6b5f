"""The commands with a real server: found by its lock, asked over HTTP, and read beside it.

One server for all of them, without a worker so that jobs stay as they are, and one with.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.cli.runner import at_a_terminal, joblog, printed, refused, succeed
from tests.support.server import Server, serving

pytestmark = pytest.mark.real_time

TO = ("--to", "ada@example.com", "--subject", "Hello")


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    data = tmp_path_factory.mktemp("idle") / "data"
    with serving(data, "--no-worker") as server:
        yield server, data


def enqueue(data: Path, *args: object, **more: Any) -> Any:
    [job] = printed("enqueue", "email", *TO, *args, "--data", data, **more)
    return job


def test_a_job_is_enqueued_shown_listed_and_told(idle: tuple[Server, Path]) -> None:
    _, data = idle
    job = enqueue(data, "--priority", 5)
    assert (job["status"], job["priority"]) == ("pending", 5)
    assert printed("show", job["id"], "--data", data) == [job]
    assert printed("list", "--limit", 1, "--data", data) == [job]
    [created] = printed("history", job["id"], "--data", data)
    assert (created["type"], created["stream"]) == ("JobCreated", job["id"])
    assert printed("tail", "-n", 1, "--data", data) == [created]


def test_words_find_jobs_over_http_and_in_the_files(idle: tuple[Server, Path]) -> None:
    server, data = idle
    job = enqueue(data, "--cc", "grace@example.com")
    for where in (("--url", server.url), ("--data", data)):
        assert printed("list", "--search", "grace@exam", *where) == [job]
        assert printed("list", "--search", "nobody", *where) == []
        assert printed("list", "--held", *where) == []


def test_an_expiry_is_passed_on(idle: tuple[Server, Path]) -> None:
    _, data = idle
    job = enqueue(data, "--expires-at", "2999-01-01T00:00:00+01:00")
    assert job["expires_at"] == "2998-12-31T23:00:00.000000Z"
    said = refused(2, "enqueue", "email", *TO, "--expires-at", "soon", "--data", data)
    assert "--expires-at soon" in said


def test_the_url_alone_is_enough(idle: tuple[Server, Path]) -> None:
    server, data = idle
    job = enqueue(data)
    assert printed("show", job["id"], "--url", server.url) == [job]
    assert printed("show", job["id"], env={"JOBLOG_URL": server.url}) == [job]


def test_cancel_and_retry(idle: tuple[Server, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, data = idle
    job_id = enqueue(data)["id"]
    [cancelled] = printed("cancel", job_id, "--reason", "not wanted", "--data", data)
    assert cancelled["status"] == "cancelled"
    [retried] = printed("retry", job_id, "--data", data)
    assert retried["status"] == "pending"
    at_a_terminal(monkeypatch)
    rows = succeed("history", job_id, "--data", data).splitlines()
    assert [row.split()[2] for row in rows[1:]] == ["JobCreated", "JobCancelled", "JobRetried"]
    assert "not wanted [local:" in rows[2]


def test_what_the_state_does_not_permit_is_a_no_with_the_reason(
    idle: tuple[Server, Path],
) -> None:
    _, data = idle
    job_id = enqueue(data)["id"]
    assert "cannot be retried" in refused(1, "retry", job_id, "--data", data)


@pytest.mark.parametrize("command", ["show", "history", "cancel", "retry"])
@pytest.mark.parametrize("job_id", ["nobody", "../jobs", "a/b", "?", "%2e"])
def test_a_job_that_never_was_is_a_no(idle: tuple[Server, Path], command: str, job_id: str) -> None:
    _, data = idle
    assert "there is no" in refused(1, command, job_id, "--data", data)


def test_show_as_of_is_the_same_over_http_as_from_the_files(idle: tuple[Server, Path]) -> None:
    _, data = idle
    job = enqueue(data)
    succeed("cancel", job["id"], "--data", data)
    [then] = printed("show", job["id"], "--as-of", job["created_at"], "--data", data)
    assert then == job
    assert "was created at" in refused(1, "show", job["id"], "--as-of", "1", "--data", data)


def test_a_key_makes_one_job_and_refuses_another_request(idle: tuple[Server, Path]) -> None:
    _, data = idle
    first = enqueue(data, "--key", "once")
    assert enqueue(data, "--key", "once") == first
    said = refused(2, "enqueue", "email", "--to", "b@example.com", "--subject", "x",
                   "--key", "once", "--data", data)  # fmt: skip
    assert "this key was used before" in said


def test_what_the_server_finds_invalid_is_a_usage_error(idle: tuple[Server, Path]) -> None:
    _, data = idle
    given = ("--data", data)
    assert "#/to" in refused(2, "enqueue", "email", "--to", "x", "--subject", "y", *given)
    assert "JSON" in refused(2, "enqueue", "email", "--payload", "{", *given)
    assert "no kind" in refused(1, "enqueue", "nothing", "--payload", "{}", *given)


def test_many_are_enqueued_by_lines_and_a_repeat_makes_none(idle: tuple[Server, Path]) -> None:
    _, data = idle
    lines = "".join(
        json.dumps({"to": f"user{n}@example.com", "subject": "Hello"}) + "\n" for n in range(30)
    )
    first = printed("enqueue", "email", "--key", "many", "--data", data, given=lines)
    again = printed("enqueue", "email", "--key", "many", "--data", data, given=lines)
    assert again == first
    assert len({job["id"] for job in first}) == 30


def test_a_list_follows_the_pages(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--no-worker") as server:
        lines = '{"to":"ada@example.com","subject":"Hello"}\n' * 205
        made = printed("enqueue", "email", "--url", server.url, given=lines)
        found = printed("list", "--limit", 1000, "--url", server.url)
        assert [job["id"] for job in found] == [job["id"] for job in reversed(made)]
        assert len(printed("list", "--limit", 203, "--url", server.url)) == 203
        assert len(printed("list", "--status", "failed", "--url", server.url)) == 0


def test_verify_and_replay_read_beside_a_running_server(idle: tuple[Server, Path]) -> None:
    _, data = idle
    enqueue(data)
    assert "no damage" in joblog("verify", "--data", data).stderr
    assert joblog("replay", "--diff", "--data", data).exit_code == 0


def test_a_job_is_waited_for_and_the_files_tell_the_same_afterwards(tmp_path: Path) -> None:
    data = tmp_path / "data"
    flags = ("--email-latency", "0", "--email-failure-rate", "0", "--backoff-base", "0.01")
    with serving(data, *flags) as server:
        done = enqueue(data, "--wait", 30)
        assert done["status"] == "completed"
        failed = joblog("enqueue", "email", "--to", "a@fail.example", "--subject", "x",
                        "--wait", 30, "--data", data)  # fmt: skip
        assert failed.exit_code == 1
        assert json.loads(failed.stdout)["status"] == "failed"
        assert server.terminate() == 0
    assert printed("show", done["id"], "--data", data) == [done]
    assert printed("list", "--status", "failed", "--data", data) == [json.loads(failed.stdout)]
    assert "no damage" in joblog("verify", "--data", data).stderr
    assert joblog("replay", "--diff", "--data", data).exit_code == 0


def test_a_server_that_was_killed_leaves_files_to_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, "--no-worker") as server:
        job = enqueue(data)
        server.kill()
        assert printed("show", job["id"], "--data", data) == [job]
        assert joblog("verify", "--data", data).exit_code == 0
        assert joblog("replay", "--diff", "--data", data).exit_code == 0
        assert "no server runs" in refused(1, "cancel", job["id"], "--data", data)
