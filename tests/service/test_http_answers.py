"""How an answer is written to its connection: in one piece where it can be, and never held back.

The pieces are seen by a transport that notes them. Who does not take them is `test_http`'s matter.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from service.exchange import Exchange
from tests.support.server import Server, serving
from tests.support.service import EMAIL, running_service

HEADER, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"0123456789"


class Transport:
    """Notes what is written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Cycle(SimpleNamespace):
    """What is asked of uvicorn's."""

    def __init__(self, method: str = "GET", length: int = 0, **more: Any) -> None:
        known: dict[str, Any] = {
            "scope": {"method": method},
            "expected_content_length": length,
            "flow": SimpleNamespace(write_paused=False),
            "disconnected": False,
            "keep_alive": True,
            "response_started": False,
            "response_complete": False,
            "waiting_for_100_continue": False,
            "default_headers": [(b"date", b"today")],
            "message_event": SimpleNamespace(set=lambda: None, clear=lambda: None),
            "completed": 0,
        }
        super().__init__(**known | more)

    def on_response(self) -> None:
        self.completed += 1


def exchange(cycle: Cycle) -> tuple[Exchange, Transport]:
    transport = Transport()
    return Exchange(transport, cycle), transport  # type: ignore[arg-type]


def test_a_header_goes_out_with_the_beginning_of_its_body() -> None:
    answer, transport = exchange(Cycle(length=10))
    answer.write(HEADER)
    assert transport.pieces == []
    answer.write(BODY[:4])
    answer.write(BODY[4:])
    assert transport.pieces == [HEADER + BODY[:4], BODY[4:]]


@pytest.mark.parametrize("cycle", [Cycle(length=0), Cycle("HEAD", length=10)])
def test_a_header_after_which_no_body_follows_at_once_waits_for_none(cycle: Cycle) -> None:
    answer, transport = exchange(cycle)
    answer.write(HEADER)
    answer.write(BODY)
    assert transport.pieces == [HEADER, BODY]


def test_a_header_whose_body_never_comes_goes_out_before_the_end() -> None:
    answer, transport = exchange(Cycle(length=10))
    answer.write(HEADER)
    answer.close()
    assert (transport.pieces, transport.closed) == ([HEADER], True)
    assert answer.is_closing()


def test_a_whole_answer_is_one_piece_and_the_end_of_its_request() -> None:
    cycle = Cycle()
    whole, transport = exchange(cycle)
    assert whole.answer(202, b'etag: "1"\r\n', BODY)
    [piece] = transport.pieces
    assert piece == (b'HTTP/1.1 202 Accepted\r\ndate: today\r\netag: "1"\r\n\r\n' + BODY)
    assert (cycle.response_started, cycle.response_complete, cycle.completed) == (True, True, 1)
    assert not transport.closed


def test_the_last_answer_of_a_connection_says_so_and_ends_it() -> None:
    whole, transport = exchange(Cycle(keep_alive=False))
    assert whole.answer(200, b"", BODY)
    [piece] = transport.pieces
    assert piece.endswith(b"\r\nconnection: close\r\n\r\n" + BODY)
    assert transport.closed


@pytest.mark.parametrize(
    "cycle",
    [
        Cycle("HEAD"),
        Cycle(disconnected=True),
        Cycle(flow=SimpleNamespace(write_paused=True)),
    ],
)
def test_what_cannot_go_out_at_once_is_left_to_the_usual_way(cycle: Cycle) -> None:
    whole, transport = exchange(cycle)
    assert not whole.answer(200, b"", BODY)
    assert (transport.pieces, cycle.response_started) == ([], False)


def test_a_body_that_is_here_is_taken_at_once_and_once() -> None:
    whole, _ = exchange(Cycle("POST", body=bytearray(BODY), more_body=False))
    assert whole.is_here
    assert whole.take_body(len(BODY)) == BODY
    assert whole.take_body(len(BODY)) == b""


@pytest.mark.parametrize(
    "cycle",
    [
        Cycle("POST", body=bytearray(BODY), more_body=True),
        Cycle("POST", body=bytearray(BODY + b"!"), more_body=False),
        Cycle("POST", body=bytearray(BODY), more_body=False, disconnected=True),
    ],
)
def test_a_body_that_is_not_here_or_too_long_is_left_to_the_usual_way(cycle: Cycle) -> None:
    whole, _ = exchange(cycle)
    assert whole.take_body(len(BODY)) is None
    assert BODY in cycle.body


@pytest.mark.real_time
def test_a_job_is_the_same_answer_over_a_socket_and_in_process(tmp_path: Any) -> None:
    """But for the moment, and for what a server adds."""
    with serving(tmp_path / "data", "--no-worker") as server:
        _require_alike(server)


@pytest.mark.real_time
def test_a_page_behind_a_proxy_has_the_address_that_was_asked(tmp_path: Any) -> None:
    with serving(tmp_path / "data", "--no-worker") as server:
        said = {"X-Forwarded-Proto": "https"}
        page = server.ask("GET", "/docs", headers=said).body.decode()
        assert f"{_secure(server.url)}/jobs" in page
        assert _secure(server.url) not in server.ask("GET", "/docs").body.decode()


def _secure(url: str) -> str:
    return url.replace("http:", "https:")


def _require_alike(server: Server) -> None:
    posted = server.ask("POST", "/jobs/email", EMAIL, {"X-Request-Id": "order-17"})
    assert posted.status == 202
    path = posted.headers["location"]
    shown = server.ask("GET", path, headers={"X-Request-Id": "order-18"})
    assert (shown.headers["x-request-id"], shown.json) == ("order-18", posted.json)
    head = server.ask("HEAD", path, headers={"X-Request-Id": "order-19"})
    assert (head.status, head.body) == (200, b"")
    only = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in only} == {
        k: v for k, v in shown.headers.items() if k not in only
    }
    last = server.ask("GET", path, headers={"Connection": "close"})
    assert (last.headers["connection"], last.json) == ("close", posted.json)


async def test_an_answer_in_process_has_the_same_fields() -> None:
    async with running_service() as service:
        posted = await service.http.post("/jobs/email", json=EMAIL)
        shown = await service.http.get(posted.headers["location"])
        assert set(shown.headers) == {
            "content-type", "content-length", "etag", "log-position", "cache-control",
            "x-request-id",
        }  # fmt: skip
