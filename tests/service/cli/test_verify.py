"""`joblog verify`: what it prints, its last line, its exit codes, and what the caches witnessed.

Which damage is found is tested in `test_verify_files` and `test_verify_events`.
"""

import hashlib
import json
import re
from pathlib import Path

import pytest

from eventstore.event import canonical
from projections.table import JobTable
from tests.service.cli.logs import (
    DONE,
    STORY,
    alter,
    flip,
    lines_of,
    segment,
    write_log,
)
from tests.service.cli.runner import at_a_terminal, files_of, joblog, refused
from tests.support.build import job_created

EVENTS = 1 + sum(len(events) for _, events in STORY)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_log(tmp_path / "data")
    return tmp_path / "data"


def test_a_sound_log_ends_in_a_line_to_quote(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch)
    result = joblog("verify", "--data", root)
    log_id = (root / "log-id").read_text().strip()
    digest = hashlib.sha256(b"".join(canonical(line) + b"\n" for line in lines_of(root)))
    assert result.exit_code == 0
    assert result.stdout == (
        f"verified {EVENTS} events in 1 segment, log {log_id}: no damage"
        f" (digest {digest.hexdigest()})\n"
    )


def test_in_a_pipe_it_prints_json_and_the_line_goes_to_stderr(root: Path) -> None:
    result = joblog("verify", "--data", root)
    [summary] = map(json.loads, result.stdout.splitlines())
    assert (summary["events"], summary["problems"], summary["notes"]) == (EVENTS, 0, 0)
    assert summary["digest"] in result.stderr
    assert re.fullmatch(r"verified .*: no damage \(digest [0-9a-f]{64}\)\n", result.stderr)


def test_all_damage_is_listed_with_its_place_and_the_code_is_3(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third, fifth = flip(segment(root), 3), flip(segment(root), 5)
    at_a_terminal(monkeypatch)
    result = joblog("verify", "--data", root)
    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{segment(root)}, line 3, byte {third}: the checksum of position 3")
    assert any(line.startswith(f"{segment(root)}, line 5, byte {fifth}: ") for line in lines)
    assert ": 3 problems (digest" in lines[-1]
    assert "restore the damaged files from a backup" in result.stderr


def test_damage_in_a_pipe_has_its_place_in_members(root: Path) -> None:
    start = flip(segment(root), 3)
    result = joblog("verify", "--data", root)
    first, *_, summary = map(json.loads, result.stdout.splitlines())
    assert (first["file"], first["line"], first["byte"]) == (str(segment(root)), 3, start)
    assert "checksum" in first["problem"]
    assert summary["problems"] > 0
    assert result.exit_code == 3


def test_what_cannot_have_happened_is_damage(root: Path) -> None:
    alter(root, 4, b'"attempt":1', b'"attempt":4')
    result = joblog("verify", "--data", root)
    first, _ = map(json.loads, result.stdout.splitlines())
    assert first["problem"] == "AttemptStarted of attempt 4 where 1 was due"
    assert (first["line"], result.exit_code) == (4, 3)


def test_a_lost_line_is_not_told_again_as_an_impossible_event(root: Path) -> None:
    flip(segment(root), 2)  # the creation of a job that was then started and completed
    result = joblog("verify", "--data", root)
    problems = [json.loads(line).get("problem") for line in result.stdout.splitlines()][:-1]
    assert problems == [
        "the checksum of position 2 does not hold",
        f"revision 2 of stream {DONE} comes after revision 0",
    ]


def test_a_torn_tail_is_a_note_and_no_damage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = segment(root)
    path.write_bytes(path.read_bytes()[:-9])
    (root / "index.sqlite").unlink()  # a witness that it was acknowledged
    at_a_terminal(monkeypatch)
    result = joblog("verify", "--data", root)
    note, last = result.stdout.splitlines()
    assert note.startswith(f"note: {path}, line {EVENTS}, byte ")
    assert "the next start cuts them off" in note
    assert f"verified {EVENTS - 1} events" in last
    assert "no damage, 1 note (digest" in last
    assert result.exit_code == 0


def test_an_unknown_type_is_a_note(root: Path) -> None:
    alter(root, 9, b"JobCreated", b"JobAdmired")
    result = joblog("verify", "--data", root)
    first, *_ = map(json.loads, result.stdout.splitlines())
    assert first["note"].startswith("JobAdmired v1 is unknown here")


@pytest.mark.parametrize("cache", ["index.sqlite", "jobs.sqlite"])
def test_a_cache_that_has_seen_more_is_a_witness(root: Path, cache: str) -> None:
    if cache == "jobs.sqlite":
        log_id = (root / "log-id").read_text().strip()
        table = JobTable(str(root / cache), log_id=log_id)
        table.begin_flush()
        table.flush(EVENTS)
        table.close()
        (root / "index.sqlite").unlink()
    path = segment(root)
    path.write_bytes(b"".join(line + b"\n" for line in lines_of(root)[:-1]))
    result = joblog("verify", "--data", root)
    first, _ = map(json.loads, result.stdout.splitlines())
    assert first["file"] == f"{root}/{cache}"
    assert first["problem"].startswith(f"it has seen position {EVENTS}, but the log ends at ")
    assert result.exit_code == 3


def test_a_cache_that_is_no_database_is_no_witness(root: Path) -> None:
    (root / "jobs.sqlite").write_bytes(b"rubbish" * 1000)
    assert joblog("verify", "--data", root).exit_code == 0


def test_nothing_is_written(root: Path) -> None:
    flip(segment(root), 3)
    before = files_of(root)
    joblog("verify", "--data", root)
    assert files_of(root) == before


def test_a_directory_that_nobody_may_write_is_fine(root: Path) -> None:
    for path in (*root.rglob("*"), root):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert joblog("verify", "--data", root).exit_code == 0
    finally:
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)


def test_no_log_is_said_in_a_line(tmp_path: Path) -> None:
    assert refused(1, "verify", "--data", tmp_path / "none").startswith(
        f"Error: there is no log in {tmp_path}/none"
    )
    assert "there is no log" in refused(1, "verify", "--data", tmp_path)


def test_a_store_that_is_no_files_is_a_usage_error() -> None:
    assert "is no log in files" in refused(2, "verify", "--store", "memory:")


def test_segments_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "data"
    story = [(f"job-{n}", [job_created(n)]) for n in range(2)]
    write_log(root, story)
    assert "verified 3 events in 1 segment," in joblog("verify", "--data", root).stderr
