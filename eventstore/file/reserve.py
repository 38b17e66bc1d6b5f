"""Room that is kept for a full disk: a file to give up at the first "no space left".

What it leaves is for the outcomes of attempts that already run, and for the copy that an open
makes; new work is refused well before (`service.admission`). It is made again once there is ample
room. Losing it loses nothing.
"""

import errno
from contextlib import suppress

from eventstore.file.disk import Disk

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
RESERVE_BYTES = 16 * 1024 * 1024  # the outcomes of tens of thousands of running attempts


def ensure(disk: Disk, root: str) -> None:
    """Make the reserve when there is ample room for it."""
    path = f"{root}/reserve"
    try:
        if disk.free(root) < 4 * RESERVE_BYTES:
            return
        handle = disk.create(path)
    except OSError:  # it is there, or there is no room: both are fine
        return
    try:
        disk.allocate(handle, RESERVE_BYTES)
    except OSError:
        with suppress(OSError):
            disk.unlink(path)
    finally:
        disk.close(handle)


def give_up(disk: Disk, root: str) -> bool:
    """Make room. False when there was no reserve to give up."""
    try:
        disk.unlink(f"{root}/reserve")
    except OSError:
        return False
    return True
