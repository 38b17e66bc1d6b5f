"""The built-in kind `email`: a message, and a transport that carries it.

`message` is what a client posts, `simulated` a transport that delivers nothing and fails now and
then, so that a newcomer sees retries before he has a mail server. The processor only hands one to
the other.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from projections.events import BackoffPolicy
from service.processors import Attempt, Processor, processor
from service.processors.email.message import Email

Transport = Callable[[Email, Attempt], Awaitable[dict[str, Any]]]


def email_processor(transport: Transport, *, backoff: BackoffPolicy) -> Processor:
    """The processor of kind `email` over this transport."""

    @processor("email", timeout=60, backoff=backoff)
    async def email(payload: Email, attempt: Attempt) -> dict[str, Any]:
        return await transport(payload, attempt)

    return email
