"""Long work on a thread that nobody waits for, done at leisure: what writes a cache behind the log.

Such a thread takes the interpreter and a processor from the event loop, and while it works without
a break every request is answered late. So it works in slices, and rests after each for RESTS times
as long as the slice took: it takes longer, and is noticed less. As soon as somebody waits for it
(`hurried`), and for as long, it does not rest.

The rest is a wait for that somebody, so he is never kept waiting by it. Where no time passes, as in
a test that froze it, there is none.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from eventstore import clock

RESTS: Final = 2  # so at most a third of a processor is taken

Rest: TypeAlias = Callable[[], None]


class Leisure:
    """How one kind of work is done: at leisure, unless somebody waits."""

    def __init__(self) -> None:
        self._hurry = threading.Event()
        self._waiting = 0

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """For as long as somebody waits. On the event loop."""
        self._waiting += 1
        self._hurry.set()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._hurry.clear()

    def begin(self) -> Rest:
        """A piece of work begins, on the calling thread: what to call after each slice of it."""
        since = clock.monotonic()

        def rest() -> None:
            nonlocal since
            took_s = clock.monotonic() - since
            if took_s > 0:
                self._hurry.wait(RESTS * took_s)
            since = clock.monotonic()

        return rest


def without_rest() -> None:
    """The rest of who has no time for one."""
