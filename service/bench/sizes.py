"""The rows `memory` and `start`: what a server costs whose jobs are all finished, against one
without any.

Both servers were started once before, as any server was that has finished so many jobs: that first
start makes the read model from the log, which is `replay`'s matter.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple

from service.bench.ground import Ground
from service.bench.history import write_finished
from service.bench.measured import Measured
from service.bench.process import serving
from service.bench.quantile import median

MIB = 1024 * 1024


class Start(NamedTuple):
    """How long it took until the server answered, and its memory then."""

    seconds: float
    resident_bytes: int


class Starts(NamedTuple):
    """The medians of some starts of a server."""

    seconds: float
    resident_bytes: float

    @classmethod
    def of(cls, starts: list[Start]) -> "Starts":
        """See the class."""
        return cls(
            median([start.seconds for start in starts]),
            median([start.resident_bytes for start in starts]),
        )


def memory(ground: Ground) -> Measured:
    """See the module."""
    full, bare = ground.once("full and empty starts", _full_and_empty)
    return Measured(full.resident_bytes / MIB, bare.resident_bytes / MIB)


def start(ground: Ground) -> Measured:
    """See the module."""
    full, bare = ground.once("full and empty starts", _full_and_empty)
    return Measured(full.seconds, bare.seconds)


def finished(ground: Ground) -> Path:
    """The directory of a server whose jobs are all finished."""
    return ground.once("finished", _finished)


def empty(ground: Ground) -> Path:
    """The directory of a server that never had a job."""
    return ground.once("empty", lambda ground: settled(ground.folder("empty")))


def settled(root: Path, *flags: str) -> Path:
    """The directory, once a server has made its read model there and stopped in good order."""
    with serving(root, *flags):
        return root


def started(ground: Ground, label: str, *roots: Path, flags: tuple[str, ...] = ()) -> list[Starts]:
    """Start a server on each of some directories in turn, several times."""
    found: list[list[Start]] = [[] for _ in roots]
    with ground.progress(ground.plan.starts * len(roots), label) as advance:
        for _ in range(ground.plan.starts):
            for root, starts in zip(roots, found, strict=True):
                with serving(root, *flags) as server:
                    starts.append(Start(server.started_s, server.resident_bytes))
                advance(1)
    return [Starts.of(starts) for starts in found]


def _full_and_empty(ground: Ground) -> tuple[Starts, Starts]:
    full, bare = started(ground, "starts", finished(ground), empty(ground))
    return full, bare


def _finished(ground: Ground) -> Path:
    root, jobs = ground.folder("finished"), ground.plan.jobs
    with ground.progress(2 * jobs, "finished jobs") as advance:
        asyncio.run(write_finished(root, jobs, advance))
        settled(root)
        advance(jobs)
    return root
