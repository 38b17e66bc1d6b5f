"""README.md says only what is true: its tour is run, its commands are the ones CI runs, its example
works.

The tour's commands run in one shell against a real server, as a reader would type them, and what
they print is compared with what the README prints, but for ids, times, digests and durations. `jq`
and `curl` are needed for that.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.server import ROOT, serving

README = (ROOT / "README.md").read_text()
VARYING = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "TIME"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"\b[0-9a-f]{32}\b", "LOG"),
    (r"\b\d+\.\d+(?=[,}])", "SECONDS"),
    (r"at position \d+(; \S+ has yet to take in .*)?", "at POSITION"),  # it follows in a second
]


def needs(*programs: str) -> None:
    """Skip where a program is missing, unless this is CI."""
    for program in programs:
        if shutil.which(program) is None:
            assert "CI" not in os.environ, f"{program} is not installed"
            pytest.skip(f"{program} is not installed")


def steady(text: str) -> str:
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text)
    return text


def tour() -> list[tuple[str, str]]:
    """Commands of the tour and what follows them."""
    section = README.split("## Sixty seconds")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, flags=re.DOTALL)
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), flags=re.MULTILINE)
    assert len(steps) > 5
    return steps


def on_a_terminal(script: str, folder: Path, programs: Path) -> str:
    """What bash and its commands print when they believe that somebody is watching."""
    ours, theirs = pty.openpty()
    path = {"PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "200"}
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | path,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    printed = b""
    with suppress(OSError):  # EIO is how a terminal says that everybody has left
        while part := os.read(ours, 4096):
            printed += part
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", printed.decode()).replace("\r\n", "\n")
    assert shell.wait() == 0, text
    return text


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with a `joblog`, whether or not the package is installed."""
    script = tmp_path / "bin/joblog"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m service "$@"\n')
    script.chmod(0o755)
    return script.parent


def test_the_tour_prints_what_a_reader_will_see(tmp_path: Path, programs: Path) -> None:
    needs("bash", "curl", "jq")
    steps = tour()
    with serving(tmp_path / "joblog-data") as server:
        script = "".join(f"echo '<<<'\n{command}\n" for command, _ in steps)
        output = on_a_terminal(
            script.replace("http://127.0.0.1:8080", server.url), tmp_path, programs
        )
    printed = [steady(text) for text in output.split("<<<\n")[1:]]
    assert printed == [steady(expected) for _, expected in steps]


@pytest.fixture
def own_jobs(tmp_path: Path) -> dict[str, str]:
    """The example of an own kind of job and the test of it, in files; where Python finds them."""
    jobs, test = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "jobs.py").write_text(jobs)
    (tmp_path / "test_jobs.py").write_text(test)
    return {"PYTHONPATH": f"{tmp_path}:{ROOT}"}


def test_the_example_of_an_own_kind_of_job_works(tmp_path: Path, own_jobs: dict[str, str]) -> None:
    with serving(tmp_path / "data", "--processors", "mypackage.jobs", env=own_jobs) as server:
        wait = {"Prefer": "wait=30"}
        done = server.ask("POST", "/jobs/report", {"month": 3}, wait).json
        refused = server.ask("POST", "/jobs/report", {"month": 13}, wait).json
        invalid = server.ask("POST", "/jobs/report", {"month": "May"})
    assert (done["status"], done["result"]) == ("completed", {"pages": 6})
    assert (refused["status"], refused["attempts"]) == ("failed", 1)
    assert (invalid.status, invalid.json["errors"][0]["pointer"]) == (422, "#/month")


def test_the_example_of_a_test_passes(tmp_path: Path, own_jobs: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_jobs.py"],
        cwd=tmp_path,
        env=os.environ | own_jobs,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_ci_runs_the_readmes_own_test_command() -> None:
    assert "README.md" in (ROOT / ".ci/run").read_text()
    [command] = re.findall(r"<!-- tests -->\n```bash\n(.*)\n```", README)
    assert command.startswith("python3 -m venv .venv && ")
    assert "pytest" in command


def test_the_worker_in_javascript_completes_jobs_and_fails_them_for_good(tmp_path: Path) -> None:
    needs("node")
    [script] = re.findall(r"```js\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "worker.mjs").write_text(script)
    with serving(tmp_path / "data", "--remote-kind", "thumbnail") as server:
        command = ["node", str(tmp_path / "worker.mjs"), server.url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as worker:
            wait = {"Prefer": "wait=30"}
            done = server.ask("POST", "/jobs/thumbnail", {"width": 100}, wait).json
            refused = server.ask("POST", "/jobs/thumbnail", {"width": 5000}, wait).json
            worker.kill()
    assert (done["status"], done["result"]) == ("completed", {"bytes": 300})
    assert (refused["status"], refused["attempts"]) == ("failed", 1)
    assert (refused["last_error"]["class"], refused["last_error"]["message"]) == (
        "RangeError",
        "too wide",
    )
