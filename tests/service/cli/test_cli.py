"""The command line as a whole: help, variables, exit codes, and what starting it does not load.

Starting quickly is a promise, but no test measures time: what is not imported is looked at instead.
"""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from service.cli import COMMANDS, cli
from service.cli.plain import plain, plain_json
from service.version import VERSION
from tests.service.cli.logs import DONE, write_log
from tests.service.cli.runner import at_a_terminal, joblog, refused, succeed

ROOT = Path(__file__).resolve().parents[3]


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def test_help_lists_every_command_with_its_summary() -> None:
    text = succeed("--help")
    for name, entry in COMMANDS.items():
        assert f"\n  {name:<9}{entry.summary}\n" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_begins_with_that_summary_and_ends_in_examples(name: str) -> None:
    text = succeed(name, "--help")
    help_text = " ".join(text.split())
    assert COMMANDS[name].summary.rstrip(".") in help_text
    assert f"Examples: joblog {name}" in help_text
    assert help_text.startswith(f"Usage: joblog {name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_a_variable_whose_name_follows_from_its_own(name: str) -> None:
    for option in command(name).params:
        if isinstance(option, click.Option):
            names = {f"JOBLOG_{long[2:].replace('-', '_').upper()}" for long in option.opts}
            special = {"JOBLOG_TO_POS"} if name == "replay" else set()
            assert option.envvar in names | special, option.name
            assert option.help, option.name
            assert option.show_envvar


def test_version() -> None:
    assert succeed("--version") == f"joblog {VERSION}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    assert "No such command 'lsit'" in refused(2, "lsit")


def test_an_error_of_the_system_is_one_line(tmp_path: Path) -> None:
    write_log(tmp_path)
    (tmp_path / "log" / "000000000001.jsonl").unlink()
    (tmp_path / "log" / "000000000001.jsonl").mkdir()
    assert "Is a directory" in refused(1, "tail", "--data", tmp_path)


def test_an_error_says_nothing_to_the_terminal() -> None:
    said = refused(2, "show", "x", "--url", "http://127.0.0.1:1/\x1b[2J")
    assert r"\x1b[2J" in said
    assert "\x1b" not in said


def test_colours_show_where_they_can_and_nobody_minds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(tmp_path)
    at_a_terminal(monkeypatch)
    for command in (("show", DONE), ("list",)):
        coloured = joblog(*command, "--data", tmp_path, color=True)
        plainly = joblog(*command, "--data", tmp_path, color=True, env={"NO_COLOR": "1"})
        assert "\x1b[32mcompleted" in coloured.stdout
        assert "\x1b" not in plainly.stdout
        assert "completed" in plainly.stdout


def test_controls_are_written_out() -> None:
    assert plain("a\x1b[0m\n\x85\u2028\u202eé\ud800") == r"a\x1b[0m\n\x85\u2028\u202eé\ud800"
    assert plain_json('"\x7f\x9b\u202e"') == r'"\u007f\u009b\u202e"'


def run(*args: str, **more: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *args], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        **more,
    )  # fmt: skip


LOADED = "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
RUN = "from service.cli import main; sys.argv[0] = 'joblog'; main()"


@pytest.mark.real_time
@pytest.mark.parametrize("args", [["--version"], ["--help"]])
def test_saying_what_there_is_loads_no_command(args: list[str]) -> None:
    done = run("-c", LOADED + RUN, *args)
    assert done.returncode == 0
    loaded = set(done.stderr.split())
    assert not loaded & {"starlette", "uvicorn", "http.client", "sqlite3", "service.cli.jobs"}


@pytest.mark.real_time
@pytest.mark.parametrize("name", ["list", "verify", "replay", "tail"])
def test_reading_files_loads_no_web_server(tmp_path: Path, name: str) -> None:
    write_log(tmp_path)
    done = run("-c", LOADED + RUN, name, "--data", str(tmp_path))
    assert done.returncode == 0
    assert not set(done.stderr.split()) & {"starlette", "uvicorn", "email_validator"}


@pytest.mark.real_time
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    write_log(tmp_path)
    script = (
        f"for i in 1 2 3; do {sys.executable} -m service tail --data {tmp_path}; done | head -1"
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@pytest.mark.real_time
def test_it_is_a_module_too() -> None:
    done = run("-m", "service", "--version")
    assert (done.returncode, done.stdout) == (0, f"joblog {VERSION}\n")
