"""What the rows of a run stand on: a directory, the plan, and what rows before them have made.

A row may need what another found (the rate of intake) or made (the log of the drain, a long
history). It asks for that here, and it is made when it is first asked for: so any row can be run
alone, and none is measured twice.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from eventstore import clock
from eventstore.file.disk import SystemDisk
from service.bench.load import Done, Order, generate
from service.bench.measured import Measured
from service.bench.plan import Plan

T = TypeVar("T")

Advance: TypeAlias = Callable[[int], None]
Progress: TypeAlias = Callable[[int, str], AbstractContextManager[Advance]]
Measure: TypeAlias = Callable[["Ground"], Measured]

APPENDED = b"x" * 400 + b"\n"  # about the size of an event's line


class Ground:
    """One run. `progress` shows how far something is, given the number of its steps and a word."""

    def __init__(
        self, root: Path, plan: Plan, measures: Mapping[str, Measure], progress: Progress
    ) -> None:
        self.plan = plan
        self.progress = progress
        self._root = root
        self._measures = measures
        self._made: dict[str, Any] = {}

    def row(self, name: str) -> Measured:
        """What a row found out."""
        return self.once(name, self._measures[name])

    def once(self, name: str, make: Callable[["Ground"], T]) -> T:
        """What `make` makes of this ground; made when it is first asked for by this name."""
        if name not in self._made:
            self._made[name] = make(self)
        made: T = self._made[name]
        return made

    def folder(self, name: str) -> Path:
        """A directory of this name; it is empty when it is new."""
        path = self._root / name
        path.mkdir(exist_ok=True)
        return path

    def step_by_step(self, steps: Iterable[Callable[[], None]], label: str) -> None:
        """Take steps, and show how far it is."""
        every = list(steps)
        with self.progress(len(every), label) as advance:
            for step in every:
                step()
                advance(1)

    def load(self, label: str, *orders: Order) -> list[Done]:
        """Have orders carried out, one after the other; what was done of each."""
        done: list[Done] = []
        with self.progress(len(orders), label) as advance:
            for each in generate(*orders):
                done.append(each)
                advance(1)
        return done

    def syncs_s(self) -> list[float]:
        """How long appends of a line with a sync take now, one after the other, in seconds."""
        disk, path = SystemDisk(), self.folder("syncs") / "lines"
        found: list[float] = []
        handle = disk.create(str(path))
        try:
            for _ in range(self.plan.syncs):
                since = clock.monotonic()
                disk.write(handle, APPENDED)
                disk.datasync(handle)
                found.append(clock.monotonic() - since)
        finally:
            disk.close(handle)
            path.unlink()
        return found
