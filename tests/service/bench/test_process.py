"""The processes of the bench: how they are told from the user's own joblog, how they end, and what
is said when they do not work. And the floor's server, which is one of them.
"""

from pathlib import Path

import orjson
import pytest

from service.bench.floor import floor
from service.bench.load import request
from service.bench.measured import MeasurementError
from service.bench.process import Server, environment, serving

pytestmark = pytest.mark.real_time


def test_what_the_user_has_set_for_his_own_joblog_decides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JOBLOG_CONCURRENCY", "1")
    monkeypatch.setenv("HOME", "/home/ada")
    found = environment()
    assert "JOBLOG_CONCURRENCY" not in found
    assert found["HOME"] == "/home/ada"


def test_a_server_answers_and_stops_in_good_order(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.ask("GET", "/livez").status == 200
        assert server.resident_bytes > 1024 * 1024
    last = (tmp_path / "log" / "000000000001.jsonl").read_bytes().splitlines()[-1]
    assert orjson.loads(last)["type"] == "LogSealed"


def test_a_refusal_is_told_with_its_words(tmp_path: Path) -> None:
    with serving(tmp_path) as server, pytest.raises(MeasurementError, match=r"404 .*no job"):
        server.ask("GET", "/jobs/01a20ac5-c1eb-7c41-9d2e-5b6a1f0c9e77")


def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"does not start: (?s:.*)No such option"):
        Server("service", "serve", "--fly")


def test_the_floor_validates_stores_nothing_and_answers_as_long_as_it_is_told() -> None:
    with floor(post_bytes=123, get_bytes=45) as server:
        posted = server.ask("POST", "/jobs/email", {"to": "ada@example.com", "subject": "Hello"})
        found = server.ask("GET", "/jobs/x")
        with pytest.raises(MeasurementError, match="500"):
            server.ask("POST", "/jobs/email", {"to": "nobody", "subject": "Hello"})
    assert (posted.status, len(posted.body), len(found.body)) == (202, 123, 45)
    assert isinstance(posted.json, str)


def test_a_request_is_the_bytes_that_a_client_would_send() -> None:
    with floor() as server:
        host, port = server.address
        sent = request(server, "POST", "/jobs/email", b"{}")
    assert (
        sent
        == (
            f"POST /jobs/email HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        ).encode()
    )
