"""What a `kill -9` may cost: nothing that was acknowledged, and no job its one end.

A server is killed again and again, at moments that the dice choose, while clients post and remember
what they were told. The oracle is outside: the list of acknowledged ids. The power cut, which takes
the page cache too, is the crash points' matter (`tests/eventstore/test_crash_points.py`); this is
the real process on the real system.
"""

import http.client
import threading
from pathlib import Path
from random import Random

from tests.support.server import Server, serving

FAST = ("--email-latency", "0.002", "--email-failure-rate", "0.3", "--backoff-base", "0.05")
ENDS = {"JobCompleted", "JobFailed", "JobCancelled"}


class Client(threading.Thread):
    """Posts until the connection breaks; keeps the ids it was promised."""

    def __init__(self, server: Server, number: int, told: threading.Semaphore) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._number = number
        self._told = told
        self.promised: list[str] = []

    def run(self) -> None:
        while True:
            try:
                answer = self._server.post_email(f"user{self._number}@example.com")
            except (OSError, http.client.HTTPException):
                return
            assert answer.status == 202, answer
            self.promised.append(answer.json["id"])
            self._told.release()


def post_until_killed(server: Server, dice: Random) -> list[str]:
    """Four clients post; the server dies once they were promised so many jobs as the dice say."""
    told = threading.Semaphore(0)
    clients = [Client(server, number, told) for number in range(4)]
    for client in clients:
        client.start()
    for _ in range(dice.randrange(1, 60)):
        assert told.acquire(timeout=30)
    server.kill()
    for client in clients:
        client.join(30)
    return [job_id for client in clients for job_id in client.promised]


def test_every_acknowledged_job_survives_and_ends_exactly_once(tmp_path: Path) -> None:
    dice = Random(2026)
    promised: list[str] = []
    for _ in range(8):
        with serving(tmp_path / "data", *FAST) as server:
            promised += post_until_killed(server, dice)
    with serving(tmp_path / "data", *FAST) as server:
        for job_id in promised:
            assert server.finished(job_id)["status"] in {"completed", "failed"}
            types = [event["type"] for event in server.history(job_id)]
            assert types[0] == "JobCreated"
            assert [type_ for type_ in types if type_ in ENDS] == [types[-1]]
        assert server.terminate() == 0
    assert len(promised) > 100


def test_a_kill_the_moment_the_202_arrives_loses_nothing(tmp_path: Path) -> None:
    promised: list[str] = []
    for _ in range(5):
        with serving(tmp_path / "data", "--no-worker") as server:
            promised.append(server.post_email().json["id"])
            server.kill()
    with serving(tmp_path / "data", "--no-worker") as server:
        for job_id in promised:
            assert server.ask("GET", f"/jobs/{job_id}").json["status"] == "pending"


def test_an_attempt_cut_short_is_worker_lost_and_costs_no_attempt(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--email-latency", "60") as server:
        job_id = server.post_email().json["id"]
        pending = {"If-None-Match": '"1"', "Prefer": "wait=30"}
        assert server.ask("GET", f"/jobs/{job_id}", headers=pending).json["status"] == "processing"
        server.kill()
    flags = ("--email-latency", "0", "--email-failure-rate", "0", "--backoff-base", "0.01")
    with serving(tmp_path / "data", *flags) as server:
        job = server.finished(job_id)
        history = [(event["type"], event["data"].get("reason")) for event in server.history(job_id)]
    assert history == [
        ("JobCreated", None),
        ("AttemptStarted", None),
        ("AttemptFailed", "worker_lost"),
        ("AttemptStarted", None),
        ("JobCompleted", None),
    ]
    assert (job["attempts"], job["crashes"]) == (1, 1)
