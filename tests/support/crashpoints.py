"""Every way a small log can break off, and what must be true of it afterwards.

A `Checker` runs a workload over the real `FileStore` on a simulated disk, again and again: with
each fault at each call that changes the disk, once and for ever; on disks that are full at some
byte; with a power cut before each call, and after the last; and with a second fault while the first
is being dealt with. Every state that the platter may then be in, and the page cache that a killed
process leaves, is an *image*, which must keep these promises:

- it opens, and what was acknowledged or shown to anybody is there;
- what is there is a beginning of what was submitted, append by append, each whole; what was refused
  (`NotWritten`, `StoreFailed`) is not there;
- nothing was acknowledged any more once a sync had failed;
- a second recovery changes nothing, nor does one that was itself interrupted at any of its calls;
- it goes on appending; after another power cut what was recovered and what was added are there.

So an image costs three *recoveries*: its own, the second, and the one after more was added. Equal
disks recover equally: each is recovered once and its answer remembered, and its equals are counted
as images only. One in WHOLE_EVERY is opened whole, as a server would, which is two recoveries; the
others by their files alone (`smalllog` says what that leaves out). The index is a cache and starts
empty after each cut. Drawn by lot are sectors and the sizes of full disks; all else is tried.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, groupby, islice
from random import Random
from typing import NamedTuple

from eventstore.errors import NotWritten, OutcomeUnknown, StoreError, StoreFailed
from eventstore.event import NEW, Append, Event, prepare
from eventstore.file.store import FileStore
from eventstore.store import LOG_STREAM, Result, log_opened
from tests.support.faults import FAULTS, Fault, Hang, Plan, PowerCut
from tests.support.history import AT, WORKLOAD, Broken, History, Planned, padded
from tests.support.simdisk import CAPACITY_BYTES, SimDisk
from tests.support.smalllog import (
    EVENTS_MAX,
    LOG_ID,
    SEGMENT_EVENTS,
    LogFiles,
    events_in,
    log_files,
    open_store,
)

WHOLE_EVERY = 50  # of so many disks one is opened with its index, as a server does
INTERRUPTED_EVERY = 40  # one recovery of so many new disks is also interrupted at each of its calls
THOROUGH_EVERY = 20  # one of so many of those with a sweep over what the cut may leave, and faults
SWEEP_STEP = 97  # of the thousands of states that a sweep goes over it takes every so many
FULL_DISKS = 20
UNDO_CALLS_MAX = 10  # numbered calls after a fault in which the store may be undoing its commit


class Sound(NamedTuple):
    """A log without fault: its events, which appends they are, and what can follow."""

    events: list[Event]
    appends: tuple[str, ...]
    more: list[Append]


class Checker:
    """Tries everything, and counts.

    `runs` of a store; `images` judged, among them those whose recovery had been `interrupted`;
    `distinct` ones among those of power cuts; `recoveries`, and how many disks were opened `whole`.
    """

    def __init__(
        self,
        batches: list[list[Planned]] = WORKLOAD,
        disk: type[SimDisk] = SimDisk,
        segment_events: int = SEGMENT_EVENTS,
        whole_every: int = WHOLE_EVERY,
    ) -> None:
        self.runs = self.images = self.distinct = self.interrupted = 0
        self.recoveries = self.opened = self.whole = 0
        self.tried: set[tuple[str, Fault, bool]] = set()
        self._batches = batches
        self._planned = {planned.nonce: planned for batch in batches for planned in batch}
        self._disk = disk
        self._segment_events = segment_events
        self._whole_every = whole_every
        self._dice = Random(1)
        self._known: dict[frozenset[tuple[str, bytes]], tuple[str, ...]] = {}
        self._sound: dict[frozenset[tuple[str, bytes]], Sound] = {}
        self._gone_on: dict[frozenset[tuple[str, bytes]], Sound] = {}

    async def everything(self, *, second_faults_every: int = 1) -> None:
        """Faults first: they find most bugs soonest."""
        await self.faults()
        await self.full_disks()
        await self.cuts()
        await self.second_faults(every=second_faults_every)

    async def faults(self) -> None:
        """Each fault at each call, once and for ever."""
        for plan in _plans(await self.journal()):
            await self.run(self._disk(), plan)

    async def full_disks(self) -> None:
        """Disks that end at bytes drawn from all that the log would take, without a reserve."""
        disk = self._disk()
        await self._live(disk, History())
        size = sum(map(len, disk.files().values()))
        for capacity in sorted(self._dice.sample(range(size), FULL_DISKS)):
            await self.run(self._disk(capacity=capacity))

    async def cuts(self) -> None:
        """A power cut before each call, and after the last."""
        calls = len(await self.journal())
        for number in range(calls):
            await self._cut(before=number)
        await self._cut(after=calls - 1)

    async def second_faults(self, *, every: int = 1) -> None:
        """A second fault while the store deals with a first that cost it room; of the first ones
        each, or one of so many.
        """
        plans = [plan for plan in _plans(await self.journal()) if _costs_room(plan)]
        for first in plans[self._dice.randrange(every) :: every]:
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
            disk.capacity = CAPACITY_BYTES  # who starts it again has made room
            for image in disk.images(dice=self._dice, stale=_old_lines(disk)):
                history.require(await self._judge(image))
            self.images += 1
            disk.restart()
            history.require(await self._recover(disk))
        except Broken as broken:
            broken.add_note(f"after {plans}, having made the calls {disk.journal}")
            raise

    async def _cut(self, *, before: int = -1, after: int = -1) -> None:
        disk = self._disk()
        disk.cut(before=before, after=after)
        await self.run(disk)

    async def _live(self, disk: SimDisk, history: History) -> None:
        """Open, then submit batch after batch as callers do: once more when there was no room."""
        try:
            store = await open_store(disk, self._segment_events)
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
        found = self._known.get(files)
        if found is None:
            found = self._known[files] = await self._recover(image)
        return found

    async def _recover(self, disk: SimDisk) -> tuple[str, ...]:
        """Recover it, again, go on, cut the power, recover once more; the appends it held."""
        self.opened += 1
        try:
            if self.opened % self._whole_every:
                return self._recover_files(disk)
            return await self._recover_whole(disk)
        except Broken:
            raise
        except (Exception, Hang) as error:
            raise Broken(f"not usable: {error!r}") from error

    def _recover_files(self, disk: SimDisk) -> tuple[str, ...]:
        LogFiles(disk, self._segment_events)
        files = log_files(disk)
        sound = self._require_sound(files)
        second = disk.power_cut()
        log = LogFiles(second, self._segment_events)
        if log_files(second) != files:
            raise Broken("a second recovery changed something")
        log.commit(sound.more)
        files = log_files(second)
        self._require_gone_on(sound, files)
        third = second.power_cut()
        LogFiles(third, self._segment_events)
        if log_files(third) != files:
            raise Broken("what was recovered or added did not survive the next power cut")
        self.recoveries += 3
        return sound.appends

    async def _recover_whole(self, disk: SimDisk) -> tuple[str, ...]:
        store = await open_store(disk, self._segment_events)
        events = await store.read(limit=EVENTS_MAX)
        sound = self._require_sound(log_files(disk))
        events += await _go_on(store, sound.more)
        later = disk.power_cut()
        before = log_files(later)
        again = await (await open_store(later, self._segment_events)).read(limit=EVENTS_MAX)
        disk.restart()
        later.restart()
        if again != events:
            raise Broken("what was recovered or added did not survive the next power cut")
        if log_files(later) != before:
            raise Broken("a second recovery changed something")
        self.whole += 1
        self.recoveries += 2
        return sound.appends

    def _require_sound(self, files: dict[str, bytes]) -> Sound:
        """What is in a log's files. Raises Broken unless it is its opening, then whole appends.
        Equal logs are looked at once.
        """
        key = frozenset(files.items())
        if key not in self._sound:
            events = events_in(files, self._segment_events)
            self._sound[key] = Sound(events, self._whole_appends(events), _more(events))
        return self._sound[key]

    def _require_gone_on(self, sound: Sound, files: dict[str, bytes]) -> None:
        """Raise Broken unless it is the log and what was to follow, and nothing else."""
        key = frozenset(files.items())
        if self._gone_on.get(key) is not sound:
            events = events_in(files, self._segment_events)
            before = len(sound.events)
            added = [(event.stream, event.nonce, event.data) for event in events[before:]]
            more = [(it.stream, it.nonce, new.data) for it in sound.more for new in it.events]
            if events[:before] != sound.events or added != more:
                raise Broken("it does not go on")
            self._gone_on[key] = sound

    def _whole_appends(self, events: list[Event]) -> tuple[str, ...]:
        if events and events[0].type != "LogOpened":
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
                LogFiles(disk, self._segment_events)
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
                    LogFiles(failing, self._segment_events)
                await self._require_same(expected, failing)

    async def _require_same(
        self, expected: tuple[str, ...], killed: SimDisk, left: Sequence[SimDisk] = ()
    ) -> None:
        killed.restart()
        found = [await self._recover(killed)] + [await self._recovered(each) for each in left]
        self.interrupted += len(found)
        self.images += len(found)
        if set(found) != {expected}:
            raise Broken(f"after an interrupted recovery it is no longer {expected}")


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


async def _go_on(store: FileStore, more: list[Append]) -> list[Event]:
    """Append these; what was added. Then say the first again."""
    added = await store.commit(more)
    if not all(isinstance(result, list) for result in added):
        raise Broken(f"it does not go on: {added}")
    if await store.commit(more[:1]) != added[:1]:
        raise Broken("the same append again is not answered with its first result")
    return [event for result in added if isinstance(result, list) for event in result]


def _more(events: list[Event]) -> list[Append]:
    """What each log must be able to take: more of its newest stream, and a new one. An empty one
    its first event, which the store writes.
    """
    if not events:
        opened = log_opened(LOG_ID, AT)
        return [prepare(LOG_STREAM, NEW, [opened], nonce=LOG_ID[:16])]
    newest = events[-1]
    more = prepare(newest.stream, newest.head, [padded(1)] * 2, nonce="more")
    return [more, prepare("new", NEW, [padded(1)], nonce="new")]


def _plans(journal: Sequence[str], *, after: int = -1) -> Iterator[Plan]:
    """Each fault that each call past number `after` can have, once and for ever."""
    for at, call in enumerate(journal):
        if at > after:
            for fault in FAULTS[call]:
                yield from (Plan(call, fault, at, for_ever) for for_ever in (False, True))


def _costs_room(plan: Plan) -> bool:
    return plan.fault in (Fault.ENOSPC, Fault.SHORT_THEN_ENOSPC) and not plan.for_ever


def _failing(disk: SimDisk, *plans: Plan) -> SimDisk:
    for plan in plans:
        disk.fail(plan.call, plan.fault, at=plan.at, for_ever=plan.for_ever)
    return disk


def _old_lines(disk: SimDisk) -> bytes:
    """What stale sectors may hold: lines of this log that a recovery has copied elsewhere."""
    return b"".join(log_files(disk.power_cut()).values())


def _nonce(event: Event) -> str:
    return event.nonce
