"""Processors as users write them, for tests of the kit: one that is obedient in every way a test
may ask for, by its payload, and a few with a character of their own.

They know nothing of the kit.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from service import Attempt, Permanent, RetryAfter, processor


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What `work` shall do: sleep so long, and fail in its first so many attempts."""

    sleep_s: float = 0.0
    failures: int = 0
    retry_after_s: float | None = None
    permanent: bool = False


@processor("work", timeout=60)
async def work(payload: Order, attempt: Attempt) -> dict[str, Any]:
    """Do as ordered; say when it was done, by three clocks."""
    await asyncio.sleep(payload.sleep_s)
    if attempt.number <= payload.failures:
        if payload.permanent:
            raise Permanent("never")
        if payload.retry_after_s is not None:
            raise RetryAfter(payload.retry_after_s)
        raise ValueError(f"no luck in attempt {attempt.number}")
    return {
        "at": datetime.now(UTC).isoformat(),
        "time": time.time(),
        "loop": asyncio.get_running_loop().time(),
    }


@processor("plain")
def plain(payload: Any, attempt: Attempt) -> Any:
    """A plain function."""
    return [payload, attempt.number]
