"""Logs of many jobs are as a server would have left them: a server reads them, and `verify` finds
nothing.
"""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from service.bench.history import RARE, write_finished, write_pending
from service.bench.written import written
from tests.service.cli.runner import succeed

JOBS = 50


@pytest.mark.real_time
def test_finished_jobs_have_the_events_of_a_life_without_a_fault(tmp_path: Path) -> None:
    steps: list[int] = []
    asyncio.run(write_finished(tmp_path, JOBS, steps.append))
    events = list(written(tmp_path).events())
    counts = Counter(event["type"] for event in events)
    own = {"LogOpened": 1, "WriterStarted": 1, "LogSealed": 1}
    assert counts == {"JobCreated": JOBS, "AttemptStarted": JOBS, "JobCompleted": JOBS} | own
    assert sum(RARE in str(event.get("private")) for event in events) == 1
    assert sum(steps) == JOBS
    assert '"completed":50' in succeed("replay", "--data", tmp_path)
    succeed("verify", "--data", tmp_path)


@pytest.mark.real_time
def test_pending_jobs_are_only_created(tmp_path: Path) -> None:
    asyncio.run(write_pending(tmp_path, JOBS, lambda _: None))
    counts = Counter(event["type"] for event in written(tmp_path).events())
    assert counts["JobCreated"] == JOBS
    assert sum(counts.values()) == JOBS + 3
