"""What a server under trial runs itself: `serve --processors tests.e2e.near`.

A job of kind `near` notes that it runs, takes its time, and ends as its payload says. The kind
`far`, whose jobs remote workers run, is `far`'s.
"""

import asyncio
import os
from typing import Any

from service import Attempt, processor
from tests.e2e import planted, small

small.shrink()
planted.plant(os.environ.get(small.BUG))


@processor("near")
async def near(payload: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
    small.note_run(attempt)
    await asyncio.sleep(payload.get("takes_s", 0))
    return small.end_as_told(payload, attempt)
