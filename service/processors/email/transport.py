"""What carries a letter: the one thing the kind `email` needs, and three that can do it.

A transport is given a letter and the attempt, and returns what is to be kept of its success, or
raises what a processor may raise. It sends to nobody whose index is in `attempt.accepted` or
`attempt.refused`, and adds there who is settled.
"""

from typing import Any, Protocol

from service.processors import Attempt
from service.processors.email.mime import Letter


class Transport(Protocol):
    """Carries letters, until it is closed."""

    timeout_s: float  # how long an attempt may take by default

    async def __call__(self, letter: Letter, attempt: Attempt) -> dict[str, Any]:
        """Deliver it to the recipients that are left. Raises AttemptError."""
        ...

    async def aclose(self) -> None:
        """Let go of what is open. Nothing is sent afterwards."""
        ...


def left_over(letter: Letter, attempt: Attempt) -> list[int]:
    """The recipients, by index, that no attempt has settled yet."""
    settled = attempt.accepted | attempt.refused
    return [index for index in range(len(letter.recipients)) if index not in settled]
