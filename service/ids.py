"""Job ids: UUIDv7 for new jobs, UUIDv8 for jobs with an idempotency key (RFC 9562).

A v7 begins with its millisecond, so ids sort roughly by age and indexes grow at their end. A v8 is
computed from who asked, the kind and the key: a repeat asks for the same stream, and the store's
"expected: no such stream" refuses the second creation on every engine. The dice are passed in, so
that a seeded run makes the same ids.
"""

import hashlib
from random import Random
from uuid import UUID

from eventstore.timestamp import EPOCH, Timestamp, seconds_between

_VARIANT = 0b10 << 62


def new_job_id(now: Timestamp, dice: Random) -> str:
    """A UUIDv7: 48 bits of milliseconds, 74 bits of dice."""
    microseconds = round(seconds_between(EPOCH, now) * 1_000_000)  # exact, unlike milliseconds
    milliseconds = microseconds // 1000
    random_a, random_b = dice.getrandbits(12), dice.getrandbits(62)
    return str(UUID(int=milliseconds << 80 | 7 << 76 | random_a << 64 | _VARIANT | random_b))


def keyed_job_id(*names: str) -> str:
    """A UUIDv8 from SHA-256 over the names, each with its length, so that ("ab", "c") is not ("a",
    "bc").
    """
    sha = hashlib.sha256()
    for name in names:
        encoded = name.encode()
        sha.update(len(encoded).to_bytes(4, "big") + encoded)
    bits = int.from_bytes(sha.digest()[:16], "big")
    kept = bits & ~(0xF << 76) & ~(0b11 << 62)
    return str(UUID(int=kept | 8 << 76 | _VARIANT))
