"""What can go wrong at a call of the simulated disk, and for which call it makes sense.

A test asks `FAULTS` for all of it and tries each at each call, once and for ever, so that no
combination is left to luck. The disk (`simdisk`) carries it out; nothing here does anything.
"""

import errno
from enum import Enum
from typing import NamedTuple


class PowerCut(BaseException):
    """The machine is off. Not an Exception, for nothing under test may catch it."""


class Hang(BaseException):
    """The program goes on for ever, say around a write that takes nothing."""


class Fault(Enum):
    """What a call can do instead of its work."""

    EIO = "an error of the device"
    ENOSPC = "no room"
    EMFILE = "no file descriptor left"
    SHORT = "takes half of the bytes and says so"
    SHORT_THEN_ENOSPC = "takes half of the bytes, and the next write finds no room"
    ZERO = "takes nothing and says so"


ERRORS = {Fault.EIO: errno.EIO, Fault.ENOSPC: errno.ENOSPC, Fault.EMFILE: errno.EMFILE}
FAULTS: dict[str, tuple[Fault, ...]] = {
    "create": (Fault.EMFILE, Fault.ENOSPC),
    "write": (Fault.ENOSPC, Fault.EIO, Fault.SHORT, Fault.SHORT_THEN_ENOSPC, Fault.ZERO),
    "truncate": (Fault.EIO,),
    "datasync": (Fault.EIO, Fault.ENOSPC),
    "rename": (Fault.EIO,),
    "unlink": (Fault.EIO,),
    "syncdir": (Fault.EIO,),
    "allocate": (Fault.ENOSPC,),
    "mkdir": (Fault.ENOSPC,),
}


class Plan(NamedTuple):
    """What fails: the first call of this name with a number from `at` on, or each of them."""

    call: str
    fault: Fault
    at: int
    for_ever: bool

    def due(self, call: str, number: int) -> bool:
        """Whether this call fails."""
        return call == self.call and number >= self.at

    def after(self) -> list["Plan"]:
        """What is left of the plan once it happened."""
        if self.fault is Fault.SHORT_THEN_ENOSPC:
            return [self._replace(fault=Fault.ENOSPC)]
        return [self] if self.for_ever else []


def error(fault: Fault) -> OSError:
    """What the system raises."""
    return OSError(ERRORS[fault], fault.value)
