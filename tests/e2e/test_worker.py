"""`joblog worker --url`: a worker in a process of its own, over HTTP, with real signals.

How it talks to the server is tested on virtual time (`tests/service/test_remote.py`); here are the
process, its options, its signals and its end.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.service.cli.runner import refused
from tests.support.server import ROOT, Server, serving

KINDS = """
import asyncio, time
from service import processor

@processor("quick")
async def quick(payload: dict, attempt) -> dict:
    return {"attempt": attempt.number}

@processor("blocking")
def blocking(payload: dict, attempt) -> str:
    time.sleep(0.05)
    return "done in a thread"

@processor("deaf")
async def deaf(payload: dict, attempt) -> None:
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

@processor("endless")
async def endless(payload: dict, attempt) -> None:
    await asyncio.sleep(600)
"""
OWN = ("quick", "blocking", "endless", "deaf")
WAIT = {"Prefer": "wait=30"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    flags = [flag for kind in OWN for flag in ("--remote-kind", kind)]
    fast = ("--lease", "1", "--backoff-base", "0.01")
    with serving(tmp_path / "data", "--no-worker", *flags, *fast) as started:
        yield started


@contextmanager
def worker(server: Server, folder: Path, *flags: str) -> Iterator["subprocess.Popen[str]"]:
    """A worker that has said it works."""
    (folder / "my_kinds.py").write_text(KINDS)
    command = [sys.executable, "-m", "service", "worker", "--url", server.url, *flags]
    process = subprocess.Popen(
        [*command, "--processors", "my_kinds"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert "working for" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def post(server: Server, kind: str) -> str:
    return str(server.ask("POST", f"/jobs/{kind}", {}).json["id"])


def started(server: Server, job_id: str) -> None:
    """Returns once an attempt runs."""
    assert moved(server, job_id, 1)["status"] == "processing"


def moved(server: Server, job_id: str, rev: int) -> Any:
    """The job once it is past revision `rev`; renewals of its lease move it too."""
    held = {"If-None-Match": f'"{rev}"', **WAIT}
    return server.ask("GET", f"/jobs/{job_id}", headers=held).json


def test_it_runs_its_own_kinds_and_no_built_in_one(server: Server, tmp_path: Path) -> None:
    mail = server.post_email().json["id"]
    with worker(server, tmp_path) as process:
        quick = server.ask("POST", "/jobs/quick", {}, WAIT).json
        blocking = server.ask("POST", "/jobs/blocking", {}, WAIT).json
        process.terminate()
        assert process.wait(30) == 0
    assert (quick["status"], quick["result"]) == ("completed", {"attempt": 1})
    assert (blocking["status"], blocking["result"]) == ("completed", "done in a thread")
    assert str(process.pid) in quick["attempt_log"][0]["worker"]
    assert server.ask("GET", f"/jobs/{mail}").json["status"] == "pending"


def test_a_kind_that_is_named_is_the_only_one(server: Server, tmp_path: Path) -> None:
    quick = post(server, "quick")
    with worker(server, tmp_path, "--kind", "email"):
        mail = server.ask("POST", "/jobs/email", {"to": "a@example.com", "subject": "x"}, WAIT)
    assert mail.json["status"] == "completed"
    assert server.ask("GET", f"/jobs/{quick}").json["status"] == "pending"


def test_sigterm_gives_back_what_runs_uncounted(server: Server, tmp_path: Path) -> None:
    job_id = post(server, "endless")
    with worker(server, tmp_path, "--drain", "0") as process:
        started(server, job_id)
        process.terminate()
        assert process.wait(30) == 0
    job = server.ask("GET", f"/jobs/{job_id}").json
    assert (job["status"], job["attempts"]) == ("pending", 0)
    assert job["attempt_log"][0]["outcome"] == "released"


def test_a_processor_that_will_not_stop_is_left_behind(server: Server, tmp_path: Path) -> None:
    job_id = post(server, "deaf")
    with worker(server, tmp_path, "--drain", "0") as process:
        started(server, job_id)
        process.terminate()
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(30) == 0
    assert "abandoned" in said


def test_killed_its_lease_ends_and_the_next_worker_takes_over(
    server: Server, tmp_path: Path
) -> None:
    job_id = post(server, "endless")
    with worker(server, tmp_path) as process:
        started(server, job_id)
        job = moved(server, job_id, 2)  # renewed: it has its claim, which was not lost on the way
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
        while job["status"] == "processing":
            job = moved(server, job_id, job["rev"])
    assert (job["attempts"], job["crashes"]) == (0, 1)
    assert job["attempt_log"][0]["outcome"] == "lease_expired"


def test_a_cancellation_reaches_it(server: Server, tmp_path: Path) -> None:
    job_id = post(server, "endless")
    with worker(server, tmp_path):
        started(server, job_id)
        assert server.ask("POST", f"/jobs/{job_id}/cancel").status == 202
        assert server.finished(job_id)["status"] == "cancelled"


def test_a_server_that_refuses_it_ends_it_with_its_words(tmp_path: Path) -> None:
    tokens = {"JOBLOG_TOKENS": f"reader sha256:{'0' * 64} jobs:read"}
    with serving(tmp_path / "data", env=tokens) as guarded:
        with worker(guarded, tmp_path, "--token", "jl_wrong") as process:
            assert process.stderr is not None
            said = process.stderr.read()
        assert process.wait(30) == 1
    assert "the server answered 401" in said
    assert "Traceback" not in said


def test_without_any_kind_it_says_so() -> None:
    assert "which kinds?" in refused(2, "worker", "--url", "http://127.0.0.1:9")


def test_a_kind_that_has_no_processor_here_is_named() -> None:
    said = refused(2, "worker", "--url", "http://127.0.0.1:9", "--kind", "video")
    assert "no processor for video here" in said


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://[::1"])
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    assert "is no address of a server" in refused(2, "worker", "--url", url, "--kind", "email")
