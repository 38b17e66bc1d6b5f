"""The manual's examples, run as a user would run them: in a folder of their own, by pytest and by
unittest in a fresh process, with nothing of this repository but the packages.

Also what pytest shows of a test that fails, and what is said where the extra is missing.
"""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import service.testing
from tests.support.server import ROOT

JOBS = """
import msgspec
from service import Attempt, RetryAfter, processor

charges = []

class Report(msgspec.Struct, forbid_unknown_fields=True):
    month: int

@processor("report")
async def report(payload: Report, attempt: Attempt) -> dict:
    if attempt.number == 1:
        raise RetryAfter(60, "the numbers are not there yet")
    return {"pages": payload.month}

class Charge(msgspec.Struct):
    order: int

@processor("charge")
async def charge(payload: Charge, attempt: Attempt) -> None:
    if payload.order not in charges:
        charges.append(payload.order)
"""

UNITTEST = """
import unittest
from mypackage.jobs import report
from service.testing import service

class Reports(unittest.TestCase):
    def test_a_report(self):
        with service(report) as s:
            job_id = s.post("report", {"month": 3})
            s.advance(60)
            self.assertEqual(s.job(job_id).result, {"pages": 3})
"""

FAILS = """
from mypackage.jobs import report
from service.testing import service

def test_a_report_that_is_expected_too_early():
    with service(report) as s:
        job_id = s.post("report", {"month": 3})
        s.drain()
        assert s.job(job_id).status == "completed"
"""


def examples() -> list[str]:
    """The tests in the manual."""
    manual = service.testing.__doc__ or ""
    blocks = re.findall(r"\n\n((?: {4}.*\n|\n)+)", manual)
    return [textwrap.dedent(block) for block in blocks if "def test_" in block]


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """In a process that knows nothing of ours but the packages."""
    package = folder / "mypackage"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "jobs.py").write_text(JOBS)
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env=environment | {"PYTHONPATH": f"{folder}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_manuals_examples_pass(tmp_path):
    first, second = examples()
    imports = "from types import SimpleNamespace\nfrom mypackage.jobs import charge, charges\n"
    gateway = "gateway = SimpleNamespace(charges=charges)\n"
    (tmp_path / "test_manual.py").write_text(first + imports + gateway + second)
    done = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_manual.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_it_works_without_pytest(tmp_path):
    (tmp_path / "test_with_unittest.py").write_text(UNITTEST)
    done = run(tmp_path, "-m", "unittest", "-q", "test_with_unittest")
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr


def test_pytest_shows_why_an_attempt_failed_when_a_test_does(tmp_path):
    (tmp_path / "test_fails.py").write_text(FAILS)
    done = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_fails.py")
    assert done.returncode == 1
    assert "attempt 1 failed (error): RetryAfter: the numbers are not there yet" in done.stdout
    assert 'raise RetryAfter(60, "the numbers are not there yet")' in done.stdout


def test_where_freezegun_is_missing_the_extra_is_named(tmp_path):
    (tmp_path / "freezegun.py").write_text("raise ModuleNotFoundError('no freezegun')\n")
    done = run(tmp_path, "-c", "import service.testing")
    assert done.returncode == 1
    assert "ImportError: service.testing needs freezegun" in done.stderr
    assert "with its extra `testing`, or pip install freezegun" in done.stderr


def test_the_package_itself_does_without_freezegun(tmp_path):
    (tmp_path / "freezegun.py").write_text("raise ModuleNotFoundError('no freezegun')\n")
    done = run(tmp_path, "-c", "import service, service.server, service.cli, service.wiring")
    assert done.returncode == 0, done.stderr
