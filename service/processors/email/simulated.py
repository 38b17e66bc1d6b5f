"""A transport that delivers nothing: it takes a moment, and fails a seeded share of attempts.

Which attempts fail is a function of the seed, the job and the attempt's number alone, so a restart,
another order of jobs, or a replay of a test changes nothing. Three domains are not left to chance,
for demonstrations and tests: a letter to anybody at `flaky.example` fails at the first attempt, to
`fail.example` at every one, and a recipient at `invalid.example` is refused for good.
"""

import asyncio
import hashlib
from typing import Any

from service.processors import Attempt, Permanent
from service.processors.email.mime import Letter
from service.processors.email.transport import left_over


class SimulatedFailureError(Exception):
    """The pretended mail server is not to be had just now."""


class SimulatedTransport:
    """Carries letters nowhere."""

    timeout_s = 60.0

    def __init__(self, *, seed: int, failure_rate: float, latency_s: float) -> None:
        self._seed = seed
        self._failure_rate = failure_rate
        self._latency_s = latency_s

    async def __call__(self, letter: Letter, attempt: Attempt) -> dict[str, Any]:
        """Pretend to send; return what a mail server would have said."""
        await asyncio.sleep(self._latency_s)
        domains = [address.rpartition("@")[2] for address in letter.recipients]
        left = left_over(letter, attempt)
        attempt.refused.update(index for index in left if domains[index] == "invalid.example")
        taken = set(left) - attempt.refused
        if taken and self._fails({domains[index] for index in taken}, attempt):
            raise SimulatedFailureError("451 4.3.0 mail system temporarily unavailable (simulated)")
        attempt.accepted.update(taken)
        if attempt.refused:
            names = ", ".join(letter.recipients[index] for index in sorted(attempt.refused))
            raise Permanent(f"550 5.1.1 no such mailbox: {names} (simulated)")
        return {"transport": "simulated", "reply": "250 2.0.0 accepted (simulated)"}

    async def aclose(self) -> None:
        """See Transport: nothing is open."""

    def _fails(self, domains: set[str], attempt: Attempt) -> bool:
        if "fail.example" in domains:
            return True
        if "flaky.example" in domains:
            return attempt.number == 1
        return self._draw(attempt) < self._failure_rate

    def _draw(self, attempt: Attempt) -> float:
        """A number from 0 to 1 that this attempt will always draw."""
        text = f"{self._seed}:{attempt.job_id}:{attempt.number}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
