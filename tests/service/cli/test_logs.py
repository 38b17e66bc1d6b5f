"""The server's own log lines: their form, and that nobody can forge one by what he sends.

Records are made by hand, with a time of their own.
"""

import json
import logging
import sys
from types import TracebackType

import pytest

from service.cli.logs import JsonFormatter, TextFormatter, log_to_stderr

NOON = 1795521601.5  # 2026-11-24T12:00:01.5Z
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def record(message: str, *args: object, error: ExcInfo | None = None) -> logging.LogRecord:
    made = logging.LogRecord("joblog.log", logging.WARNING, "", 1, message, args, error)
    made.created = NOON
    return made


def failure() -> ExcInfo:
    try:
        int("line\x1b[2J")
    except ValueError as error:
        return type(error), error, error.__traceback__
    raise AssertionError


def test_text_is_a_line() -> None:
    assert TextFormatter().format(record("cut %d bytes", 7)) == (
        "12:00:01 WARNING joblog.log: cut 7 bytes"
    )


def test_what_is_quoted_cannot_begin_a_line_of_its_own() -> None:
    line = TextFormatter().format(record("job %s", "x\n12:00:02 ERROR all is lost\x1b[2J"))
    assert "\n" not in line
    assert "\x1b" not in line


def test_a_traceback_stands_below() -> None:
    first, *below = TextFormatter().format(record("failed", error=failure())).split("\n")
    assert first.endswith("joblog.log: failed")
    assert below[0].startswith("Traceback")
    assert below[-1].startswith("ValueError: invalid literal")


def test_json_is_an_object_a_line() -> None:
    line = JsonFormatter().format(record("job %s", "a\nb", error=failure()))
    assert "\n" not in line
    said = json.loads(line)
    assert said["time"] == "2026-11-24T12:00:01.500000Z"
    assert (said["level"], said["logger"], said["message"]) == ("WARNING", "joblog.log", "job a\nb")
    assert said["traceback"].startswith("Traceback")


def test_ours_from_info_on_everybody_elses_from_warning_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, ours = logging.getLogger(), logging.getLogger("joblog")
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(ours, "level", ours.level)
    log_to_stderr("text")
    logging.getLogger("joblog.worker").info("ours")
    logging.getLogger("elsewhere").info("theirs")
    logging.getLogger("elsewhere").warning("their warning")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[2] for line in lines] == [
        "INFO joblog.worker: ours",
        "WARNING elsewhere: their warning",
    ]
    assert root.handlers[0].stream is sys.stderr  # type: ignore[attr-defined]
