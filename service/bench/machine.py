"""What a run ran on: without it, no figure means anything.

The processor and its cores, the file system under the data and how long a sync takes on it, and the
versions of everything whose speed is joblog's too. What the system does not tell is left out.
"""

import os
import platform
import re
import sqlite3
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from eventstore.file.disk import SystemDisk
from service.bench.quantile import quantile
from service.version import VERSION

PACKAGES: Final = ("uvicorn", "uvloop", "httptools", "orjson", "msgspec")
IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})  # a sync does nothing there


def machine(root: Path, syncs_s: Sequence[float]) -> dict[str, Any]:
    """All of it, as it goes into the report; `root` is where the data is."""
    return {
        "cpu": _cpu(),
        "cores": _cores(),
        "system": f"{platform.system()} {platform.release()}",
        "filesystem": filesystem(root),
        "sync_p50_ms": round(1000 * quantile(syncs_s, 0.5), 3),
        "sync_p99_ms": round(1000 * quantile(syncs_s, 0.99), 3),
        "versions": versions(),
    }


def filesystem(root: Path) -> str:
    """The type of the file system under a path; empty when the system does not tell."""
    return SystemDisk().filesystem(str(root))


def versions() -> dict[str, str]:
    """By name; those that are not installed are not there."""
    found = {
        "joblog": VERSION,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return named[1] if named else platform.processor() or platform.machine()


def _cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
