"""A progress bar on stderr, for people who wait: on a terminal only, and only for long work.

Work that takes less than half a second shows nothing, and in a pipe or a cron job there is never a
bar among the lines.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import click

from eventstore import clock

SHOW_AFTER_S = 0.5

Advance: TypeAlias = Callable[[int], None]


@contextmanager
def progress(length: int, label: str) -> Iterator[Advance]:
    """Yields what is to be called with each step's size; `length` is the sum of them."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with ExitStack() as shown:
        yield _Bar(length, label, shown).advance


class _Bar:
    """Appears once the work has taken a while."""

    def __init__(self, length: int, label: str, shown: ExitStack) -> None:
        self._length = length
        self._label = label
        self._shown = shown
        self._since = clock.monotonic()
        self._done = 0
        self._bar: Any = None

    def advance(self, steps: int) -> None:
        self._done += steps
        if self._bar is not None:
            self._bar.update(steps)
        elif clock.monotonic() - self._since > SHOW_AFTER_S:
            bar = click.progressbar(length=self._length, label=self._label, file=sys.stderr)
            self._bar = self._shown.enter_context(bar)
            self._bar.update(self._done)
