"""The level `full disks`: a disk without a byte to spare, and one that nobody may write.

The disk is a small one in memory, mounted for the trial alone. It is filled while attempts run:
intake closes, reading works, what runs is recorded in the room that was kept for it, and all goes
on once there is room. On a read-only disk the server says so, and does not start.
"""

import os
import time
from pathlib import Path
from random import Random

from tests.e2e.one_client import POSTS_MAX, OneClient
from tests.e2e.private_mounts import mount, mounted, run_in_private_mounts
from tests.e2e.trial import Trial, trial
from tests.trials.level import Figures, Level

RECORDED_S = 10  # for an attempt of one second to be recorded


def one_round(seed: int, bug: str | None = None) -> Figures:
    """A full disk, then a read-only one."""
    began = time.monotonic()
    figures = run_in_private_mounts(f"{__name__}:full_and_read_only", seed, bug)
    return {**figures, "seconds": round(time.monotonic() - began)}


def full_and_read_only(seed: int, bug: str | None = None) -> Figures:
    """Runs where it may mount."""
    dice = Random(seed)
    with (
        mounted("-t", "tmpfs", "-o", "size=100m", "none") as disk,
        trial(dice, bug, disk / "data") as stage,
    ):
        _runs_full(stage, disk)
        mount("-o", "remount,ro", str(disk))
        _does_not_start(stage)
        mount("-o", "remount,rw", str(disk))
        stage.settle()
        return {"full disks": 1, "read-only disks": 1, "promises": len(stage.promises)}


def _runs_full(stage: Trial, disk: Path) -> None:
    """What runs when nothing is left is recorded all the same: from the reserve."""
    life = OneClient(stage)
    life.work(20)
    running = [life.post(takes_s=1.0).json["id"] for _ in range(5)]
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        free = os.fstatvfs(file.fileno())
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
    life.until_refused(posts=100 * POSTS_MAX)  # it looks once a second
    life.require_reading()
    for job_id in running:
        job = life.server.finished(job_id, within_s=RECORDED_S)
        assert job["status"] == "completed", f"it could not be recorded: {job}"
    ballast.unlink()
    life.until_taken()
    stage.kill()
    stage.require_kept()


def _does_not_start(stage: Trial) -> None:
    refusal = stage.try_to_start()
    assert refusal is not None, "it started on a disk that nobody may write"
    assert refusal.code == 1, refusal
    assert "Read-only" in str(refusal), refusal
    assert "Traceback" not in str(refusal), refusal


LEVEL = Level(
    name="full disks",
    breaks="a disk that is filled to its last byte under running attempts; a read-only one",
    proves="intake answers 503, attempts are recorded from the reserve, and it goes on with room",
    leaves="quotas, and file systems that need room to delete",
    round=one_round,
    short=1,
    least={"full disks": 1, "read-only disks": 1},
    alone=True,
)
