"""A coroutine that was run up to where it first waits for something.

Much of what a task costs is set up around it in case that it waits, such as a time limit, and many
processors never do. So a coroutine is begun first, and only one that waits is awaited, inside all
of that:

    begun = Begun(coroutine)
    result = begun.result if begun.ended else await begun

It is for the task that goes on to await it, at once: what the coroutine waits for has been told so.
"""

from collections.abc import Coroutine, Generator
from typing import Any


class Begun:
    """See the module. Raises what the coroutine raises before it waits."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self.ended = False
        self.result: Any = None
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration as end:
            self.ended = True
            self.result = end.value

    def __await__(self) -> Generator[Any, Any, Any]:
        """Go on, as if it had been awaited from the beginning."""
        waits_for = self._waits_for
        try:
            while True:
                try:
                    got = yield waits_for
                except GeneratorExit:
                    self._coroutine.close()
                    raise
                except BaseException as error:  # noqa: BLE001  it is the coroutine's to take
                    waits_for = self._coroutine.throw(error)
                else:
                    waits_for = self._coroutine.send(got)
        except StopIteration as end:
            return end.value
