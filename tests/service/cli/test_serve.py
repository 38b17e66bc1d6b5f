"""`joblog serve`: options become settings, and a refused start says why, in one line and a code.

The service itself is replaced here by one that keeps its settings, or fails as told; whole servers
are in `tests/e2e`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from eventstore.errors import StoreCorrupt, StoreFailed, StoreLocked
from projections.job import IllegalTransitionError
from service.cli import serve as serve_module
from service.cli import working
from service.server import CannotListenError
from service.settings import CannotServeError, EmailSettings, Settings
from service.version import VERSION
from tests.service.cli.logs import write_log
from tests.service.cli.runner import joblog, refused, served
from tests.support.build import job_completed, record

URL = "http://127.0.0.1:8080"


@pytest.fixture(autouse=True)
def _no_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "log_to_stderr", lambda _: None)


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def serve(settings: Settings, *, started: Callable[[str], None]) -> None:
        raise error

    monkeypatch.setattr(serve_module, "serve", serve)


def test_without_options_the_settings_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert served(monkeypatch) == Settings()


def test_every_option_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    found = served(
        monkeypatch, "--host", "::1", "--port", 0, "--concurrency", 7, "--processors", "a.b",
        "--no-worker", "--lease", 5, "--drain", 0, "--insecure", "--seed", 3, "--backoff-base", 0.1,
        "--store", "memory:", "--allow-host", "jobs.example", "--allow-host", "j.example",
        "--max-pending", 9, "--tokens", "a;b",
        "--tokens-file", "t", "--max-connections", 5, "--max-waiting", 0,
    )  # fmt: skip
    assert found == Settings(
        store="memory:", host="::1", port=0, concurrency=7, processors="a.b", work=False,
        lease_s=5.0, drain_s=0.0, insecure=True, seed=3, backoff_base_s=0.1,
        allowed_hosts=("jobs.example", "j.example"), max_pending=9,
        tokens="a;b", tokens_file="t", connections_max=5, held_max=0,
    )  # fmt: skip


def test_every_option_about_email_is_a_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    found = served(
        monkeypatch, "--email-transport", "smtp", "--email-from", "jobs@x.example",
        "--email-message-id-domain", "ids.example", "--email-on-unknown", "hold",
        "--email-directory", "mail", "--email-failure-rate", 0.5, "--email-latency", 0,
        "--smtp-host", "mail.example", "--smtp-port", 26, "--smtp-tls", "implicit",
        "--smtp-username", "joblog", "--smtp-password-file", tmp_path / "password",
        "--smtp-connections", 3, "--smtp-connect-timeout", 1, "--smtp-command-timeout", 2,
        "--smtp-answer-timeout", 3,
    )  # fmt: skip
    assert found.email == EmailSettings(
        transport="smtp", sender="jobs@x.example", message_id_domain="ids.example",
        on_unknown="hold", directory="mail", failure_rate=0.5, latency_s=0.0,
        smtp_host="mail.example", smtp_port=26, smtp_tls="implicit", smtp_username="joblog",
        smtp_password="correct horse", smtp_connections=3, smtp_connect_s=1.0, smtp_command_s=2.0,
        smtp_answer_s=3.0,
    )  # fmt: skip
    assert "correct horse" not in repr(found)


def test_a_password_may_be_a_variable_and_is_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"JOBLOG_SMTP_PASSWORD": "correct horse"}
    assert served(monkeypatch, env=env).email.smtp_password == "correct horse"
    refused(2, "serve", "--smtp-password", "correct horse")


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    assert str(missing) in refused(2, "serve", "--smtp-password-file", missing)


def test_every_option_is_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"JOBLOG_DATA": "d", "JOBLOG_HOST": "h", "JOBLOG_PORT": "1", "JOBLOG_NO_WORKER": "1"}
    found = served(monkeypatch, env=env)
    assert (found.store, found.host, found.port, found.work) == ("file:d", "h", 1, False)


@pytest.mark.parametrize(
    "args",
    [
        ("--port", "70000"),
        ("--concurrency", "0"),
        ("--lease", "0"),
        ("--lease", "nan"),
        ("--lease", "inf"),
        ("--drain", "nan"),
        ("--drain", "-1"),
        ("--email-failure-rate", "1.1"),
        ("--max-pending", "0"),
        ("--email-transport", "pigeon"),
        ("--email-on-unknown", "maybe"),
        ("--smtp-tls", "some"),
        ("--smtp-port", "0"),
        ("--smtp-answer-timeout", "0"),
        ("--log-format", "xml"),
        ("--max-connections", "0"),
        ("--max-waiting", "-1"),
        ("surplus",),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(args: tuple[str, ...]) -> None:
    refused(2, "serve", *args)


CORRUPT = StoreCorrupt("bad", file="f.jsonl", line=3, byte=99, hint="Look there")
ILLEGAL = IllegalTransitionError(None, record(job_completed())[0])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StoreLocked("d/lock", "process 7 on here"), 1, "d/lock is in use by process 7 on here"),
        (CORRUPT, 3, "f.jsonl, line 3, byte 99: bad. Look there"),
        (ILLEGAL, 3, "position 1: JobCompleted cannot follow"),
        (CannotServeError("there is no such address"), 2, "there is no such address"),
        (CannotListenError("it is taken"), 1, "it is taken"),
        (StoreFailed("syncing the log failed"), 1, "syncing the log failed"),
        (PermissionError(13, "Permission denied", "/var/x"), 1, "/var/x: Permission denied"),
    ],
)
def test_a_start_that_is_refused_is_one_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, said: str
) -> None:
    failing(monkeypatch, error)
    assert said in refused(code, "serve")


def test_what_nobody_foresaw_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ZeroDivisionError("ours"))
    assert isinstance(joblog("serve").exception, ZeroDivisionError)


def test_once_it_answers_it_says_where_and_on_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_id = write_log(tmp_path)

    async def serve(settings: Settings, *, started: Callable[[str], None]) -> bool:
        started(URL)
        return True

    monkeypatch.setattr(serve_module, "serve", serve)
    result = joblog("serve", "--data", tmp_path)
    assert result.stderr == f"joblog {VERSION} serving {URL} (data {tmp_path}, log {log_id})\n"
    assert result.stdout == ""
    in_memory = joblog("serve", "--store", "memory:")
    assert in_memory.stderr == f"joblog {VERSION} serving {URL} (store memory:)\n"
