"""Kinds for a server under load, for `joblog serve --processors`: one that does its work, one that
fails, one that is never done in time. With `JOBLOG_TRIAL_BUGS`, also bugs planted in the server.
"""

import asyncio
import os

import msgspec

from service.processors import Attempt, processor
from tests.e2e import load_bugs


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A payload with a number, so that no two jobs are alike."""

    n: int


@processor("steady")
async def steady(payload: Nothing, attempt: Attempt) -> None:
    """Do nothing."""


@processor("failing", max_attempts=2)
async def failing(payload: Nothing, attempt: Attempt) -> None:
    """Fail, and again."""
    raise ConnectionError("nobody there")


@processor("endless", max_attempts=1, timeout=0.2)
async def endless(payload: Nothing, attempt: Attempt) -> None:
    """Never be done."""
    await asyncio.Event().wait()


for _name in os.environ.get("JOBLOG_TRIAL_BUGS", "").split():
    getattr(load_bugs, _name)()
