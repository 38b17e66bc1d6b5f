"""`show`, `list`, `history` on files: what they print for people and programs, what they find.

The same commands through a server are in `test_with_server`.
"""

import json
from pathlib import Path

import pytest

from tests.service.cli.logs import (
    DONE,
    EMAIL,
    GONE,
    OFF,
    WAITING,
    flip,
    forget,
    lines_of,
    segment,
    write_log,
)
from tests.service.cli.runner import at_a_terminal, files_of, joblog, printed, refused, succeed
from tests.support.build import at, job_created


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_log(tmp_path / "data")
    return tmp_path / "data"


def test_show_prints_the_document_of_the_api(root: Path) -> None:
    [job] = printed("show", DONE, "--data", root)
    assert (job["id"], job["status"], job["payload"]) == (DONE, "completed", EMAIL)
    assert job["links"] == {"self": f"/jobs/{DONE}", "events": f"/jobs/{DONE}/events"}
    assert (job["rev"], job["attempts"], job["result"]) == (3, 1, {"reply": "250"})


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("2", "pending"),
        ("3", "pending"),
        ("4", "processing"),
        ("99", "completed"),
        (at(0), "pending"),
        (at(1.999999), "pending"),
        (at(2), "processing"),
        (at(4), "completed"),
        ("2026-11-23T13:00:02+01:00", "processing"),
    ],
)
def test_show_as_of_is_the_fold_of_what_had_happened(root: Path, moment: str, status: str) -> None:
    [job] = printed("show", DONE, "--as-of", moment, "--data", root)
    assert job["status"] == status


@pytest.mark.parametrize("moment", ["1", "0", "2026-11-23T11:59:59.999999Z"])
def test_show_as_of_before_the_creation_is_a_no(root: Path, moment: str) -> None:
    said = refused(1, "show", DONE, "--as-of", moment, "--data", root)
    assert f"it was created at position 2, {at(0)}" in said


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-23T12:00:00", "-1", "²"])
def test_show_as_of_nonsense_is_a_usage_error(root: Path, moment: str) -> None:
    assert "a time with its zone" in refused(2, "show", DONE, "--as-of", moment, "--data", root)


def test_show_for_people(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch)
    text = succeed("show", GONE, "--data", root)
    members = {line.split()[0]: line.split()[1] for line in text.splitlines() if line}
    assert (members["id"], members["status"]) == (GONE, "failed")
    assert "attempt  worker" in text
    assert r"no\x1b[2J luck" in text


@pytest.mark.parametrize("command", ["show", "history"])
@pytest.mark.parametrize("job_id", ["nobody", "log", "../etc", ""])
def test_a_job_that_never_was_is_a_no(root: Path, command: str, job_id: str) -> None:
    said = refused(1, command, job_id, "--data", root)
    assert said == f"Error: there is no job {job_id}".rstrip() or said.startswith("Error: there is")


def test_list_is_newest_first(root: Path) -> None:
    assert [job["id"] for job in printed("list", "--data", root)] == [OFF, WAITING, GONE, DONE]


def test_list_by_status_kind_and_limit(root: Path) -> None:
    def ids(*args: str) -> list[str]:
        return [job["id"] for job in printed("list", *args, "--data", root)]

    assert ids("--status", "failed") == [GONE]
    assert ids("--kind", "email") == [OFF, WAITING, DONE]
    assert ids("--kind", "email", "--status", "completed") == [DONE]
    assert ids("--limit", "2") == [OFF, WAITING]
    assert ids("--kind", "nothing") == []


def test_list_of_a_state_that_there_is_not_is_a_usage_error(root: Path) -> None:
    assert "'pending', 'processing'" in refused(2, "list", "--status", "done", "--data", root)


def test_list_for_people_is_a_table(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch)
    headers, *rows = succeed("list", "--data", root).splitlines()
    assert headers.split() == ["id", "kind", "status", "attempts", "created", "about"]
    assert rows[2].split()[:4] == [GONE, "report", "failed", "1/3"]
    assert rows[2].endswith(r"ValueError: no\x1b[2J luck")
    assert rows[1].endswith(f"due {at(3600)}")


