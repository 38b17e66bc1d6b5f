"""A worker in another language: the one that the README hands out, run by a real Node against a
real server.

`worker.mjs` is what users copy; `thumbnails.mjs` is written with it as they would, with work that
does what its payload says. Nothing sleeps here: attempts are seen to begin by the line that the
worker prints, and the rest is waited for by the server. A claim is lost a lease and five seconds
after its worker's last word, so the test of that takes as long.
"""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.test_readme import needs
from tests.support.server import Server, serving

FLAGS = "--no-worker", "--remote-kind", "thumbnail", "--lease", "1"
LINE_S = 30
WORKER = Path(__file__).with_name("thumbnails.mjs")


class Node:
    """A worker in a process of its own."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            ["node", str(WORKER)],
            env=os.environ | {"JOBLOG_URL": url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.name = f"node-{self._process.pid}"

    def line(self) -> str:
        """The next line that it prints; empty when it ends instead, or has nothing to say."""
        assert self._process.stdout is not None
        patience = threading.Timer(LINE_S, self._process.kill)
        patience.start()
        try:
            return self._process.stdout.readline().rstrip("\n")
        finally:
            patience.cancel()

    def begun(self) -> Any:
        """The attempt that it begins next."""
        return json.loads(self.line())

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        self._process.send_signal(number)

    def ended(self) -> tuple[int, str, str]:
        """Once it ended: exit code, and what it printed since."""
        out, err = self._process.communicate(timeout=30)
        return self._process.returncode, out, err

    def destroy(self) -> None:
        """It is gone afterwards."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


@contextmanager
def node(server: Server) -> Iterator[Node]:
    """A worker for the length of a `with`."""
    needs("node")
    worker = Node(server.url)
    try:
        yield worker
    finally:
        worker.destroy()


def post(server: Server, payload: dict[str, Any], query: str = "") -> str:
    answer = server.ask("POST", f"/jobs/thumbnail{query}", payload)
    assert answer.status == 202, answer.body
    return str(answer.json["id"])


def moved(server: Server, job_id: str, rev: int) -> Any:
    """The job once it is beyond this revision."""
    headers = {"If-None-Match": f'"{rev}"', "Prefer": "wait=30"}
    answer = server.ask("GET", f"/jobs/{job_id}", headers=headers)
    assert answer.status == 200, answer
    return answer.json


def types(server: Server, job_id: str) -> list[str]:
    return [event["type"] for event in server.history(job_id)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "data", *FLAGS) as running:
        yield running


def test_it_completes_jobs_one_after_the_other(server: Server) -> None:
    ids = [post(server, {"width": width}) for width in (16, 32, 64)]
    with node(server) as worker:
        jobs = [server.finished(each) for each in ids]
    assert [job["status"] for job in jobs] == ["completed"] * 3
    assert [job["result"]["bytes"] for job in jobs] == [256, 1024, 4096]
    assert {job["attempt_log"][0]["worker"] for job in jobs} == {worker.name}


def test_a_job_that_comes_while_it_waits_is_taken_at_once(server: Server) -> None:
    with node(server) as worker:
        first = post(server, {"width": 1})
        server.finished(first)
        second = post(server, {"width": 1})
        assert server.finished(second, within_s=10)["status"] == "completed"
        assert [worker.begun()["job"], worker.begun()["job"]] == [first, second]


def test_what_it_throws_is_recorded_and_the_job_is_tried_again(server: Server) -> None:
    job_id = post(server, {"width": 2, "fails": 1, "error": {"retryAfter": 0.01}})
    with node(server):
        job = server.finished(job_id)
    assert (job["status"], job["attempts"], job["result"]["bytes"]) == ("completed", 2, 4)
    error = job["attempt_log"][0]["error"]
    assert (error["reason"], error["class"]) == ("error", "RangeError")
    assert error["message"] == "attempt 1"
    assert "thumbnails.mjs" in error["traceback"]


def test_a_permanent_failure_ends_the_job(server: Server) -> None:
    job_id = post(server, {"fails": 9, "error": {"permanent": True}})
    with node(server):
        job = server.finished(job_id)
    assert (job["status"], job["attempts"]) == ("failed", 1)


def test_what_takes_too_long_is_stopped_and_fails(server: Server) -> None:
    job_id = post(server, {"hangs": 9}, "?timeout=0.2&max_attempts=1")
    with node(server) as worker:
        job = server.finished(job_id)
        worker.begun()
        assert worker.line() == "stopped: timeout"
    assert (job["status"], job["last_error"]["class"]) == ("failed", "TimeoutError")


