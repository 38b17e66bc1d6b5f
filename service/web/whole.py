"""What a server can take and give at once where ASGI goes step by step: a body that is here
already, and an answer that is there as a whole.

A request's scope may hold an `Exchange` as WHOLE; `service.http` puts one there. Whoever finds
none, or is told that it cannot be done so now, does the same in ASGI's steps: nothing but time
depends on it.
"""

from typing import Final, Protocol

WHOLE: Final = "joblog.whole"


class Exchange(Protocol):
    """One request and its answer."""

    @property
    def is_here(self) -> bool:
        """Whether the last byte of the body has come: nothing more is waited for."""
        ...

    def take_body(self, bytes_max: int) -> bytes | None:
        """The body, if all of it is here and no longer than that; then nobody else gets it."""
        ...

    def answer(self, status: int, fields: bytes, body: bytes) -> bool:
        """Give the answer, whether it could be given so. `fields` are lines, each with its end."""
        ...
