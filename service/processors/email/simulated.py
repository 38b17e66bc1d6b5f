"""A transport that delivers nothing: it takes a moment, and fails a seeded share of attempts.

Which attempts fail is a function of the seed, the job and the attempt's number alone, so a restart,
another order of jobs, or a replay of a test changes nothing. Three domains are not left to chance,
for demonstrations and tests: `…@flaky.example` fails at the first attempt, `…@fail.example` at
every one, `…@invalid.example` is refused for good.
"""

import asyncio
import hashlib
from typing import Any

from service.processors import Attempt, Permanent
from service.processors.email.message import Email


class SimulatedFailureError(Exception):
    """The pretended mail server is not to be had just now."""


class SimulatedTransport:
    """Carries messages nowhere."""

    def __init__(self, *, seed: int, failure_rate: float, latency_s: float) -> None:
        self._seed = seed
        self._failure_rate = failure_rate
        self._latency_s = latency_s

    async def __call__(self, message: Email, attempt: Attempt) -> dict[str, Any]:
        """Pretend to send; return what a mail server would have said."""
        await asyncio.sleep(self._latency_s)
        domain = message.to.rpartition("@")[2]
        if domain == "invalid.example":
            raise Permanent(f"550 5.1.1 no such mailbox: {message.to} (simulated)")
        if self._fails(domain, attempt):
            raise SimulatedFailureError("451 4.3.0 mail system temporarily unavailable (simulated)")
        return {"transport": "simulated", "reply": "250 2.0.0 accepted (simulated)"}

    def _fails(self, domain: str, attempt: Attempt) -> bool:
        if domain == "flaky.example":
            return attempt.number == 1
        return domain == "fail.example" or self._draw(attempt) < self._failure_rate

    def _draw(self, attempt: Attempt) -> float:
        """A number from 0 to 1 that this attempt will always draw."""
        text = f"{self._seed}:{attempt.job_id}:{attempt.number}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
