"""SIGTERM on a real server: who waits is answered, and who does not listen is left behind."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

from tests.support.server import Answer, Server, serving

PROCESSORS = """
import asyncio, time
from service import processor

@processor("deaf")
async def deaf(payload: dict, attempt) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

@processor("stuck")
async def stuck(payload: dict, attempt) -> None:
    await asyncio.to_thread(time.sleep, 600)
"""


class Asking(threading.Thread):
    """One request, held by the server."""

    def __init__(self, server: Server, *request: Any) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._request = request
        self.answer: Answer | None = None
        self.start()

    def run(self) -> None:
        self.answer = self._server.ask(*self._request)


def stop_when(server: Server, job_ids: list[str], status: str) -> int:
    """SIGTERM once these jobs are there and so; the exit code."""
    for job_id in job_ids:
        held = {"If-None-Match": '"1"', "Prefer": "wait=30"}
        job = server.ask("GET", f"/jobs/{job_id}", headers=held).json
        assert job["status"] == status
    os.kill(server.pid, signal.SIGTERM)
    return server.wait()


def test_who_waits_for_a_job_is_answered_when_the_server_stops(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--email-latency", "60", "--drain", "0") as server:
        job_id = server.post_email().json["id"]
        mail = {"to": "ada@example.com", "subject": "Hello"}
        wait = {"Prefer": "wait=30"}
        path = "/jobs/email?delay=600"
        posting = Asking(server, "POST", path, mail, wait)
        getting = Asking(server, "GET", f"/jobs/{job_id}", None, wait)
        while len(server.ask("GET", "/jobs").json["jobs"]) < 2:
            pass
        assert stop_when(server, [job_id], "processing") == 0
        posting.join(30)
        getting.join(30)
    assert posting.answer is not None
    assert posting.answer.status == 202
    assert posting.answer.headers["location"].startswith("/jobs/")
    assert getting.answer is not None
    assert (getting.answer.status, getting.answer.json["status"]) == (200, "processing")
    assert not any("Traceback" in line for line in server.lines)


def test_a_processor_that_will_not_stop_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "my_kinds.py").write_text(PROCESSORS)
    flags = ("--processors", "my_kinds", "--drain", "0")
    with serving(tmp_path / "data", *flags, env={"PYTHONPATH": str(tmp_path)}) as server:
        ids = [server.ask("POST", f"/jobs/{kind}", {}).json["id"] for kind in ("deaf", "stuck")]
        assert stop_when(server, ids, "processing") == 0
    assert "abandoned" in server.lines[-1]
    with serving(tmp_path / "data", "--no-worker") as server:
        ended = {"If-None-Match": '"2"', "Prefer": "wait=30"}
        jobs = [server.ask("GET", f"/jobs/{job_id}", headers=ended).json for job_id in ids]
    assert [job["attempt_log"][0]["outcome"] for job in jobs] == ["worker_lost", "released"]
