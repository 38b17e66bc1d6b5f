"""Every way a small log can break off, and what must be true of it afterwards.

A `Checker` runs a workload over the real `FileStore` on a simulated disk, again and again: with
each fault at each call that changes the disk, once and for ever; with a power cut before and after
each call; and with a second fault while the first is being dealt with. Every state that the platter
may then be in, and the page cache that a killed process leaves, is opened and must keep these
promises:

- it opens, and what was acknowledged or shown to anybody is there;
- what is there is a beginning of what was submitted, append by append, each whole; what was refused
  (`NotWritten`, `StoreFailed`) is not there;
- nothing was acknowledged any more once a sync had failed;
- it goes on appending; after another power cut what was recovered and what was added are there;
- a second recovery changes nothing, nor does one that was itself interrupted at any of its calls.

Equal disks recover equally, so each is opened once and its answer remembered. The index is a cache
and starts empty after each cut. Nothing is drawn by lot but sectors: everything else is tried.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from itertools import count, groupby, islice
from random import Random
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

from freezegun import freeze_time

from eventstore.errors import NotWritten, OutcomeUnknown, StoreError, StoreFailed
from eventstore.event import NEW, Event, Head, NewEvent, prepare
from eventstore.file.store import FileStore
from eventstore.offload import Inline
from eventstore.store import Result
from tests.support.faults import FAULTS, Fault, Hang, Plan, PowerCut
from tests.support.simdisk import SimDisk

ROOT = "data"
AT = "2026-11-23T12:00:00.000000Z"
SEGMENT_EVENTS = 6  # so small that seven commits fill two segments and begin a third
EVENTS_MAX = 1_000  # more than any log here holds
INTERRUPTED_EVERY = 40  # one recovery of so many new disks is also interrupted at each of its calls
THOROUGH_EVERY = 20  # one of so many of those with a sweep over what the cut may leave, and faults
SWEEP_STEP = (
    97  # of the thousands of states that such a cut may leave, the sweep takes every so many
)
UNDO_CALLS_MAX = 10  # numbered calls after a fault in which the store may be undoing its commit

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class Broken(AssertionError):
    """The log broke a promise."""


class Planned(NamedTuple):
    """An append that the workload will make."""

    stream: str
    nonce: str
    events: tuple[NewEvent, ...]


def workload(*batches: Sequence[tuple[str, Sequence[int]]]) -> list[list[Planned]]:
    """Batches of appends; each is a stream and the bytes of padding in each of its events."""
    return [
        [
            Planned(stream, f"{number:08x}{item:08x}", tuple(map(_padded, paddings)))
            for item, (stream, paddings) in enumerate(batch)
        ]
        for number, batch in enumerate(batches)
    ]


def _padded(size: int) -> NewEvent:
    return NewEvent("Noted", AT, {"padding": "x" * size})


# LogOpened is position 1. The third batch begins at 6, so its append is torn between two segments;
# the fifth begins at 10 and is split after 12, where an append ends.
WORKLOAD = workload(
    [("a", [1])],
    [("b", [1, 60]), ("a", [1])],
    [("c", [1, 1, 400])],
    [("a", [1])],
    [("b", [1]), ("c", [1, 1]), ("a", [1])],
    [("d", [1, 1])],
    [("e", [1])],
)


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


@dataclass
class History:
    """What the callers of one run were told."""

    heads: dict[str, Head] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)  # in order, without what was refused
    refused: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)

    def submit(self, planned: Planned) -> None:
        """It is about to be sent, for the first time or again."""
        self.submitted.append(planned.nonce)
        self.refused.discard(planned.nonce)

    def settle(self, planned: Planned, result: Result) -> None:
        """What came of it. An unknown outcome leaves it where it is."""
        if isinstance(result, list):
            self.acknowledged.add(planned.nonce)
            self.heads[planned.stream] = result[-1].head
        elif isinstance(result, NotWritten | StoreFailed):
            self.submitted.remove(planned.nonce)
            self.refused.add(planned.nonce)
        elif not isinstance(result, OutcomeUnknown):
            raise Broken(f"{planned.nonce} was answered with {result!r}")

    def require(self, recovered: tuple[str, ...]) -> None:
        """Raise Broken unless a log with these appends keeps what the callers were told."""
        there = set(recovered)
        if lost := self.acknowledged - there:
            raise Broken(f"acknowledged and lost: {sorted(lost)}")
        if lost := self.shown - there:
            raise Broken(f"shown and lost: {sorted(lost)}")
        if wrong := self.refused & there:
            raise Broken(f"refused and recorded: {sorted(wrong)}")
        if list(recovered) != self.submitted[: len(recovered)]:
            raise Broken(f"{recovered} is not a beginning of {self.submitted}")


class Checker:
    """Tries everything, and counts.

    `runs` of a store; `images` judged, and how many of them were `distinct`; disks `opened`, among
    them those whose recovery had been `interrupted`.
    """

    def __init__(
        self, batches: list[list[Planned]] = WORKLOAD, disk: type[SimDisk] = SimDisk
    ) -> None:
        self.runs = self.images = self.distinct = self.opened = self.interrupted = 0
        self.tried: set[tuple[str, Fault, bool]] = set()
        self._batches = batches
        self._planned = {planned.nonce: planned for batch in batches for planned in batch}
        self._disk = disk
        self._dice = Random(1)
        self._known: dict[frozenset[tuple[str, bytes]], tuple[str, ...]] = {}

    async def everything(self) -> None:
        """Faults first: they find most bugs soonest."""
        await self.faults()
        await self.cuts()
        await self.second_faults()

    async def faults(self) -> None:
        """Each fault at each call, once and for ever."""
        for plan in _plans(await self.journal()):
            await self.run(self._disk(), plan)

    async def cuts(self) -> None:
        """A power cut before each call, and after each."""
        for number in range(len(await self.journal())):
            for before, after in ((number, -1), (-1, number)):
                disk = self._disk()
                disk.cut(before=before, after=after)
                await self.run(disk)

    async def second_faults(self) -> None:
        """A second fault while the store deals with a first that cost it room."""
        for first in _plans(await self.journal()):
            if first.fault in (Fault.ENOSPC, Fault.SHORT_THEN_ENOSPC) and not first.for_ever:
                journal = await self.journal(first)
                for second in _plans(journal[: first.at + UNDO_CALLS_MAX], after=first.at):
                    await self.run(self._disk(), first, second)

    async def journal(self, *plans: Plan) -> list[str]:
        """The numbered calls of a run in which nothing goes wrong but what is planned."""
        disk, history = _failing(self._disk(), *plans), History()
        await self._live(disk, history)
        if not plans and len(history.acknowledged) < len(self._planned):
            raise Broken("not even an untroubled run is acknowledged")
        return disk.journal

    async def run(self, disk: SimDisk, *plans: Plan) -> None:
        """One life of the store, and every state that it may leave behind."""
        self.runs += 1
        self.tried.update((plan.call, plan.fault, plan.for_ever) for plan in plans)
        history = History()
        try:
            with suppress(PowerCut):
                await self._live(_failing(disk, *plans), history)
            for image in disk.images(dice=self._dice, stale=_old_lines(disk)):
                history.require(await self._judge(image))
            self.images += 1
            disk.restart()
            history.require(await self._recover(disk))
        except Broken as broken:
            broken.add_note(f"after {plans}, having made the calls {disk.journal}")
            raise

    async def _live(self, disk: SimDisk, history: History) -> None:
        """Open, then submit batch after batch as callers do: once more when there was no room."""
        try:
            store = await open_store(disk)
        except (OSError, NotWritten, OutcomeUnknown, StoreFailed):
            return  # no log could be begun on this disk
        except StoreError as error:
            raise Broken(f"not begun: {error!r}") from error
        for batch in self._batches:
            results = await _submit(store, batch, history)
            if any(isinstance(result, NotWritten) for result in results):
                results = await _submit(store, batch, history)
            if disk.failed_syncs and any(isinstance(result, list) for result in results):
                raise Broken("acknowledged although a sync had failed")
            shown = {event.nonce for event in await store.read(limit=EVENTS_MAX)}
            history.shown |= shown & self._planned.keys()

    async def _judge(self, image: SimDisk) -> tuple[str, ...]:
        """The appends on a disk after a power cut; now and then its recovery is interrupted too."""
        self.images += 1
        known = len(self._known)
        found = await self._recovered(image.power_cut())
        if len(self._known) > known:
            self.distinct += 1
            if self.distinct % INTERRUPTED_EVERY == 0:
                thorough = self.distinct % (INTERRUPTED_EVERY * THOROUGH_EVERY) == 0
                await self._interrupt(image, found, thorough=thorough)
        return found

    async def _recovered(self, image: SimDisk) -> tuple[str, ...]:
        """The appends that a disk without unsynced changes holds."""
        files = frozenset(image.files().items())
        if files not in self._known:
            self._known[files] = await self._recover(image)
        return self._known[files]

    async def _recover(self, disk: SimDisk) -> tuple[str, ...]:
        """Open it, check the log, go on, cut the power, open again; the appends it held."""
        self.opened += 1
        try:
            store = await open_store(disk)
            events = await store.read(limit=EVENTS_MAX)
            found = self._whole_appends(events)
            events += await _go_on(store, events)
            later = disk.power_cut()
            before = log_files(later)
            again = await (await open_store(later)).read(limit=EVENTS_MAX)
        except Broken:
            raise
        except (Exception, Hang) as error:
            raise Broken(f"not usable: {error!r}") from error
        disk.restart()
        later.restart()
        if again != events:
            raise Broken("what was recovered or added did not survive the next power cut")
        if log_files(later) != before:
            raise Broken("a second recovery changed something")
        return found

    def _whole_appends(self, events: list[Event]) -> tuple[str, ...]:
        """The appends of a log. Raises Broken unless it is its opening and then whole appends."""
        if [event.pos for event in events] != list(range(1, len(events) + 1)):
            raise Broken("the positions are not 1, 2, 3 …")
        if events[0].type != "LogOpened":
            raise Broken(f"the log begins with {events[0].type}")
        groups = [(nonce, list(group)) for nonce, group in groupby(events[1:], _nonce)]
        revs: dict[str, int] = {}
        for nonce, recorded in groups:
            stream, _, planned = self._planned[nonce]
            rev = revs.get(stream, 0)
            expected = [(stream, rev + i, new.data) for i, new in enumerate(planned, 1)]
            if [(event.stream, event.rev, event.data) for event in recorded] != expected:
                raise Broken(f"append {nonce} is not whole: {recorded}")
            revs[stream] = rev + len(planned)
        return tuple(nonce for nonce, _ in groups)

    async def _interrupt(
        self, image: SimDisk, expected: tuple[str, ...], *, thorough: bool
    ) -> None:
        """Cut the power, or kill the process, before each call of a recovery, and recover again."""
        for number in count():
            disk = image.power_cut()
            disk.cut(before=number)
            try:
                await open_store(disk)
                break
            except PowerCut:
                left = [disk.power_cut()]
                if thorough:
                    left += islice(disk.images(dice=self._dice), 0, None, SWEEP_STEP)
                await self._require_same(expected, disk, left)
        if thorough:
            for plan in _plans(disk.journal):
                failing = _failing(image.power_cut(), plan)
                with suppress(OSError, StoreError):
                    await open_store(failing)
                await self._require_same(expected, failing)

    async def _require_same(
        self, expected: tuple[str, ...], killed: SimDisk, left: Sequence[SimDisk] = ()
    ) -> None:
        killed.restart()
        found = [await self._recover(killed)] + [await self._recovered(each) for each in left]
        self.interrupted += len(found)
        if set(found) != {expected}:
            raise Broken(f"after an interrupted recovery it is no longer {expected}")


async def open_store(disk: SimDisk) -> FileStore:
    """The log on a disk; the same one each time it is begun."""
    return await FileStore.open(
        ROOT, dice=Random(1), offload=Inline(), disk=disk, segment_events=SEGMENT_EVENTS
    )


def log_files(disk: SimDisk) -> dict[str, bytes]:
    """The files that are the log."""
    return {path: data for path, data in disk.files().items() if path.startswith(f"{ROOT}/log/")}


async def _submit(store: FileStore, batch: list[Planned], history: History) -> Sequence[Result]:
    for planned in batch:
        history.submit(planned)
    appends = [
        prepare(stream, history.heads.get(stream, NEW), events, nonce=nonce)
        for stream, nonce, events in batch
    ]
    try:
        results = await store.commit(appends)
    except StoreFailed as failed:
        results = [failed] * len(batch)
    for planned, result in zip(batch, results, strict=True):
        history.settle(planned, result)
    return results


async def _go_on(store: FileStore, events: list[Event]) -> list[Event]:
    """Append to the newest stream and to a new one; what was added. Then say the first again."""
    newest = events[-1]
    more = prepare(newest.stream, newest.head, [_padded(1)] * 2, nonce="more")
    added = await store.commit([more, prepare("new", NEW, [_padded(1)], nonce="new")])
    if not all(isinstance(result, list) for result in added):
        raise Broken(f"it does not go on: {added}")
    if await store.commit([more]) != added[:1]:
        raise Broken("the same append again is not answered with its first result")
    return [event for result in added if isinstance(result, list) for event in result]


def _plans(journal: Sequence[str], *, after: int = -1) -> Iterator[Plan]:
    """Each fault that each call past number `after` can have, once and for ever."""
    for at, call in enumerate(journal):
        if at > after:
            for fault in FAULTS[call]:
                yield from (Plan(call, fault, at, for_ever) for for_ever in (False, True))


def _failing(disk: SimDisk, *plans: Plan) -> SimDisk:
    for plan in plans:
        disk.fail(plan.call, plan.fault, at=plan.at, for_ever=plan.for_ever)
    return disk


def _old_lines(disk: SimDisk) -> bytes:
    """What stale sectors may hold: lines of this log that a recovery has copied elsewhere."""
    return b"".join(log_files(disk.power_cut()).values())


def _nonce(event: Event) -> str:
    return event.nonce