def test_a_result_that_is_refused_fails_the_job_and_not_the_worker(server: Server) -> None:
    job_id = post(server, {"result_bytes": 100_000})
    with node(server):
        job = server.finished(job_id)
        assert (job["status"], job["attempts"]) == ("failed", 1)
        assert "complete: " in job["last_error"]["message"]
        assert server.finished(post(server, {"width": 1}))["status"] == "completed"


def test_a_long_attempt_keeps_its_lease_and_hears_of_its_cancellation(server: Server) -> None:
    job_id = post(server, {"hangs": 1})
    with node(server) as worker:
        worker.begun()
        for rev in range(2, 7):  # over the lease's end, and beyond
            assert moved(server, job_id, rev)["status"] == "processing"
        assert types(server, job_id)[2:7] == ["LeaseRenewed"] * 5
        assert server.ask("POST", f"/jobs/{job_id}/cancel").status == 202
        assert worker.line() == "stopped: cancelled"
        job = server.finished(job_id)
    assert job["status"] == "cancelled"
    assert types(server, job_id)[-2:] == ["AttemptFailed", "JobCancelled"]


def test_killed_in_mid_attempt_its_claim_is_lost_and_another_takes_over(server: Server) -> None:
    job_id = post(server, {"width": 3, "hangs": 1})
    with node(server) as killed:
        lost = killed.begun()
        killed.send(signal.SIGKILL)
        killed.ended()
    with node(server) as other:
        job = server.finished(job_id)
        assert other.begun()["attempt"] == 2
    assert (job["status"], job["crashes"], job["attempts"]) == ("completed", 1, 1)
    assert job["attempt_log"][0]["outcome"] == "lease_expired"
    late = server.ask("POST", f"/claims/{job_id}/complete", {"token": lost["token"]})
    assert (late.status, late.json["type"]) == (409, "/problems/fenced")
    assert server.finished(job_id) == job


def test_one_that_slept_over_its_lease_notices_and_keeps_silent(server: Server) -> None:
    job_id = post(server, {"width": 3, "hangs": 1})
    with node(server) as sleeper:
        sleeper.begun()
        sleeper.send(signal.SIGSTOP)
        with node(server):
            job = server.finished(job_id)
        sleeper.send(signal.SIGCONT)
        assert sleeper.line() == "stopped: lost"
        assert server.finished(post(server, {"width": 1}))["status"] == "completed"
    assert server.finished(job_id) == job


def test_told_to_stop_it_gives_its_job_back_uncounted(server: Server) -> None:
    job_id = post(server, {"hangs": 1})
    with node(server) as worker:
        worker.begun()
        worker.send(signal.SIGTERM)
        assert worker.ended() == (0, "stopped: released\nleft\n", "")
    job = server.ask("GET", f"/jobs/{job_id}").json
    assert (job["status"], job["attempts"], job["crashes"]) == ("pending", 0, 0)
    assert job["last_error"]["reason"] == "released"


def test_told_to_stop_while_it_waits_it_leaves_at_once(server: Server) -> None:
    with node(server) as worker:
        server.finished(post(server, {"width": 1}))  # it is up
        worker.begun()
        worker.send(signal.SIGTERM)
        assert worker.ended() == (0, "left\n", "")


def test_it_outlives_a_restart_of_the_server(tmp_path: Path) -> None:
    with serving(tmp_path / "data", *FLAGS) as first, node(first) as worker:
        first.finished(post(first, {"width": 1}))
        first.kill()
        port = str(urlsplit(first.url).port)
        with serving(tmp_path / "data", *FLAGS, "--port", port) as second:
            job = second.finished(post(second, {"width": 2}))
    assert (job["status"], job["attempt_log"][0]["worker"]) == ("completed", worker.name)


def test_a_server_that_refuses_it_ends_it_with_its_words(tmp_path: Path) -> None:
    """Here the server does not know the Host; a wrong token is the same to it."""
    with serving(tmp_path / "data", *FLAGS) as running:
        running.url = running.url.replace("127.0.0.1", "0.0.0.0")
        with node(running) as worker:
            code, out, err = worker.ended()
    assert (code, out) == (1, "")
    assert "/claims: " in err
    assert "wrong-host" in err
