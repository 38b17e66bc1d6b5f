"""Bugs that a server under load may have, to be planted in one: see `load_kinds`. Each is a small
mistake that somebody could make, and is never mended: the process ends with the trial.
"""

import asyncio
import os
from typing import Any

from service import admission, attempt
from service.web import gate, waits


def something_of_each_request_is_kept() -> None:
    """As by a cache of bodies without a bound."""
    kept: list[bytes] = []
    honest = gate.Gate.__call__

    async def call(self: gate.Gate, scope: Any, receive: Any, send: Any) -> None:
        kept.append(os.urandom(16 * 1024))
        await honest(self, scope, receive, send)

    gate.Gate.__call__ = call  # type: ignore[method-assign]


def each_request_waits_longer_than_the_last() -> None:
    """As behind a list that somebody goes through, and nobody shortens."""
    before = 0
    honest = gate.Gate.__call__

    async def call(self: gate.Gate, scope: Any, receive: Any, send: Any) -> None:
        nonlocal before
        before += 1
        await asyncio.sleep(before * before * 1e-6)
        await honest(self, scope, receive, send)

    gate.Gate.__call__ = call  # type: ignore[method-assign]


def intake_never_closes() -> None:
    """A queue without a bound."""
    admission.Admission.require_room = lambda self, jobs=1: None  # type: ignore[method-assign]


def a_held_request_opens_a_file_and_never_closes_it() -> None:
    """As a watcher that is not told when its client has gone."""
    kept: list[int] = []
    honest = waits.Waits.place

    def place(self: waits.Waits) -> Any:
        kept.append(os.open(os.devnull, os.O_RDONLY))
        return honest(self)

    waits.Waits.place = place  # type: ignore[method-assign]


def an_attempt_that_is_late_is_forgotten() -> None:
    """Its outcome is not recorded, so nobody knows that it ended."""
    honest = attempt.RunningAttempt._end

    async def end(self: attempt.RunningAttempt, outcome: Any) -> None:
        if outcome.ending is None or outcome.ending.reason != "timeout":
            await honest(self, outcome)

    attempt.RunningAttempt._end = end  # type: ignore[method-assign]
