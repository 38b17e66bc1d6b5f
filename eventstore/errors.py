"""What can go wrong in a store: each error says what is true of the log, and who must act.

Errors are for the world's faults; our own mistakes are assertions. A driver turns every failure of
its engine into one of these, and whatever it does not recognise is `OutcomeUnknown`: calling an
unknown failure "not written" is how logs get duplicates.

| error            | the log now is                      | who acts, how |
|------------------|-------------------------------------|---------------|
| `Conflict`       | unchanged by this append            | caller: read, decide again |
| `TooLarge`       | unchanged                           | caller: send less |
| `NotWritten`     | unchanged, certainly                | caller: again later |
| `OutcomeUnknown` | with this append or without, whole  | caller: the identical append again |
| `StoreFailed`    | as last synced; this store is done  | operator: look at the disk, restart |
| `StoreClosed`    | unchanged                           | nobody: we are stopping |
| `StoreLocked`    | somebody else's to write            | operator: stop the other writer |
| `StoreCorrupt`   | damaged, at the place named         | operator: the hint names the command |
| `Unsupported`    | untouched                           | operator: another version or engine |
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventstore.event import Head


LOST_END_HINT = (
    "Restore the missing end of log/ from a backup; or, if this directory is itself a restored"
    " older copy, delete index.sqlite and jobs.sqlite and start again"
)


class StoreError(Exception):
    """Any of the errors of this module."""


class Conflict(StoreError):
    """The stream ends elsewhere than expected; nothing was written."""

    def __init__(self, stream: str, expected: "Head", actual: "Head") -> None:
        super().__init__(f"stream {stream} ends at {actual}, not at {expected}")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class TooLarge(StoreError):
    """The event does not fit into a line; nothing was written."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the event takes {size} bytes, the limit is {limit}")
        self.size = size
        self.limit = limit


class NotWritten(StoreError):
    """Certainly not recorded, for a reason that may pass (`full`: no room); try again later."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not recorded: {reason}")
        self.reason = reason


class OutcomeUnknown(StoreError):
    """Recorded wholly or not at all, and we cannot tell which; it may still land."""


class StoreFailed(StoreError):
    """The store met a failure after which nothing it writes could be trusted, and refuses all
    writes.
    """


class StoreClosed(StoreError):
    """The store was closed."""

    def __init__(self) -> None:
        super().__init__("the store is closed")


class StoreLocked(StoreError):
    """Another process writes this log."""

    def __init__(self, path: str, owner: str) -> None:
        super().__init__(f"{path} is in use by {owner}")
        self.path = path
        self.owner = owner


class StoreCorrupt(StoreError):
    """The log holds what no writer of ours left there, or lacks what was acknowledged. Never
    repaired silently.
    """

    def __init__(
        self, found: str, *, file: str = "", line: int = 0, byte: int = 0, hint: str
    ) -> None:
        at = f"{file}, line {line}, byte {byte}: " if line else f"{file}: " if file else ""
        super().__init__(f"{at}{found}. {hint}")
        self.found = found
        self.file = file
        self.line = line
        self.byte = byte
        self.hint = hint


class Unsupported(StoreError):
    """The engine, its version or the file system cannot keep the contract."""

    def __init__(self, needs: str) -> None:
        super().__init__(needs)
        self.needs = needs