def test_a_narrow_terminal_cuts_the_last_column_only(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_a_terminal(monkeypatch, columns=110)
    row = succeed("list", "--data", root, "--status", "failed").splitlines()[1]
    assert len(row) == 110
    assert row.startswith(GONE)
    assert row.endswith("…")


def test_json_on_a_terminal_shows_no_controls_and_means_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nasty = "a\x1b[2J\x9b31m\u202eb\u2028c\x7f"
    write_log(tmp_path / "data", [("job", [job_created(payload={"subject": nasty})])])
    for command in ("show", "history"):
        piped = succeed(command, "job", "--data", tmp_path / "data", "--json")
        at_a_terminal(monkeypatch)
        shown = succeed(command, "job", "--data", tmp_path / "data", "--json")
        monkeypatch.undo()
        assert not set(shown[:-1]) & set("\x1b\x9b\u202e\u2028\x7f\n")
        assert json.loads(shown) == json.loads(piped)


def test_history_in_a_pipe_is_the_raw_lines(root: Path) -> None:
    lines = lines_of(root)
    raw = succeed("history", DONE, "--data", root)
    assert raw.encode().splitlines() == [lines[1], lines[3], lines[5]]


def test_history_for_people(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch)
    headers, *rows = succeed("history", GONE, "--data", root).splitlines()
    assert headers.split() == ["position", "time", "type", "attempt", "words"]
    assert [row.split()[0] for row in rows] == ["3", "5", "7", "8"]
    assert rows[0].endswith("report, 3 attempts")
    assert rows[2].endswith(r"error, not again by itself; ValueError: no\x1b[2J luck")
    assert succeed("history", DONE, "--data", root).splitlines()[1].endswith("[local:ada]")


@pytest.mark.parametrize("command", [("list",), ("show", DONE), ("history", DONE)])
def test_a_damaged_log_is_code_3_with_the_place(root: Path, command: tuple[str, ...]) -> None:
    start = flip(segment(root), 3)
    said = refused(3, *command, "--data", root)
    assert f"{segment(root)}, line 3, byte {start}: " in said
    assert "joblog verify" in said


def test_a_torn_tail_is_the_end(root: Path) -> None:
    path = segment(root)
    path.write_bytes(path.read_bytes()[:-5])
    forget(root)
    [job] = printed("show", OFF, "--data", root)
    assert job["status"] == "pending"


def test_an_end_that_a_cache_has_seen_whole_is_damage(root: Path) -> None:
    path = segment(root)
    path.write_bytes(path.read_bytes()[:-5])
    for command in (("show", OFF), ("list",), ("tail",), ("replay",)):
        said = refused(3, *command, "--data", root)
        assert f"{path}, line 11, byte " in said


def test_a_whole_line_that_is_gone_is_damage_too(root: Path) -> None:
    path = segment(root)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert "the log ends at 10, its caches have seen 11" in refused(3, "list", "--data", root)


def test_an_append_that_lacks_its_end_is_not_shown(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_log(root, [("a", [job_created(0)]), ("b", [job_created(1), job_created(1)])])
    path = segment(root)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    forget(root)
    assert [job["id"] for job in printed("list", "--data", root)] == ["a"]


def test_an_impossible_log_is_code_3(tmp_path: Path) -> None:
    write_log(tmp_path / "data", [("a", [job_created(0)]), ("a", [job_created(1)])])
    assert "JobCreated cannot follow" in refused(3, "list", "--data", tmp_path / "data")


def test_nothing_is_written_and_no_lock_taken(root: Path) -> None:
    before = files_of(root)
    for command in (("list",), ("show", DONE), ("history", DONE), ("tail",), ("replay",)):
        succeed(*command, "--data", root)
    assert files_of(root) == before


@pytest.mark.parametrize("command", [("list",), ("show", "x"), ("history", "x"), ("tail",)])
def test_without_a_log_it_says_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert "there is no log in" in refused(1, *command, "--data", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_log_that_lost_its_id_is_damage(root: Path) -> None:
    (root / "log-id").unlink()
    assert "log-id is missing beside a log" in refused(3, "list", "--data", root)


def test_a_store_as_url_is_the_same_as_its_directory(root: Path) -> None:
    assert len(printed("list", "--store", f"file:{root}")) == 4
    assert "is no log in files" in refused(2, "list", "--store", "memory:")


def test_variables_are_options_whatever_the_command(root: Path) -> None:
    env = {"JOBLOG_DATA": str(root)}
    assert len(printed("list", env=env)) == 4
    assert len(printed("list", env=env | {"JOBLOG_STATUS": "failed"})) == 1
    assert len(printed("list", "--status", "pending", env=env | {"JOBLOG_STATUS": "failed"})) == 1
    assert printed("show", DONE, env=env | {"JOBLOG_AS_OF": "2"})[0]["status"] == "pending"
    assert joblog("verify", env=env).exit_code == 0
