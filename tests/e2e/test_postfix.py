"""Real mail: `joblog serve` in one process, a stock Postfix in another, and Maildirs to look into.

What every answer of a mail server means is tested against a scripted one; here it is shown that a
real one gives such answers, that a letter arrives as it was fixed when the job was created, and
that the history tells a refusal from a delay.
"""

import os
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.support.postfix import ADA, BUSY, NOBODY, Postfix, postfix
from tests.support.server import Server, serving

SENDER = "jobs@joblog.example"


@pytest.fixture(scope="module")
def relay() -> Iterator[Postfix]:
    """A Postfix, unless there is none or we may not start one."""
    if shutil.which("postfix") is None or os.geteuid() != 0:
        assert "CI" not in os.environ, "postfix is not installed, or we are not root"
        pytest.skip("postfix is not installed, or we are not root")
    with postfix() as running:
        yield running


@pytest.fixture
def server(relay: Postfix, tmp_path: Path) -> Iterator[Server]:
    """A joblog that hands its mail to it."""
    flags = {
        "--email-transport": "smtp", "--email-from": f"Jobs <{SENDER}>", "--smtp-tls": "none",
        "--smtp-host": "127.0.0.1", "--smtp-port": str(relay.port), "--backoff-base": "0.1",
    }  # fmt: skip
    with serving(tmp_path / "data", *(word for flag in flags.items() for word in flag)) as running:
        yield running


def sent(server: Server, **message: Any) -> tuple[Any, list[dict[str, Any]]]:
    """A message posted, and what became of it: the job, and the data of its failed attempts."""
    answer = server.ask("POST", "/jobs/email?max_attempts=2", {"subject": "Hello"} | message)
    assert answer.status == 202, answer.body
    job = server.finished(answer.json["id"])
    history = server.history(job["id"])
    return job, [event["data"] for event in history if event["type"] == "AttemptFailed"]


def test_a_letter_arrives_as_it_was_fixed(server: Server, relay: Postfix) -> None:
    message = {"to": f"Ada <{ADA}>", "subject": "Grüße", "body": "Wie geht's?", "html": "<p>Hi"}
    job, failed = sent(server, **message)
    assert (job["status"], job["attempts"], failed) == ("completed", 1, [])
    relay.until("to=<ada@mail.example>", "status=sent")
    [arrived] = relay.mail_of("ada")
    assert arrived["Message-ID"] == f"<{job['id']}@joblog.example>" == job["result"]["message_id"]
    assert (arrived["Subject"], arrived["From"]) == ("Grüße", f"Jobs <{SENDER}>")
    assert arrived["Auto-Submitted"] == "auto-generated"
    plain, html = arrived.iter_parts()
    assert (plain.get_content().strip(), html.get_content().strip()) == ("Wie geht's?", "<p>Hi")
    assert job["result"]["reply"].startswith("250 2.0.0 Ok: queued as ")


def test_the_bytes_that_arrive_are_those_of_the_log(server: Server, relay: Postfix) -> None:
    subject = "a letter to compare"
    job, _ = sent(server, to=ADA, subject=subject, body=".\nFrom me\n..\n")
    created = server.history(job["id"])[0]
    relay.until(f"message-id=<{job['id']}@joblog.example>")
    queued = job["result"]["reply"].rpartition(" ")[2]
    relay.until(queued, "status=sent")
    content = next(raw for raw in relay.raw_mail_of("ada") if job["id"].encode() in raw)
    letter = content[content.index(b"From: ") :].replace(b"\n", b"\r\n")
    assert sha256(letter).hexdigest() == created["data"]["facts"]["message_sha256"]


def test_an_unknown_recipient_is_a_failure_for_good(server: Server) -> None:
    job, failed = sent(server, to=NOBODY)
    assert (job["status"], job["attempts"]) == ("failed", 1)
    assert "550 5.1.1" in job["last_error"]["message"]
    [attempt] = failed
    assert (attempt["error_class"], attempt["retry_at"]) == ("Permanent", None)
    assert attempt["facts"]["enhanced"] == "5.1.1"
    assert "@" not in str(attempt["facts"])


def test_a_busy_mailbox_is_tried_again(server: Server) -> None:
    job, failed = sent(server, to=BUSY)
    assert (job["status"], job["attempts"]) == ("failed", 2)
    first, last = failed
    assert first["error_class"] == last["error_class"] == "Deferred"
    assert first["retry_at"] is not None
    assert last["retry_at"] is None
    assert [each["facts"]["code"] for each in failed] == [450, 450]


def test_each_recipient_has_an_outcome_of_his_own(server: Server, relay: Postfix) -> None:
    job, failed = sent(server, to=[ADA, NOBODY], bcc=BUSY, subject="to three")
    assert (job["status"], job["attempts"]) == ("failed", 2)
    first, last = failed
    assert (first["accepted"], first["refused"]) == ([0], [1])
    assert not last.get("accepted")
    assert (first["facts"]["deferred"], last["facts"]["deferred"]) == (1, 1)
    relay.until("to=<ada@mail.example>", "status=sent")
    letters = [mail for mail in relay.mail_of("ada") if mail["Subject"] == "to three"]
    assert [mail.get_all("Bcc") for mail in letters] == [None]


def test_where_nobody_listens_any_more_it_is_tried_again(relay: Postfix, tmp_path: Path) -> None:
    flags = ("--email-transport", "smtp", "--smtp-tls", "none", "--backoff-base", "0.1")
    with serving(tmp_path / "data", *flags, "--smtp-port", "1") as server:
        job, failed = sent(server, to=ADA, **{"from": SENDER})
        refused = server.ask("POST", "/jobs/email", {"to": ADA, "subject": "no sender"})
    assert (job["status"], job["attempts"]) == ("failed", 2)
    assert {each["facts"]["trouble"] for each in failed} == {"unreachable"}
    assert refused.status == 422
    assert refused.json["errors"][0]["pointer"] == "#/from"


def test_a_server_that_knows_no_logins_pauses_the_kind(relay: Postfix, tmp_path: Path) -> None:
    flags = {
        "--email-transport": "smtp", "--email-from": SENDER, "--smtp-tls": "none",
        "--smtp-host": "127.0.0.1", "--smtp-port": str(relay.port), "--smtp-username": "joblog",
    }  # fmt: skip
    words = [word for flag in flags.items() for word in flag]
    env = {"JOBLOG_SMTP_PASSWORD": "secret"}
    with serving(tmp_path / "data", *words, env=env) as server:
        job_id = server.post_email(ADA).json["id"]
        while len(history := server.history(job_id)) < 3:
            pass
        [kind] = [
            each for each in server.ask("GET", "/kinds").json["kinds"] if each["kind"] == "email"
        ]
        job = server.ask("GET", f"/jobs/{job_id}").json
    assert history[2]["data"]["reason"] == "config"
    assert kind["paused"]
    assert (job["status"], job["attempts"]) == ("pending", 0)
