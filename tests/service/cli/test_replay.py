"""`joblog replay`: the same log gives the same digest, and what differs from it is told by field.

`jobs.sqlite` is made here by the same fold, and then changed behind its back.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from projections.table import JobTable
from service.cli.files import LogFiles, replayed
from tests.service.cli.logs import DONE, GONE, OFF, STORY, alter, flip, segment, write_log
from tests.service.cli.runner import at_a_terminal, files_of, joblog, printed, refused, succeed

END = 1 + sum(len(events) for _, events in STORY)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_log(tmp_path / "data")
    return tmp_path / "data"


def make_table(root: Path, *, end: int = END, checkpoint: int | None = None) -> None:
    """The `jobs.sqlite` that a server would have left at this position."""
    log = LogFiles(str(root))
    log.end = end
    with (
        replayed(log) as ours,
        closing(JobTable(f"{root}/jobs.sqlite", log_id=log.log_id)) as table,
    ):
        for job in ours.jobs():
            table.put(job)
        table.begin_flush()
        table.flush(checkpoint or end)


@contextmanager
def changing(root: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(root / "jobs.sqlite", isolation_level=None)) as database:
        yield database


def test_it_counts_and_gives_the_digest(root: Path) -> None:
    [summary] = printed("replay", "--data", root)
    counts = {name: summary[name] for name in ("completed", "failed", "cancelled", "pending")}
    assert counts == {"completed": 1, "failed": 1, "cancelled": 1, "pending": 1}
    assert (summary["position"], summary["jobs"], summary["processing"]) == (END, 4, 0)
    assert summary["digest"] == succeed("replay", "--digest", "--data", root).strip()


def test_for_people_it_is_a_list_of_members(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch)
    members = dict(map(str.split, succeed("replay", "--data", root).splitlines()))
    assert (members["position"], members["completed"]) == (str(END), "1")


def test_the_same_log_gives_the_same_digest_wherever_it_is(root: Path, tmp_path: Path) -> None:
    write_log(tmp_path / "other")
    digest = succeed("replay", "--digest", "--data", root)
    assert digest == succeed("replay", "--digest", "--data", tmp_path / "other")
    assert digest != succeed("replay", "--digest", "--to", END - 1, "--data", root)


def test_it_is_the_digest_of_the_servers_own_table(root: Path) -> None:
    make_table(root)
    table = JobTable(str(root / "jobs.sqlite"), log_id=(root / "log-id").read_text().strip())
    digest = table.digest()
    table.close()
    assert succeed("replay", "--digest", "--data", root) == f"{digest}\n"


@pytest.mark.parametrize(("to", "jobs"), [(0, 0), (1, 0), (2, 1), (3, 2), (END, 4)])
def test_to_a_position_it_is_as_it_was_then(root: Path, to: int, jobs: int) -> None:
    [summary] = printed("replay", "--to", to, "--data", root)
    assert (summary["position"], summary["jobs"]) == (to, jobs)


def test_to_a_position_beyond_the_end_is_a_no(root: Path) -> None:
    assert f"the log ends at position {END}" in refused(1, "replay", "--to", 99, "--data", root)


def test_a_damaged_log_is_code_3(root: Path) -> None:
    flip(segment(root), 3)
    assert "line 3" in refused(3, "replay", "--data", root)


def test_no_difference_is_yes(root: Path) -> None:
    make_table(root)
    result = joblog("replay", "--diff", "--data", root)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"no differences at position {END}\n"


def test_it_compares_at_the_tables_checkpoint(root: Path) -> None:
    make_table(root, end=5)
    assert "no differences at position 5" in joblog("replay", "--diff", "--data", root).stderr


def test_differences_are_grouped_and_named_by_field(root: Path) -> None:
    make_table(root)
    with changing(root) as database:
        [(doc,)] = database.execute("SELECT doc FROM jobs WHERE id = ?", (DONE,)).fetchall()
        document = msgspec.json.decode(doc)
        changed = msgspec.json.encode(document | {"attempts": 7, "status": "failed"})
        database.execute("UPDATE jobs SET doc = ? WHERE id = ?", (changed, DONE))
        database.execute("DELETE FROM jobs WHERE id = ?", (GONE,))
        added = msgspec.json.encode(document | {"id": "x", "created_pos": 99})
        database.execute(
            "INSERT INTO jobs SELECT 99, 'x', kind, status, rev, priority, created_at, run_at,"
            " next_attempt_at, expires_at, held_at, ? FROM jobs WHERE id = ?",
            (added, DONE),
        )
    result = joblog("replay", "--diff", "--data", root)
    assert result.exit_code == 1
    found = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert [(each["change"], each["job_id"]) for each in found] == [
        ("added", "x"),
        ("removed", GONE),
        ("changed", DONE),
    ]
    assert found[2]["fields"] == {
        "status": {"log": "completed", "table": "failed"},
        "attempts": {"log": 1, "table": 7},
    }
    assert "1 added, 1 removed, 1 changed" in result.stderr


def test_counts_that_are_not_those_of_the_log_are_told_by_state(root: Path) -> None:
    make_table(root)
    with changing(root) as database:
        database.execute("UPDATE counts SET number = 7 WHERE status = 'completed'")
        database.execute("INSERT INTO counts VALUES ('email', 'processing', 1)")
    result = joblog("replay", "--diff", "--data", root)
    assert result.exit_code == 1
    [found] = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert (found["change"], found["job_id"]) == ("changed", "kind-email")
    assert found["fields"] == {
        "processing": {"log": 0, "table": 1},
        "completed": {"log": 1, "table": 7},
    }


def test_differences_for_people(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_table(root)
    with changing(root) as database:
        database.execute("DELETE FROM jobs WHERE id = ?", (OFF,))
    at_a_terminal(monkeypatch)
    assert joblog("replay", "--diff", "--data", root).stdout == f"removed {OFF}\n"


def test_without_a_table_it_says_so(root: Path) -> None:
    assert "jobs.sqlite is not there" in refused(1, "replay", "--diff", "--data", root)
    assert not (root / "jobs.sqlite").exists()


def test_a_table_that_is_none_is_said(root: Path) -> None:
    (root / "jobs.sqlite").write_bytes(b"rubbish" * 1000)
    assert "cannot be read" in refused(1, "replay", "--diff", "--data", root)


def test_a_table_of_another_log_or_fold_is_not_compared(root: Path) -> None:
    make_table(root)
    with changing(root) as database:
        database.execute("UPDATE state SET fold = 99")
    assert "made by another joblog" in refused(1, "replay", "--diff", "--data", root)
    with changing(root) as database:
        database.execute("UPDATE state SET log_id = 'x'")
    assert "belongs to log x" in refused(1, "replay", "--diff", "--data", root)


def test_a_table_that_has_seen_more_than_the_log_is_damage(root: Path) -> None:
    make_table(root, checkpoint=END + 5)
    assert "acknowledged events are gone" in refused(3, "replay", "--diff", "--data", root)


def test_diff_leaves_no_trace(root: Path) -> None:
    make_table(root)
    before = files_of(root)
    succeed("replay", "--diff", "--data", root)
    assert files_of(root) == before


def test_diff_sees_what_a_server_has_not_checkpointed_yet_and_leaves_no_trace(root: Path) -> None:
    make_table(root, end=5)
    with changing(root) as database:  # held open, so the write-ahead log stays
        database.execute("UPDATE state SET checkpoint = 4")
        before = files_of(root)
        result = joblog("replay", "--diff", "--data", root)
        touched = {path for path, was in before.items() if files_of(root)[path] != was}
    assert touched <= {f"{root}/jobs.sqlite-shm"}  # in one process connections share its map
    assert result.exit_code == 1
    assert "at position 4" in result.stderr


def test_diff_takes_no_position_and_no_digest(root: Path) -> None:
    refused(2, "replay", "--diff", "--to", "3", "--data", root)
    refused(2, "replay", "--diff", "--digest", "--data", root)


def test_the_position_has_a_variable_of_its_own(root: Path) -> None:
    env = {"JOBLOG_TO_POS": "3", "JOBLOG_TO": "ada@example.com"}
    assert printed("replay", "--data", root, env=env)[0]["position"] == 3


@pytest.mark.parametrize(
    ("pos", "old", "new", "expected"),
    [
        (2, b'"kind"', b'"kin"', "position 2: JobCreated: Object missing required field `kind`"),
        (2, b'"time":"2026-11-23', b'"time":"2026-11-32', "position 2: JobCreated: time is no"),
        (2, b'"priority":0', b'"priority":"0"', "position 2: JobCreated: Expected `int`"),
        (9, b'"run_at":"', b'"run_at":1,"x":"', "position 9: JobCreated: Expected `str`"),
    ],
)
def test_an_event_that_makes_no_sense_is_damage_and_named(
    root: Path, pos: int, old: bytes, new: bytes, expected: str
) -> None:
    """No disk does that: its checksum holds."""
    alter(root, pos, old, new)
    said = refused(3, "replay", "--digest", "--data", root)
    assert expected in said
    assert "`joblog verify` lists all damage" in said
