"""Job ids: UUIDv7 for new jobs, UUIDv8 for jobs with an idempotency key (RFC 9562).

A v7 begins with its millisecond, so ids sort roughly by age and indexes grow at their end. A v8 is
computed from who asked, the kind and the key: a repeat asks for the same stream, and the store's
"expected: no such stream" refuses the second creation on every engine. The dice are passed in, so
that a seeded run makes the same ids.
"""

import hashlib
from functools import lru_cache
from random import Random

from eventstore.timestamp import EPOCH, Timestamp, seconds_between

SECONDS_REMEMBERED_MAX = 8

_VARIANT = 0b10 << 62
_SECOND = slice(len("1970-01-01T00:00:00"))
_MILLISECOND = slice(len("1970-01-01T00:00:00."), len("1970-01-01T00:00:00.000"))


def new_job_id(now: Timestamp, dice: Random) -> str:
    """A UUIDv7: 48 bits of milliseconds, 74 bits of dice."""
    milliseconds = _second_ms(now[_SECOND]) + int(now[_MILLISECOND])
    random_a, random_b = dice.getrandbits(12), dice.getrandbits(62)
    return _written(milliseconds << 80 | 7 << 76 | random_a << 64 | _VARIANT | random_b)


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
    return _written(kept | 8 << 76 | _VARIANT)


@lru_cache(SECONDS_REMEMBERED_MAX)
def _second_ms(second: str) -> int:
    """When a second of UTC began, in milliseconds since 1970. Most ids are drawn in the same."""
    return round(seconds_between(EPOCH, f"{second}.000000Z")) * 1000


def _written(bits: int) -> str:
    """A UUID of these 128 bits, as text. `uuid.UUID` writes the same at several times the cost."""
    digits = bits.to_bytes(16, "big").hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
