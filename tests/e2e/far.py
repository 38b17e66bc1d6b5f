"""What remote workers under trial run: `worker --processors tests.e2e.far`.

A job of kind `far` ends as its payload says. One whose payload says `freeze` stops its own process
in its first attempt, as a machine that sleeps does, and has its result ready when it wakes: the
attempt has become a zombie by then, and must not be believed. Later ones take `later_s`.
"""

import asyncio
import os
import signal
from typing import Any

from service import Attempt, processor
from tests.e2e import small


@processor("far")
async def far(payload: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
    small.note_run(attempt)
    again = attempt.number > 1
    await asyncio.sleep(payload.get("later_s", 0) if again else payload.get("takes_s", 0))
    if payload.get("freeze") and not again:
        os.kill(os.getpid(), signal.SIGSTOP)
    return small.end_as_told(payload, attempt)
