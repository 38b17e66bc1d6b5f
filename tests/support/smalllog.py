"""A small log on a simulated disk, and two ways to open it: whole, or its files alone.

`open_store` is the store as a server opens it. `LogFiles` is the part of that which decides what a
crash leaves: the directory, the recovery, the writer, called as `FileStore` calls them. Above them
in a store are an index that is made from the log, and an event loop; they cost ten times as much,
so a search over hundreds of thousands of disks opens most of them without.

`run_still` is for the store: a loop on which no time passes.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from random import Random
from typing import Any, TypeVar, TypeVarTuple

from freezegun import freeze_time

from eventstore.event import NEW, Append, Event, Head, prepare
from eventstore.file.directory import open_directory
from eventstore.file.reader import Reader
from eventstore.file.recovery import recover
from eventstore.file.segment import file_name, scan, seed_of
from eventstore.file.store import FileStore
from eventstore.file.writer import Writer
from eventstore.offload import Inline
from tests.support.history import AT, Broken, Planned
from tests.support.simdisk import SimDisk

ROOT = "data"
LOG_ID = f"{Random(1).getrandbits(128):032x}"
SEGMENT_EVENTS = 6  # so small that a few commits fill two segments and begin a third
EVENTS_MAX = 1_000  # more than any log here holds

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class StillLoop(asyncio.SelectorEventLoop):
    """A loop on which no time passes: timers never fire, so nothing happens behind our back."""

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """A timer that can be cancelled, and nothing else."""
        return asyncio.TimerHandle(when, callback, args, self, context)


def run_still(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it to its end at one instant: the same calls leave the same bytes."""
    with freeze_time(AT), asyncio.Runner(loop_factory=StillLoop) as runner:
        return runner.run(coroutine)


class SameDice(Random):
    """A new log has the same id each time, and no generator is seeded for it."""

    def getrandbits(self, k: int, /) -> int:
        """The id, as LOG_ID has it."""
        assert k == 128
        return int(LOG_ID, 16)


DICE = SameDice()


async def open_store(disk: SimDisk, segment_events: int = SEGMENT_EVENTS) -> FileStore:
    """The log on a disk; the same one each time it is begun."""
    return await FileStore.open(
        ROOT, dice=DICE, offload=Inline(), disk=disk, segment_events=segment_events
    )


async def write_all(disk: SimDisk, batches: Sequence[Sequence[Planned]]) -> list[Event]:
    """A log with these appends, a commit a batch, closed in good order; its events."""
    store = await open_store(disk)
    heads = {"log": Head(1, 1)}
    for batch in batches:
        appends = [
            prepare(stream, heads.get(stream, NEW), events, nonce=nonce)
            for stream, nonce, events in batch
        ]
        for append, result in zip(appends, await store.commit(appends), strict=True):
            assert isinstance(result, list)
            heads[append.stream] = result[-1].head
    events = await store.read(limit=EVENTS_MAX)
    await store.aclose()
    disk.restart()
    return events


class LogFiles:
    """A log's files, recovered and open for writing. Raises what the store's opening raises.
    `require_head` is the witness of where the log ends; without one, nobody has seen more.
    """

    def __init__(
        self,
        disk: SimDisk,
        segment_events: int = SEGMENT_EVENTS,
        *,
        require_head: Callable[[int], None] = lambda _: None,
    ) -> None:
        log_id = open_directory(disk, ROOT, owner="nobody", dice=DICE).log_id
        reader = Reader(disk, ROOT, log_id, segment_events=segment_events)
        recovered = recover(
            disk, ROOT, log_id, reader, segment_events=segment_events, require_head=require_head
        )
        self._writer = Writer(disk, ROOT, log_id, reader, recovered, segment_events=segment_events)
        self._reader = reader
        self._head = recovered.head

    def read(self) -> list[Event]:
        """All of it."""
        return self._reader.page(0, EVENTS_MAX, until=self._head)

    def commit(self, appends: Sequence[Append]) -> None:
        """Write and sync these, which stand where they expect to."""
        self._writer.commit(appends, [AT] * len(appends))


def log_files(disk: SimDisk) -> dict[str, bytes]:
    """The files that are the log."""
    return {path: data for path, data in disk.files().items() if path.startswith(f"{ROOT}/log/")}


def events_in(files: dict[str, bytes], segment_events: int = SEGMENT_EVENTS) -> list[Event]:
    """All events of a sound log. Raises Broken when it is not one."""
    events: list[Event] = []
    for path, data in sorted(files.items()):
        first = len(events) + 1
        found = scan(data, first=first, seed=seed_of(LOG_ID, first), sealed=True)
        if path != f"{ROOT}/log/{file_name(first)}" or found.fault is not None:
            raise Broken(f"{path} is not sound: {found.fault}")
        if len(found.lines) < segment_events and path != max(files):
            raise Broken(f"{path} is not full")
        events += [line.event for line in found.lines]
    return events
