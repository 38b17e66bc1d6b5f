"""`joblog enqueue`: what it sends for which options, and what it refuses to send.

The server is a stand-in that keeps the requests; with a real one: `test_with_server`.
"""

import json
from typing import Any

import pytest

from service.cli import client as client_module
from service.cli.client import Answer, Client
from tests.service.cli.runner import at_a_terminal, joblog, printed, refused, succeed

URL = ("--url", "http://127.0.0.1:1")
TO = ("--to", "ada@example.com", "--subject", "Hello")


class Requests(list[tuple[str, str, Any, dict[str, str]]]):
    """What was asked: method, path, body, headers."""

    refuse_at = 0
    statuses: list[str]

    def ask(
        self, _: Client, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Answer:
        self.append((method, path, body and json.loads(body), headers))
        if len(self) == self.refuse_at:
            problem = {"title": "Not valid", "detail": "#/to: not an address"}
            return Answer(422, {}, json.dumps(problem).encode())
        status = self.statuses.pop(0) if self.statuses else "pending"
        return Answer(202, {}, json.dumps(job(f"job-{len(self)}", status)).encode())


def job(job_id: str, status: str) -> dict[str, Any]:
    return {
        "id": job_id, "kind": "email", "status": status, "attempts": 0, "max_attempts": 3,
        "created_at": "", "next_attempt_at": "", "ran_s": 0, "last_error": None,
    }  # fmt: skip


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    kept = Requests()
    kept.statuses = []

    def ask(self: Client, *args: Any) -> Answer:
        return kept.ask(self, *args)

    monkeypatch.setattr(client_module.Client, "_ask", ask)
    return kept


def test_flags_make_a_message(requests: Requests) -> None:
    assert printed("enqueue", "email", *TO, "--body", "x", *URL)[0]["id"] == "job-1"
    [(method, path, body, headers)] = requests
    assert (method, path) == ("POST", "/jobs/email?")
    assert body == {"to": "ada@example.com", "subject": "Hello", "body": "x"}
    assert headers == {"Content-Type": "application/json"}


def test_a_message_may_have_many_recipients_and_html(requests: Requests) -> None:
    succeed(
        "enqueue", "email", "--to", "a@x.example", "--to", "B <b@x.example>", "--cc", "c@x.example",
        "--bcc", "d@x.example", "--reply-to", "e@x.example", "--reply-to", "f@x.example",
        "--from", "Jobs <g@x.example>", "--subject", "Hello", "--body", "", "--html", "<p>", *URL,
    )  # fmt: skip
    assert requests[0][2] == {
        "to": ["a@x.example", "B <b@x.example>"], "cc": "c@x.example", "bcc": "d@x.example",
        "reply_to": ["e@x.example", "f@x.example"], "from": "Jobs <g@x.example>",
        "subject": "Hello", "body": "", "html": "<p>",
    }  # fmt: skip


def test_a_variable_holds_an_address_a_line(requests: Requests) -> None:
    env = {"JOBLOG_TO": "Ada King <a@x.example>\nb@x.example", "JOBLOG_SUBJECT": "Hello"}
    assert joblog("enqueue", "email", *URL, env=env).exit_code == 0
    assert requests[0][2] == {"to": ["Ada King <a@x.example>", "b@x.example"], "subject": "Hello"}


def test_any_payload_and_all_options(requests: Requests) -> None:
    succeed(
        "enqueue", "report", "--payload", '{"n": [1]}', "--key", 'k "1"', "--delay", "2.5",
        "--priority", "-3", "--max-attempts", 5, "--timeout", 60, *URL,
    )  # fmt: skip
    [(_, path, body, headers)] = requests
    assert path == "/jobs/report?delay=2.5&priority=-3&max_attempts=5&timeout=60.0"
    assert body == {"n": [1]}
    assert headers["Idempotency_Key"] == r'"k \"1\""'


def test_a_time_is_sent_with_its_zone_made_plain(requests: Requests) -> None:
    succeed("enqueue", "email", *TO, "--run-at", "2026-11-24T01:00:00+02:00", *URL)
    assert requests[0][1] == "/jobs/email?run_at=2026-11-23T23%3A00%3A00.000000Z"
    assert "--run-at noon" in refused(2, "enqueue", "email", *TO, "--run-at", "noon", *URL)


def test_a_kind_cannot_leave_its_place_in_the_path(requests: Requests) -> None:
    succeed("enqueue", "../x?y", "--payload", "1", *URL)
    assert requests[0][1] == "/jobs/..%2Fx%3Fy?"


def test_lines_on_stdin_are_many_each_with_a_key_of_its_own(requests: Requests) -> None:
    found = printed("enqueue", "email", "--key", "k", *URL, given='{"a":1}\n\n{"a":2}')
    assert [each["id"] for each in found] == ["job-1", "job-2"]
    assert [body for _, _, body, _ in requests] == [{"a": 1}, {"a": 2}]
    assert [each[3]["Idempotency_Key"] for each in requests] == ['"k-1"', '"k-3"']


def test_a_dash_asks_for_lines_even_if_there_are_none(requests: Requests) -> None:
    assert printed("enqueue", "email", "-", *URL, given="") == []
    assert printed("enqueue", "email", "-", *URL, given="1\n")[0]["id"] == "job-1"
    assert len(requests) == 1


def test_nothing_at_all_is_a_usage_error(requests: Requests) -> None:
    assert "give --payload JSON, or lines" in refused(2, "enqueue", "email", *URL, given="")
    assert requests == []


def test_a_refused_line_is_named_and_the_rest_is_not_sent(requests: Requests) -> None:
    requests.refuse_at = 2
    result = joblog("enqueue", "email", *URL, given="1\n2\n3\n")
    assert result.exit_code == 2
    assert len(result.stdout.splitlines()) == 1
    assert "line 2: Not valid: #/to: not an address (1 enqueued before it)" in result.stderr
    assert len(requests) == 2


def test_people_are_told_how_many(requests: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch)
    assert succeed("enqueue", "email", "-", *URL, given="1\n2\n") == "2 enqueued\n"
    assert len(requests) == 2


@pytest.mark.parametrize(
    "args",
    [
        (*TO, "--payload", "{}"),
        (*TO, "-"),
        ("-", "--wait", "3"),
        (*TO, "--wait", "-1"),
        (*TO, "--delay", "-1"),
        (*TO, "--max-attempts", "0"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    requests: Requests, args: tuple[str, ...]
) -> None:
    refused(2, "enqueue", "email", *args, *URL, given="1\n")
    assert requests == []


def test_waiting_asks_until_the_end_and_a_completed_job_is_a_yes(requests: Requests) -> None:
    requests.statuses = ["pending", "processing", "completed"]
    assert printed("enqueue", "email", *TO, "--wait", 45, *URL)[0]["status"] == "completed"
    assert [(method, path) for method, path, _, _ in requests] == [
        ("POST", "/jobs/email?"), ("GET", "/jobs/job-1"), ("GET", "/jobs/job-2"),
    ]  # fmt: skip
    assert requests[0][3]["Prefer"] == "wait=30"


@pytest.mark.parametrize(("status", "wait"), [("failed", 5), ("cancelled", 5), ("pending", 0)])
def test_waiting_for_another_end_or_in_vain_is_a_no(
    requests: Requests, status: str, wait: int
) -> None:
    requests.statuses = [status]
    result = joblog("enqueue", "email", *TO, "--wait", wait, *URL)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == status
    assert f"job job-1 {'is ' if status == 'pending' else ''}{status}" in result.stderr
