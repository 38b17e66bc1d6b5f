"""`joblog serve`: options become settings, and a refused start says why, in one line and a code.

The service itself is replaced here by one that keeps its settings, or fails as told; whole servers
are in `tests/e2e`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import StoreCorrupt, StoreFailed, StoreLocked
from projections.job import IllegalTransitionError
from service.cli import serve as serve_module
from service.server import CannotListenError
from service.settings import Settings
from service.version import VERSION
from service.wiring import CannotServeError
from tests.service.cli.logs import write_log
from tests.service.cli.runner import joblog, refused
from tests.support.build import job_completed, record

URL = "http://127.0.0.1:8080"


@pytest.fixture(autouse=True)
def _no_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "log_to_stderr", lambda _: None)


def served(monkeypatch: pytest.MonkeyPatch, *args: object, **more: Any) -> Settings:
    """The settings that these options make."""
    kept: list[Settings] = []

    async def serve(settings: Settings, *, started: Callable[[str], None]) -> bool:
        kept.append(settings)
        return True

    monkeypatch.setattr(serve_module, "serve", serve)
    assert joblog("serve", *args, **more).exit_code == 0
    return kept[0]


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
        "--email-failure-rate", 0.5, "--email-latency", 0, "--store", "memory:",
        "--allow-host", "jobs.example", "--allow-host", "j.example",
    )  # fmt: skip
    assert found == Settings(
        store="memory:", host="::1", port=0, concurrency=7, processors="a.b", work=False,
        lease_s=5.0, drain_s=0.0, insecure=True, seed=3, backoff_base_s=0.1,
        email_failure_rate=0.5, email_latency_s=0.0, allowed_hosts=("jobs.example", "j.example"),
    )  # fmt: skip


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
        ("--log-format", "xml"),
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
