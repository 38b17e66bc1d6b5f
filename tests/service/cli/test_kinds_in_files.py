"""Logs with decisions about kinds, and with jobs held, expired or asked to stop: what commands that
read files make of them.

They are sound to `verify`, told in words by `tail`, and computed anew by `replay`; a fault planted
in what the server computed is found.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from eventstore.event import NewEvent
from projections.kind import Kind
from projections.table import JobTable
from service.cli.files import LogFiles, replayed
from service.cli.words import words
from tests.service.cli.logs import DONE, GONE, OFF, WAITING, alter, forget, write_log
from tests.service.cli.runner import joblog, printed, refused, succeed
from tests.support.build import (
    HELD,
    at,
    attempt_failed,
    attempt_started,
    cancel_requested,
    job_cancelled,
    job_created,
    job_failed,
    job_held,
    kind_limited,
    kind_paused,
    kind_resumed,
    record,
)

ADA = {"actor": "local:ada"}
STORY: list[tuple[str, list[NewEvent]]] = [
    ("kind-email", [kind_limited(0, concurrency=3, rate=(5, 60), meta=ADA)]),
    (DONE, [job_created(0, expires_at=at(3600), facts={"message_id": "<1@x>"})]),
    (DONE, [attempt_started(1)]),
    (DONE, [cancel_requested(2, reason="ordered twice")]),
    (DONE, [attempt_failed(3, reason="cancelled", accepted=[0]), job_cancelled(3)]),
    (GONE, [HELD[0]]),
    (GONE, [HELD[1]]),
    (GONE, [attempt_failed(20, reason="unknown", facts={"phase": "data"}), job_held(20)]),
    ("kind-email", [kind_paused(21, cause="config", reason="535 refused")]),
    (OFF, [job_created(22, expires_at=at(30))]),
    (OFF, [job_failed(30, attempt=0, reason="expired")]),
    ("kind-email", [kind_resumed(31, reason="new password", meta=ADA)]),
    ("kind-report", [kind_paused(32, meta=ADA)]),
    (WAITING, [job_created(33, run_at=at(7200))]),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_log(tmp_path / "data", STORY)
    return tmp_path / "data"


def make_table(root: Path) -> None:
    """The `jobs.sqlite` that a server would have left."""
    log = LogFiles(str(root))
    path = f"{root}/jobs.sqlite"
    with replayed(log) as ours, closing(JobTable(path, log_id=log.log_id)) as table:
        for job in ours.jobs():
            table.put(job)
        for kind in ours.kinds():
            table.put_kind(kind)
        table.begin_flush()
        table.flush(log.end)


def test_such_a_log_is_sound(root: Path) -> None:
    assert "no damage" in joblog("verify", "--data", root).stderr


def test_what_was_replayed_is_what_the_server_had(root: Path) -> None:
    make_table(root)
    assert "no differences" in joblog("replay", "--diff", "--data", root).stderr
    table = JobTable(str(root / "jobs.sqlite"), log_id=(root / "log-id").read_text().strip())
    digest, kinds = table.digest(), list(table.kinds())
    table.close()
    assert succeed("replay", "--digest", "--data", root).strip() == digest
    assert [(kind.name, kind.pause is None) for kind in kinds] == [
        ("email", True), ("report", False),
    ]  # fmt: skip
    assert kinds[0].next_start_at == at(1 + 12 + 12), "the pace of starts is computed anew, too"


def test_a_rule_that_the_server_has_and_the_log_has_not_is_a_difference(root: Path) -> None:
    make_table(root)
    with closing(sqlite3.connect(root / "jobs.sqlite", isolation_level=None)) as database:
        [(doc,)] = database.execute("SELECT doc FROM kinds WHERE name = 'email'").fetchall()
        changed = msgspec.structs.replace(msgspec.json.decode(doc, type=Kind), concurrency=9)
        rows = [("email", msgspec.json.encode(changed)), ("other", msgspec.json.encode(Kind("o")))]
        database.executemany("INSERT OR REPLACE INTO kinds VALUES (?, ?)", rows)
        database.execute("DELETE FROM kinds WHERE name = 'report'")
    result = joblog("replay", "--diff", "--data", root)
    assert result.exit_code == 1
    found = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert [(each["change"], each["job_id"]) for each in found] == [
        ("added", "kind-o"), ("removed", "kind-report"), ("changed", "kind-email"),
    ]  # fmt: skip
    assert found[2]["fields"] == {"concurrency": {"log": 3, "table": 9}}


@pytest.mark.parametrize(
    ("pos", "old", "new", "expected"),
    [
        (2, b'"concurrency":3', b'"concurrency":"three"', "KindLimited: Expected `int | null`"),
        (5, b"CancelRequested", b"JobHeld", "JobHeld"),
        (6, b'"retry_at":null', b'"retry_at":"2026-11-23T13:00:00.000000Z"', "cancellation"),
        (10, b'"reason":"unknown"', b'"reason":"timeout"', "JobHeld without an attempt in doubt"),
        (12, b'"cause":"config"', b'"cause":"weather"', "KindPaused: Invalid enum value"),
        (14, b'"reason":"expired"', b'"reason":"crashes"', "JobFailed (crashes) without a last"),
    ],
)
def test_planted_damage_is_found(
    root: Path, pos: int, old: bytes, new: bytes, expected: str
) -> None:
    alter(root, pos, old, new)
    forget(root)
    result = joblog("verify", "--data", root)
    assert result.exit_code == 3
    assert expected in result.stdout


def test_damage_is_damage_to_replay_too(root: Path) -> None:
    alter(root, 5, b"CancelRequested", b"JobHeld")
    forget(root)
    assert "JobHeld cannot follow" in refused(3, "replay", "--data", root)


def test_the_job_as_it_was_then_is_asked_to_stop(root: Path) -> None:
    [job] = printed("show", DONE, "--as-of", 5, "--data", root, "--json")
    assert (job["status"], job["cancel_requested_at"]) == ("processing", at(2))
    [job] = printed("show", GONE, "--data", root, "--json")
    assert (job["status"], job["held_at"]) == ("pending", at(20))


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (cancel_requested(1, reason="ordered twice"), "ordered twice"),
        (cancel_requested(1), ""),
        (job_held(1), "until somebody retries or cancels it"),
        (job_failed(1, reason="expired"), "expired"),
        (kind_paused(1, meta=ADA), "operator [local:ada]"),
        (kind_paused(1, cause="config", reason="535 refused"), "config: 535 refused"),
        (kind_resumed(1), ""),
        (kind_resumed(1, reason="it is back"), "it is back"),
        (kind_limited(1), "any number at a time"),
        (kind_limited(1, concurrency=3), "3 at a time"),
        (kind_limited(1, rate=(100, 60.0)), "any number at a time, 100 in 60 s"),
        (NewEvent("KindLimited", at(1), {"concurrency": 1}), '{"concurrency":1}'),
        (NewEvent("KindPaused", at(1), {}), "{}"),
    ],
)
def test_an_event_is_told_in_words(new: NewEvent, told: str) -> None:
    [event] = record(new)
    assert words(event) == told
