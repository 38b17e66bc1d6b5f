"""A command run in this process: as in a pipe, or as at a terminal.

The environment is bare, so that a developer's own JOBLOG_… variables decide nothing. Times are real
here; what a command prints is what the test looks at.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.cli import cli
from service.cli import serve as serve_module
from service.settings import Settings


def joblog(
    *args: object,
    given: str | None = None,
    env: dict[str, str] | None = None,
    color: bool = False,
) -> Result:
    """Run `joblog` with these arguments, and `given` on stdin; with `color`, where colours show."""
    runner = CliRunner(
        env={"NO_COLOR": None, "JOBLOG_DATA": None, "JOBLOG_TOKEN": None} | (env or {})
    )
    return runner.invoke(cli, list(map(str, args)), input=given, color=color, prog_name="joblog")


def succeed(*args: object, **more: Any) -> str:
    """What the command prints, when it must succeed."""
    result = joblog(*args, **more)
    assert result.exit_code == 0, result.output
    return result.stdout


def printed(*args: object, **more: Any) -> list[Any]:
    """The JSON lines that it prints."""
    return [json.loads(line) for line in succeed(*args, **more).splitlines()]


def refused(code: int, *args: object, **more: Any) -> str:
    """What the command says, when it must end with this code: one line, and no traceback."""
    result = joblog(*args, **more)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    said = result.stderr.splitlines()
    assert said[-1].startswith("Error: "), said
    return said[-1]


def served(monkeypatch: pytest.MonkeyPatch, *args: object, **more: Any) -> Settings:
    """The settings that `joblog serve` makes of these options. Nothing is served."""
    kept: list[Settings] = []

    async def serve(settings: Settings, *, started: Callable[[str], None]) -> bool:
        kept.append(settings)
        return True

    monkeypatch.setattr(serve_module, "serve", serve)
    assert joblog("serve", *args, **more).exit_code == 0
    return kept[0]


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 140) -> None:
    """From here on stdout is a terminal."""
    monkeypatch.setattr("service.cli.output.on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))


def files_of(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file's content and time, to see that nothing was touched."""
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }
