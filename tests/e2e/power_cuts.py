"""The level `power cuts`: the file system under a loaded server loses what was not synced.

A file system of its own, ext4 or xfs, lies in a file and is mounted by a loop device. While clients
are being promised things the server is stopped in its tracks and the file system shut down, by
FS_IOC_SHUTDOWN without a flush of its journal: what the kernel holds in memory is never written,
which is what a power cut leaves of an honest disk. Then the server is killed, the file system
unmounted, mounted again (that recovers its journal), checked, and the server started on what is
there.

And a sync that really fails: the file system's own file lies on a disk that is too small for it, so
the system finds no place for pages it has taken already. The next sync would say that all is well.

Torn sectors, and disks that lie, are the simulated disk's part (`crash points`).
"""

import fcntl
import os
import resource
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.e2e.load import Away
from tests.e2e.one_client import OneClient
from tests.e2e.private_mounts import mount, mounted, run, run_in_private_mounts
from tests.e2e.trial import Trial, trial, under_load
from tests.trials.level import CannotRunError, Figures, Level

SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125  # FS_IOC_SHUTDOWN: _IOR('X', 125, u32)
WITHOUT_FLUSH = 2  # FS_GOING_FLAGS_NOLOGFLUSH

FILE_SYSTEMS = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}
CHECKS = {
    "ext4": ["e2fsck", "-f", "-n"],
    "xfs": ["xfs_repair", "-n"],
}
IMAGE_BYTES = 400 << 20  # the least that mkfs.xfs makes is 300 MB; the file is sparse
CUTS = 2  # of each file system
CLIENTS = 3
POSTS_MAX = 1000
PAGE_KB = resource.getpagesize() // 1024
ACKNOWLEDGED_S = 20
ROOM_BYTES = 2 << 20  # that are left when the disk turns out to be smaller
FILL = 40_000  # bytes of a job that is to use them up


def one_round(seed: int, bug: str | None = None) -> Figures:
    """Cuts of each file system, and a failed sync on each."""
    began = time.monotonic()
    figures = run_in_private_mounts(f"{__name__}:cut_all", seed, bug)
    return {**figures, "seconds": round(time.monotonic() - began)}


def cut_all(seed: int, bug: str | None = None) -> Figures:
    """Runs where it may mount."""
    dice = Random(seed)
    figures: Counter[str] = Counter()
    for kind in FILE_SYSTEMS:
        figures.update(_cuts(kind, dice, bug))
        figures.update(_failed_sync(kind, dice, bug))
    return figures


def cut_once(seed: int, bug: str | None = None) -> Figures:
    """One cut of an ext4. Runs where it may mount."""
    return _cuts("ext4", Random(seed), bug, cuts=1)


class Disk:
    """A file system in a file, mounted at `point`."""

    def __init__(self, kind: str, folder: Path, point: Path) -> None:
        self.kind = kind
        self.point = point
        self._image = folder / "image"
        with self._image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        run(*FILE_SYSTEMS[kind], str(self._image))
        self.mount()

    def cut(self) -> None:
        """Nothing more reaches it, and what has not yet never will."""
        handle = os.open(self.point, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(handle)

    def mount(self) -> None:
        """From here on it can be used."""
        mount("-o", "loop", str(self._image), str(self.point))

    def unmount(self) -> None:
        """At once, and not when nobody looks any more: what it has in memory is to be gone."""
        run("umount", str(self.point))

    def take_page_by_page(self) -> None:
        """Of a larger request that finds room for its beginning only, the loop device says that it
        is done. A disk may fail, but this one is not to lie.
        """
        number = self.point.stat().st_dev
        device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
        try:
            (device / "queue/max_sectors_kb").write_text(str(PAGE_KB))
        except OSError as error:
            raise CannotRunError(f"{device} cannot be told how to write: {error}") from error

    def require_sound(self) -> None:
        """What the file system's own check says; it is not mounted."""
        command = [*CHECKS[self.kind], str(self._image)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{self.kind}: {done.stdout[-2000:]} {done.stderr[-2000:]}"


@contextmanager
def disk_of(kind: str, folder: Path) -> Iterator[Disk]:
    """A disk for the length of a `with`, whose file lies in this folder."""
    with TemporaryDirectory(prefix="joblog-disk-") as point:
        disk = Disk(kind, folder, Path(point))
        try:
            yield disk
        finally:
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def _cuts(kind: str, dice: Random, bug: str | None, *, cuts: int = CUTS) -> Figures:
    with (
        TemporaryDirectory(prefix="joblog-image-") as folder,
        disk_of(kind, Path(folder)) as disk,
        trial(dice, bug, disk.point / "data") as stage,
    ):
        with under_load(stage, clients=CLIENTS):
            for _ in range(cuts):
                _one_cut(stage, disk)
        stage.settle()
        disk.unmount()
        disk.require_sound()
        return {f"power cuts of {kind}": cuts, "promises": len(stage.promises), "jobs lost": 0}


def _one_cut(stage: Trial, disk: Disk) -> None:
    stage.start()
    number = stage.dice.randrange(20, 80)
    assert stage.address.after_promises(number, within_s=ACKNOWLEDGED_S), "it is stuck"
    stage.freeze()  # a machine without power answers nobody, whatever its disk said meanwhile
    disk.cut()
    stage.kill()
    disk.unmount()
    disk.mount()
    stage.require_kept()


def _failed_sync(kind: str, dice: Random, bug: str | None) -> Figures:
    """A disk that turns out to be smaller than it said, until it is larger again."""
    size = f"size={IMAGE_BYTES}"
    with (
        mounted("-t", "tmpfs", "-o", size, "none") as below,
        disk_of(kind, below) as disk,
        trial(dice, bug, disk.point / "data") as stage,
    ):
        disk.take_page_by_page()
        client = OneClient(stage)
        client.work(20)
        used = os.statvfs(below)
        left = (used.f_blocks - used.f_bfree) * used.f_frsize + ROOM_BYTES
        mount("-o", f"remount,size={left}", str(below))
        with suppress(Away):  # it may be quicker than its answer
            client.until_refused(posts=POSTS_MAX, fill=FILL)
        client.require_end()
        disk.unmount()
        mount("-o", f"remount,{size}", str(below))
        disk.mount()
        stage.require_kept()
        stage.settle()
        return {"failed syncs": 1, "promises": len(stage.promises)}


LEVEL = Level(
    name="power cuts",
    breaks="ext4 and xfs shut down without a flush under load; syncs that fail because they must",
    proves="what was acknowledged is on the disk, not only in memory; a failed sync is the end",
    leaves="torn sectors; disks that lie; names, which these two keep without a sync",
    round=one_round,
    short=1,
    least={"power cuts of ext4": 2, "power cuts of xfs": 2, "promises": 100, "failed syncs": 2},
    alone=True,
)
