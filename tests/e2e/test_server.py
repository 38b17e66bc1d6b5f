"""One process against the world: a second process, a full disk, a stop, lost caches, a flipped bit.

Each starts a real server on a real directory. What the HTTP answers look like in detail is tested
in `tests/service/web`, in process.
"""

import resource
from pathlib import Path

import pytest

from tests.support.server import Server, ServerDidNotStartError, serving

CERTAIN = ("--email-latency", "0", "--email-failure-rate", "0")


def test_a_second_server_on_one_directory_says_who_holds_it_and_exits_1(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as first, pytest.raises(ServerDidNotStartError) as refused:
        Server(tmp_path / "data")
    assert refused.value.code == 1
    assert f"process {first.pid}" in refused.value.lines[-1]
    assert first.url in refused.value.lines[-1]


def test_deleting_both_caches_loses_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "data", *CERTAIN) as server:
        ids = [server.post_email().json["id"] for _ in range(20)]
        before = [server.finished(job_id) for job_id in ids]
        assert server.terminate() == 0
    for cache in (tmp_path / "data").glob("*.sqlite*"):
        cache.unlink()
    with serving(tmp_path / "data", *CERTAIN) as server:
        assert [server.ask("GET", f"/jobs/{job_id}").json for job_id in ids] == before
        assert len(server.history(ids[0])) == 3


def test_a_flipped_bit_stops_the_start_with_the_place(tmp_path: Path) -> None:
    with serving(tmp_path / "data", *CERTAIN) as server:
        server.finished(server.post_email().json["id"])
        server.terminate()
    segment = tmp_path / "data/log/000000000001.jsonl"
    lines = segment.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b"Hello", b"Hellp")
    segment.write_bytes(b"\n".join(lines))
    with pytest.raises(ServerDidNotStartError) as refused:
        Server(tmp_path / "data")
    assert refused.value.code == 3
    byte = len(lines[0]) + len(lines[1]) + 2
    assert f"{segment}, line 3, byte {byte}" in refused.value.lines[-1]
    assert "joblog verify" in refused.value.lines[-1]


def test_a_stop_gives_running_attempts_back_uncounted(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--email-latency", "60", "--drain", "0") as server:
        job_id = server.post_email().json["id"]
        server.ask("GET", f"/jobs/{job_id}", headers={"If-None-Match": '"1"', "Prefer": "wait=30"})
        assert server.terminate() == 0
    with serving(tmp_path / "data", *CERTAIN) as server:
        job = server.finished(job_id)
        failed = [event for event in server.history(job_id) if event["type"] == "AttemptFailed"]
    assert (job["status"], job["attempts"], job["crashes"]) == ("completed", 1, 0)
    assert [event["data"]["reason"] for event in failed] == ["released"]


def test_a_full_disk_closes_intake_loses_nothing_and_opens_again(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--no-worker") as server:
        acknowledged = [server.post_email().json["id"]]
        segment = tmp_path / "data/log/000000000001.jsonl"
        full = segment.stat().st_size + 2000
        unlimited = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (full, unlimited[1]))
        while (answer := server.post_email()).status == 202:
            acknowledged.append(answer.json["id"])
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["content-type"] == "application/problem+json"
        assert server.ask("GET", f"/jobs/{acknowledged[0]}").status == 200
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
        while (answer := server.post_email()).status == 503:
            pass
        assert answer.status == 202
        acknowledged.append(answer.json["id"])
        server.kill()
    with serving(tmp_path / "data", "--no-worker") as server:
        for job_id in acknowledged:
            assert server.ask("GET", f"/jobs/{job_id}").status == 200
