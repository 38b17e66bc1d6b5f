"""A store in front of another, which passes everything on: what stands in the way of it a subclass
says, and only that. Not a store by itself.
"""

from collections.abc import Sequence

from eventstore.event import Append, Event
from eventstore.store import PAGE_MAX, EventStore, Result


class Through:
    """See the module."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def commit(self, batch: Sequence[Append]) -> list[Result]:
        """See EventStore."""
        return await self._store.commit(batch)

    async def read(self, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        """See EventStore."""
        return await self._store.read(after, limit)

    async def read_stream(self, stream: str, after_rev: int = 0) -> list[Event]:
        """See EventStore."""
        return await self._store.read_stream(stream, after_rev)

    async def head(self) -> int:
        """See EventStore."""
        return await self._store.head()

    async def wait(self, after: int, timeout: float) -> None:
        """See EventStore."""
        await self._store.wait(after, timeout)

    async def aclose(self) -> None:
        """See EventStore."""
        await self._store.aclose()
