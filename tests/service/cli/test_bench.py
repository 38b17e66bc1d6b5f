"""`joblog bench`: every row once, in small, over real processes; and what is printed of it.

Durations are shortened; what is looked at is what is told, not how much it is.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.bench.ground import Ground
from service.bench.measured import Measured, MeasurementError
from service.bench.plan import Plan
from service.bench.run import MEASURES
from service.bench.table import ROWS, Form
from tests.service.cli.runner import joblog, refused, succeed

JOBS = 200
TINY = partial(
    Plan,
    drained_jobs=300,
    batches=1,
    batch_items=200,
    few_jobs=100,
    slices=1,
    warm_s=0.1,
    slice_s=0.1,
    latency_s=0.1,
    blocked_s=0.3,
    list_s=0.05,
    delayed_jobs=5,
    starts=1,
    syncs=10,
    repeats=1,
)
GROUPS = (  # for several workers, each about as long
    ("intake", "get", "latency"),
    ("batch", "drain", "replay", "pickup"),
    ("memory", "start", "lists", "loop"),
    ("pending", "pending-start", "pending-memory"),
)
MORE = {
    "intake": {"p50_ms", "p99_ms", "commits_per_s", "bytes_per_job"},
    "batch": {"commits_per_s", "bytes_per_job"},
    "drain": {"commits_per_s", "bytes_per_job"},
    "get": {"p50_ms", "p99_ms"},
    "latency": {"p50_ms", "sync_ms", "request_ms", "requests_per_s"},
    "pickup": {"p50_ms"},
    "loop": {"p999_ms", "posts_per_s", "lists_per_s"},
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a run takes a moment."""
    monkeypatch.setattr("service.cli.bench.Plan", TINY)


def planted(monkeypatch: pytest.MonkeyPatch, name: str, found: Measured | Exception) -> None:
    """What a row is to find out."""

    def measure(ground: Ground) -> Measured:
        ground.folder("something")
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setitem(MEASURES, name, measure)


@pytest.mark.real_time
@pytest.mark.parametrize("rows", GROUPS, ids=",".join)
def test_every_row_is_measured_and_told_in_one_document(
    tiny: None, tmp_path: Path, rows: tuple[str, ...]
) -> None:
    wanted = [word for row in rows for word in ("--only", row)]
    result = joblog("bench", "--json", "--jobs", JOBS, "--data", tmp_path, *wanted)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert [row["name"] for row in document["rows"]] == list(rows)
    for row in document["rows"]:
        told_as_the_table_has_it(row)
    assert document["jobs"] == JOBS
    assert {"cpu", "cores", "sync_p50_ms", "sync_p99_ms"} < set(document["machine"])
    assert {"joblog", "python", "sqlite", "uvicorn"} <= set(document["machine"]["versions"])
    assert list(tmp_path.iterdir()) == []


def test_no_row_is_left_out() -> None:
    assert {row for rows in GROUPS for row in rows} == set(ROWS)


def told_as_the_table_has_it(told: dict[str, Any]) -> None:
    row = ROWS[told["name"]]
    unit = row.unit.replace("/", "_per_").replace("µ", "u").lower()
    assert told[f"measured_{unit}"] != 0
    assert (f"floor_{unit}" in told) is (row.form is not Form.ITSELF)
    [target] = [value for name, value in told.items() if name.startswith("target_")]
    assert target == row.target
    assert isinstance(told["holds"], bool)
    assert MORE.get(row.name, set()) <= set(told)


def test_a_target_that_is_missed_is_marked_and_is_no_failure(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, "intake", Measured(1, 1000))
    planted(monkeypatch, "pickup", Measured(1))
    told = succeed("bench", "--only", "intake", "--only", "pickup", "--data", tmp_path)
    [intake] = [line for line in told.splitlines() if line.startswith("intake")]
    [pickup] = [line for line in told.splitlines() if line.startswith("pickup")]
    assert "MISSED" in intake
    assert "MISSED" not in pickup


def test_only_the_named_rows_are_measured_in_the_order_of_the_table(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, "intake", Measured(1, 1))
    planted(monkeypatch, "pickup", Measured(1))
    wanted = ("--only", "pickup", "--only", "intake")
    document = json.loads(succeed("bench", "--json", *wanted, "--data", tmp_path))
    assert [row["name"] for row in document["rows"]] == ["intake", "pickup"]


def test_what_cannot_be_measured_is_a_failure_and_leaves_nothing_behind(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, "pickup", MeasurementError("a server ended with 3"))
    said = refused(1, "bench", "--only", "pickup", "--data", tmp_path)
    assert said == "Error: this could not be measured: a server ended with 3"
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_row_is_refused() -> None:
    assert "'swim'" in refused(2, "bench", "--only", "swim")


@pytest.mark.parametrize(("jobs", "code"), [(99, 2), (100, 0), (101, 0)])
def test_fewer_than_a_hundred_jobs_are_refused(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int, code: int
) -> None:
    planted(monkeypatch, "pickup", Measured(1))
    result = joblog("bench", "--only", "pickup", "--jobs", jobs, "--data", tmp_path)
    assert result.exit_code == code


def test_data_in_memory_is_warned_of(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, "pickup", Measured(1))
    monkeypatch.setattr("service.bench.machine.SystemDisk.filesystem", lambda *_: "tmpfs")
    told = succeed("bench", "--only", "pickup", "--data", tmp_path)
    assert "warning: the data was on a tmpfs" in told
