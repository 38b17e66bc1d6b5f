"""A kind of job that does nothing, for `joblog serve --processors`: what is left is joblog's share.

Its processor is a coroutine function, as those of most users are.
"""

import msgspec

from service.processors import Attempt, processor

KIND = "noop"


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A payload with a number, so that no two jobs are alike."""

    n: int


@processor(KIND)
async def do_nothing(payload: Nothing, attempt: Attempt) -> None:
    """Do nothing."""
    del payload, attempt
