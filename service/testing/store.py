"""A store in memory that outlives the processes that write to it, and can die under one.

A test that asks what a crash does to a job needs what a disk does in production: the next process
finds what the last one had recorded, and nothing that it had not. So closing it leaves the events
where they are, and to a process that died it is closed.

It is `MemoryStore` otherwise, and knows nothing of jobs but which events are outcomes.
"""

from collections.abc import Sequence

from eventstore.errors import StoreClosed
from eventstore.event import Append
from eventstore.memory import MemoryStore
from eventstore.store import Result

OUTCOMES = {"JobCompleted", "AttemptFailed"}


class SurvivingStore(MemoryStore):
    """See the module."""

    def __init__(self, *, log_id: str) -> None:
        super().__init__(log_id=log_id)
        self._dies_at_outcome = False
        self.is_dead = False  # the process that writes: nothing of it is recorded from now on

    def die(self) -> None:
        """The process ends here."""
        self.is_dead = True

    def die_at_outcome(self) -> None:
        """It will end when the next attempt has done its work and is about to say so."""
        self._dies_at_outcome = True

    def live_again(self) -> None:
        """Another process takes over."""
        self.is_dead = self._dies_at_outcome = False

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        """See EventStore."""
        if self._dies_at_outcome and any(_is_outcome(append) for append in batch):
            self.die()
        if self.is_dead:
            raise StoreClosed
        return await super().commit(batch)

    async def aclose(self) -> None:
        """The process that wrote is gone; what it wrote is not."""


def _is_outcome(append: Append) -> bool:
    return not OUTCOMES.isdisjoint(event.type for event in append.events)
