"""Disks of a trial's own, mounted where nobody else sees them.

What mounts runs in a process with namespaces of its own for mounts and processes (`unshare`): when
that process is gone, however it went, the kernel ends all that it started, takes its mounts away,
and the loop devices with them.
It needs root; where that is not to be had, `CannotRunError` says so. As a program this is that
process: it runs `module:function` with a seed and prints the figures.
"""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import orjson

from tests.support.server import ROOT
from tests.trials.level import CannotRunError, Figures

CANNOT: Final = 77


def run_in_private_mounts(function: str, seed: int, bug: str | None = None) -> Figures:
    """What a round comes to there. Raises what it raises, as AssertionError or CannotRunError."""
    if shutil.which("unshare") is None or os.getuid() != 0:
        raise CannotRunError("only root may mount, and needs unshare for it")
    command = [
        "unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--kill-child",
        sys.executable, "-m", __name__, function, str(seed), *([bug] if bug else []),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == CANNOT or "unshare failed" in done.stderr:
        raise CannotRunError(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-20000:]
    figures: dict[str, int] = orjson.loads(done.stdout)
    return figures


@contextmanager
def mounted(*what: str) -> Iterator[Path]:
    """Something mounted, for the length of a `with`: `mount` with these arguments."""
    with TemporaryDirectory(prefix="joblog-disk-") as point:
        mount(*what, point)
        try:
            yield Path(point)
        finally:
            subprocess.run(["umount", "--lazy", point], check=True)


def mount(*what: str) -> None:
    """Raises CannotRunError."""
    run("mount", *what)


def run(*command: str) -> None:
    """A command of the system. Raises CannotRunError when it is not there, or fails."""
    if shutil.which(command[0]) is None:
        raise CannotRunError(f"there is no {command[0]} here")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise CannotRunError(f"{' '.join(command)}: {said}")


def main(function: str, seed: str, bug: str | None = None) -> None:
    """In the process of its own."""
    module, _, name = function.partition(":")
    try:
        figures = getattr(importlib.import_module(module), name)(int(seed), bug)
    except CannotRunError as reason:
        print(reason, file=sys.stderr)  # noqa: T201
        sys.exit(CANNOT)
    sys.stdout.buffer.write(orjson.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
