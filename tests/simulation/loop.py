"""A loop on virtual time for many machines: it runs what is ready in an order drawn from the seed,
and jumps to the next deadline when nothing is.

Every callback belongs to the node in whose context it was made (a task hands its context on to
whatever it starts), so a machine can be treated as one:

- a node that is killed runs no further callback, not even a `finally`: it is a `kill -9`;
- a node that stands still (SIGSTOP, a long pause of a virtual machine) runs none until it goes on,
  and then finds that all its deadlines have passed. Time goes on for the others.

Both clocks of `eventstore.clock` are replaced by this loop's while it runs (freezegun, which the
other tests use, costs more than all the rest here). Wall clocks may be set, monotonic ones not.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from eventstore import clock
from eventstore.timestamp import timestamp
from service.testing.loop import Deadlock, Livelock

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
TURNS_MAX = 20_000  # of the loop at one instant
JITTER_S = 0.00005  # by which a timer may be late: so what is due together changes places
RESOLUTION_S = 0.0000005
TIME_S_MAX = 4 * 3600


class TooLongError(AssertionError):
    """So much time has passed, and something still goes on."""

    def __init__(self, tasks: "set[asyncio.Task[Any]]") -> None:
        names = sorted(f"{task.get_name()} of {task!r}" for task in tasks)
        super().__init__(f"after {TIME_S_MAX / 3600:g} hours these go on: {names}")


class Node:
    """A machine, or a process on one, in one of its lives."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.still = False
        self.cut_off = False  # from all others
        self.parked: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = copy_context()
        self.context.run(HERE.set, self)

    def __repr__(self) -> str:
        return self.name


HERE: ContextVar[Node | None] = ContextVar("the node whose callback runs", default=None)


class SeededLoop(asyncio.BaseEventLoop):
    """See the module."""

    def __init__(self, seed: str) -> None:
        super().__init__()
        self._dice = Random(seed)
        self._microseconds = 0
        self._clock_resolution = RESOLUTION_S
        self._turns = 0
        self._fatal: BaseException | None = None
        self._graves: list[Node] = []  # or what their coroutines do at the end would be done now
        self._resting: list[Callable[[], None]] = []
        self.set_back_s = 0.0  # of all wall clocks
        self.unseen: list[str] = []
        self.set_task_factory(_task_of_a_node)
        self.set_exception_handler(self._note_unseen)

    def time(self) -> float:
        """Seconds since the beginning."""
        return self._microseconds / 1e6

    def wall(self) -> str:
        """What a clock on the wall shows."""
        return self.wall_in(0)

    def wall_in(self, seconds: float) -> str:
        """What it will show, unless somebody sets it."""
        passed = timedelta(microseconds=self._microseconds, seconds=seconds - self.set_back_s)
        return timestamp(START + passed)

    def call_at(self, when, callback, *args, context=None):
        """See asyncio; a little late."""
        late = when + self._dice.random() * JITTER_S
        return super().call_at(late, callback, *args, context=context)

    def start(self, node: Node, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task:
        """A task on this node."""
        return self.create_task(coroutine, name=name, context=node.context.copy())

    def fail(self, error: BaseException) -> None:
        """There is nothing more to see: end here, with this."""
        self._fatal = error

    def kill(self, node: Node) -> None:
        """Nothing of it runs any more."""
        node.dead = True
        self._graves.append(node)
        for task in node.tasks:
            task._log_destroy_pending = False
        node.parked.clear()

    def stand_still(self, node: Node) -> None:
        """From the end of this instant on: what has begun at one instant ends at it."""
        self._resting.append(lambda: setattr(node, "still", True))

    def go_on(self, node: Node) -> None:
        """What became ready meanwhile is ready now, and late."""
        node.still = False
        self._ready.extend(node.parked)
        node.parked.clear()

    def _run_once(self) -> None:
        ready = self._ready
        if not ready:
            self._move_on()
        self._take_due()
        batch = list(ready)
        ready.clear()
        if len(batch) > 1:
            self._dice.shuffle(batch)
        for handle in batch:
            if handle._cancelled:
                continue
            node = handle._context.get(HERE)
            if node is not None:
                if node.dead:
                    continue
                if node.still:
                    node.parked.append(handle)
                    continue
            handle._run()
        if self._fatal is not None:
            raise self._fatal
        self._turns += 1
        if self._turns > TURNS_MAX:
            raise Livelock(asyncio.all_tasks(self))

    def _move_on(self) -> None:
        """To the next deadline."""
        for rest in self._resting:
            rest()
        self._resting.clear()
        self._turns = 0
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not scheduled:
            raise Deadlock(asyncio.all_tasks(self))
        due = round(scheduled[0]._when * 1e6)
        if due > TIME_S_MAX * 1e6:
            raise TooLongError(asyncio.all_tasks(self))
        self._microseconds = max(self._microseconds, due)

    def _take_due(self) -> None:
        end = self.time() + RESOLUTION_S
        scheduled = self._scheduled
        while scheduled and scheduled[0]._when < end:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            if not handle._cancelled:
                self._ready.append(handle)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is thrown away when it would be due."""

    def _write_to_self(self) -> None:
        """There are no threads that would have to wake us."""

    def run_in_executor(self, executor, func, *args):
        """There are no threads: nothing here may ask for one."""
        raise AssertionError(f"a thread was asked for: {func}")

    def _note_unseen(self, _: Any, context: dict[str, Any]) -> None:
        node = HERE.get()
        if node is None or not node.dead:
            self.unseen.append(f"{context['message']}: {context.get('exception')!r}")


def _task_of_a_node(
    loop: asyncio.AbstractEventLoop, coroutine: Any, context: Context | None = None
) -> asyncio.Task[Any]:
    """A task, and its node knows of it."""
    task = asyncio.Task(coroutine, loop=loop, context=context)
    node = HERE.get() if context is None else context.get(HERE)
    if node is not None:
        node.tasks.append(task)
    return task


@contextmanager
def simulated_time(seed: str) -> Iterator[SeededLoop]:
    """A loop, whose clocks everybody reads until the end."""
    now, monotonic = clock.now, clock.monotonic
    loop = SeededLoop(seed)
    clock.now, clock.monotonic = loop.wall, loop.time
    try:
        yield loop
    finally:
        clock.now, clock.monotonic = now, monotonic
        loop._scheduled.clear()
        loop.close()
