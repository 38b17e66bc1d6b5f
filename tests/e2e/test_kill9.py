"""What a `kill -9` may cost: nothing that was acknowledged, and no attempt of the job that ran.

Two moments with a name, on the real process; those that dice choose, hundreds of them, are the
level `kills`. The power cut, which takes the page cache too, is the crash points' matter
(`tests/eventstore/test_crash_points.py`).
"""

from pathlib import Path

from tests.support.server import serving


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
