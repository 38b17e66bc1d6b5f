"""The interpreter of a process that serves: how it shares its time among threads, and when it looks
for garbage.

The event loop shares one interpreter with threads that read the log and write the read models.
CPython lets a thread keep it for 5 ms before another gets it back, and the loop asks for it after
each of its waits; with SWITCH_S it has it back in a fifth of that. (It also posts more: each answer
waits for the loop several times.)

Objects that may be part of a cycle are visited by the garbage collector, all of them whenever their
number has grown by a quarter, and nobody is answered for that long: 60 to 110 ms with 100,000
pending jobs. Those are there from the start on, and are no garbage: a start makes them without the
collector, which is quicker, and then takes them out of its sight. Young objects are visited a few
thousand at a time, since most of what a request makes is gone by itself before.

It changes the whole process, so it is for who owns that: `service.server`.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SWITCH_S: Final = 0.001
YOUNG_OBJECTS: Final = 5_000  # are visited at once: a millisecond; 700 cost each request more


@contextmanager
def serving_well() -> Iterator[Callable[[], None]]:
    """For the length of a `with`. What is yielded is to be called once everything has started."""
    switch_s, (young, *older) = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(YOUNG_OBJECTS, *older)
    gc.disable()

    def started() -> None:
        gc.freeze()
        gc.enable()

    try:
        yield started
    finally:
        gc.unfreeze()
        gc.enable()
        gc.set_threshold(young, *older)
        sys.setswitchinterval(switch_s)
