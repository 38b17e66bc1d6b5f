"""The open jobs, in memory: which are due and may start, which run, when the next one is due.

What a worker draws from. It holds pending and processing jobs only, so its size grows with the work
that is open and not with history. Of a pending job it keeps what decides when and before whom it
starts (`Waiting`), a few hundred bytes. Whole jobs are kept of those that run or were handed out,
and of the KEPT_MAX that came last; the others are read back in groups, by whoever keeps all of them
(`recall_by`), when they are handed out.

A pending job stands in one of two orders: by time until it is due, then by rank (priority, then
`run_at`, then age), one order a kind, so that a worker for some kinds never digs through others. A
third, by time, is of those that expire. When a job moves on it is removed from all of them, so they
hold nothing stale. Each step costs the same at a thousand jobs and at a million, but for one: when
many become due at the same moment, MOVED_MAX of them are looked at each time, the longest due
first, and the next are due at once.

A kind that is paused gives out nothing, and one with limits only what they leave: what runs and
what was handed out both count, so the limits hold exactly for what this process knows.

Pure: it is told the time, and it is fed by the projector. Jobs handed out by `take` stay hidden
until their next event, or until `put_back`, so that one process does not claim a job twice.
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from sys import intern
from typing import Final, NamedTuple, TypeAlias

import msgspec

from eventstore.store import POSITION_MAX
from eventstore.timestamp import EPOCH, Timestamp
from projections.job import Job, Status
from projections.kind import Kind, after_start, paced
from projections.ordered import Ordered

KEPT_MAX: Final = 10_000  # whole jobs: some 30 MB of them
RECALLED: Final = 100  # whole jobs that are read back at once: a millisecond or two
MOVED_MAX: Final = 1_000  # jobs that one look moves from the order by time: a few milliseconds


class Waiting(msgspec.Struct, frozen=True, order=True, gc=False):
    """What is kept of a pending job at one revision. It sorts as it is handed out: best first. The
    garbage collector is spared a look at each of a million.
    """

    rank: int  # the less, the higher its priority
    run_at: Timestamp
    created_pos: int
    id: str
    kind: str
    rev: int
    next_attempt_at: Timestamp | None
    expires_at: Timestamp | None


class _Taken(NamedTuple):
    """A job that was handed out, and when."""

    job: Job
    at: Timestamp


_Timed: TypeAlias = tuple[Timestamp, int, Waiting]  # by time, and among equals by age

Recall: TypeAlias = Callable[[Sequence[Waiting]], Iterable[Job]]


class JobBoard:
    """Pending and processing jobs, and the rules of their kinds."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}  # the pending ones
        self._running: dict[str, Job] = {}
        self._cancelling: dict[str, Job] = {}  # those of the running that shall stop
        self._scheduled: Ordered[_Timed] = Ordered()
        self._due: dict[str, Ordered[Waiting]] = {}  # kind -> by rank
        self._expiring: Ordered[_Timed] = Ordered()
        self._kinds: dict[str, Kind] = {}  # those with a stream of their own
        self._taken: dict[str, _Taken] = {}  # handed out, and not heard of since
        self._passed_over: set[str] = set()  # due, and found to have expired
        self._looks_on = False  # the last look ended before it had seen all that is due
        self._busy = Counter[str]()  # kind -> running or handed out
        self._next_start_at: dict[str, Timestamp] = {}  # kind with a rate -> the next may start
        self._kept: OrderedDict[str, Job] = OrderedDict()  # of the pending ones, those seen last
        self._recall: Recall | None = None

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    def recall_by(self, recall: Recall) -> None:
        """Keep no more whole jobs than KEPT_MAX, and ask `recall` for others."""
        self._recall = recall

    def get(self, job_id: str) -> Job | None:
        """An open job; None when it ended or never was."""
        waiting = self._waiting.get(job_id)
        return self._whole([waiting])[0] if waiting is not None else self._running.get(job_id)

    def running(self) -> Iterable[Job]:
        """The jobs with an attempt under way."""
        return list(self._running.values())

    def cancelling(self) -> Iterable[Job]:
        """Those of the running whose cancellation was requested."""
        return list(self._cancelling.values())

    def kind(self, name: str) -> Kind:
        """What holds for a kind."""
        return self._kinds.get(name) or Kind(name)

    def kinds(self) -> Iterable[Kind]:
        """The kinds about which something was ever decided."""
        return list(self._kinds.values())

    def begin(self, waiting: Iterable[Sequence[Waiting]], *, passed: Timestamp) -> None:
        """Take in many pending jobs at once, of which it holds none: some of one kind at a time,
        those of each kind in order. `passed` is a time that has passed, the later the better.
        """
        due: dict[str, list[Waiting]] = {}
        scheduled: list[_Timed] = []
        expiring: list[_Timed] = []
        for some in waiting:
            self._waiting.update(zip([each.id for each in some], some, strict=True))
            due.setdefault(some[0].kind, []).extend(
                [each for each in some if (at := each.next_attempt_at) is not None and at <= passed]
            )
            scheduled += [
                (at, each.created_pos, each)
                for each in some
                if (at := each.next_attempt_at) is not None and at > passed
            ]
            expiring += [
                (at, each.created_pos, each) for each in some if (at := each.expires_at) is not None
            ]
        self._due = {kind: Ordered(members) for kind, members in due.items()}
        self._scheduled, self._expiring = Ordered(sorted(scheduled)), Ordered(sorted(expiring))

    def apply(self, job: Job) -> None:
        """Take in a job's newest state."""
        self._forget(job.id)
        if job.status is Status.PENDING:
            self._wait(job)
        elif job.status is Status.PROCESSING:
            self._run(job)

    def apply_kind(self, kind: Kind) -> None:
        """Take in what holds for a kind from now on."""
        self._kinds[kind.name] = kind
        self._pace(kind.name)

    def started(self, name: str, time: Timestamp) -> Kind | None:
        """One more job of a kind was started: the kind, if that changed what holds for it."""
        kind = self._kinds.get(name)
        if kind is None or kind.rate is None:
            return None
        started = self._kinds[name] = after_start(kind, time)
        self._pace(name)
        return started

    def take(self, now: Timestamp, *, kinds: Collection[str], limit: int) -> list[Job]:
        """At most `limit` due jobs of these kinds that may start, best first. They are not handed
        out again at this revision.
        """
        self._promote(now)
        self._looks_on = False
        best = heapq.merge(*(self._drain(kind, now) for kind in sorted(set(kinds))))
        taken: list[Waiting] = []
        while len(taken) < limit and (waiting := next(best, None)) is not None:
            self._due[waiting.kind].take_first()
            self._hand_out(waiting, now)
            taken.append(waiting)
        try:
            jobs = self._whole(taken, ahead=RECALLED)
        except BaseException:  # they could not be read: they stand where they stood
            for waiting in taken:
                self._busy[waiting.kind] -= 1
                self._due_of(waiting.kind).add(waiting)
                self._pace(waiting.kind)
            raise
        for job in jobs:
            self._taken[job.id] = _Taken(job, now)
            self._kept.pop(job.id, None)
        return jobs

    def put_back(self, job: Job) -> None:
        """A job that was taken but not claimed is due again, unless it has moved on."""
        taken = self._taken.get(job.id)
        if taken is not None and taken.job.rev == job.rev:
            self._take_back(job.id)
            self._keep(job)
            self._wait_for_time(self._waiting[job.id])

    def expired(self, now: Timestamp, *, limit: int) -> list[Job]:
        """At most `limit` of the pending jobs that are too late to begin, the longest so first.
        They are not told again at this revision, unless they are kept in mind.
        """
        found: list[Waiting] = []
        while len(found) < limit and self._expiring and self._expiring.first[0] <= now:
            found.append(self._expiring.take_first()[2])
        try:
            return self._whole(found)
        except BaseException:
            for waiting in found:
                self._wait_for_expiry(waiting)
            raise

    def keep_in_mind(self, job: Job) -> None:
        """A job that was told to have expired could not be ended: tell it again, unless it has
        moved on.
        """
        waiting = self._waiting.get(job.id)
        if waiting is not None and waiting.rev == job.rev:
            self._wait_for_expiry(waiting)

    def due(self, now: Timestamp) -> int:
        """How many pending jobs are due, whether or not they may start."""
        waiting = self._scheduled.number_before((now, POSITION_MAX))
        promoted = sum(map(len, self._due.values()))
        return waiting + promoted + len(self._taken) + len(self._passed_over)

    def next_due_at(self, kinds: Collection[str]) -> Timestamp | None:
        """When the next waiting job may start, once `take` has given all that may start now; None
        when none waits for a time. Of those that wait for the rate of their kind, only these kinds
        are meant; jobs of one that is paused or full do not wait for a time.
        """
        if self._looks_on:
            return EPOCH
        times = [
            self._next_start_at[kind]
            for kind in kinds
            if kind in self._next_start_at and self._due.get(kind) and self._opens(kind)
        ]
        if self._scheduled:
            times.append(self._scheduled.first[0])
        return min(times, default=None)

    def _wait(self, job: Job) -> None:
        time = job.next_attempt_at
        waiting = self._waiting[job.id] = Waiting(
            -job.priority,
            job.run_at,
            job.created_pos,
            job.id,
            intern(job.kind),
            job.rev,
            job.run_at if time == job.run_at else time,  # one object, in most jobs
            job.expires_at,
        )
        self._keep(job)
        if time is not None and time <= job.since:  # as was so when that event was recorded
            self._due_of(waiting.kind).add(waiting)
        else:
            self._wait_for_time(waiting)
        self._wait_for_expiry(waiting)

    def _wait_for_time(self, waiting: Waiting) -> None:
        if waiting.next_attempt_at is not None:
            self._scheduled.add((waiting.next_attempt_at, waiting.created_pos, waiting))

    def _wait_for_expiry(self, waiting: Waiting) -> None:
        if waiting.expires_at is not None:
            self._expiring.add((waiting.expires_at, waiting.created_pos, waiting))

    def _run(self, job: Job) -> None:
        self._running[job.id] = job
        self._busy[job.kind] += 1
        if job.cancel_requested_at is not None:
            self._cancelling[job.id] = job

    def _hand_out(self, waiting: Waiting, now: Timestamp) -> None:
        self._busy[waiting.kind] += 1
        rate = self.kind(waiting.kind).rate
        if rate is not None:
            before = self._next_start_at[waiting.kind]
            self._next_start_at[waiting.kind] = paced(rate, before, now)

    def _take_back(self, job_id: str) -> None:
        """It is not handed out any more."""
        taken = self._taken.pop(job_id)
        self._busy[taken.job.kind] -= 1
        self._pace(taken.job.kind)

    def _forget(self, job_id: str) -> None:
        """Neither waiting nor running: what it is instead, its next state says."""
        waiting = self._waiting.pop(job_id, None)
        if waiting is None:
            running = self._running.pop(job_id, None)
            if running is not None:
                self._cancelling.pop(job_id, None)
                self._busy[running.kind] -= 1
            return
        self._kept.pop(job_id, None)
        time, expiry = waiting.next_attempt_at, waiting.expires_at
        if job_id in self._taken:
            self._take_back(job_id)
        elif job_id in self._passed_over:
            self._passed_over.remove(job_id)
        elif time is not None and not self._due_of(waiting.kind).remove(waiting):
            self._scheduled.remove((time, waiting.created_pos, waiting))
        if expiry is not None:
            self._expiring.remove((expiry, waiting.created_pos, waiting))

    def _pace(self, name: str) -> None:
        """When the next job of a kind may start by its rate: what was handed out will start, too,
        unless it is put back.
        """
        rate = self.kind(name).rate
        if rate is None:
            self._next_start_at.pop(name, None)
            return
        next_start_at = self.kind(name).next_start_at
        for job, at in self._taken.values():
            if job.kind == name:
                next_start_at = paced(rate, next_start_at, at)
        self._next_start_at[name] = next_start_at

    def _promote(self, now: Timestamp) -> None:
        """Move what is due by now from the order by time to those by rank."""
        for _ in range(MOVED_MAX):
            if not self._scheduled or self._scheduled.first[0] > now:
                return
            waiting = self._scheduled.take_first()[2]
            self._due_of(waiting.kind).add(waiting)

    def _drain(self, kind: str, now: Timestamp) -> Iterator[Waiting]:
        """The jobs of a kind that may start, best first; each must be taken out by who takes it
        before the next is asked.
        """
        due, passed_over = self._due_of(kind), 0
        while due and self._opens(kind) and self._next_start_at.get(kind, EPOCH) <= now:
            first = due.first
            if (first.next_attempt_at or EPOCH) > now:  # the clock was set back
                self._wait_for_time(due.take_first())
            elif first.expires_at is None or first.expires_at > now:
                yield first
                continue
            else:
                self._passed_over.add(due.take_first().id)
            passed_over += 1
            if passed_over == MOVED_MAX:
                self._looks_on = True
                return

    def _due_of(self, kind: str) -> Ordered[Waiting]:
        due = self._due.get(kind)
        if due is None:
            due = self._due[kind] = Ordered()
        return due

    def _opens(self, name: str) -> bool:
        """Whether a kind gives out jobs, but for its rate."""
        kind = self._kinds.get(name)
        if kind is None:
            return True
        full = kind.concurrency is not None and self._busy[name] >= kind.concurrency
        return kind.pause is None and not full

    def _keep(self, job: Job) -> None:
        """Keep it whole, and let the eldest go."""
        self._kept[job.id] = job
        if self._recall is not None and len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    def _whole(self, waiting: Sequence[Waiting], *, ahead: int = 0) -> list[Job]:
        """These jobs. When some must be read back, so are others of their kind that may be handed
        out next: it is among the first `ahead` of those that it looks for them.
        """
        found = {each.id: self._at_hand(each.id) for each in waiting}
        missing = [each for each in waiting if found[each.id] is None]
        if missing:
            assert self._recall is not None
            due = islice(self._due_of(missing[-1].kind), ahead)
            missing += [each for each in due if self._at_hand(each.id) is None]
            for job in self._recall(missing):
                if job.id in found:
                    found[job.id] = job
                else:
                    self._keep(job)
        return [job for job in found.values() if job is not None]

    def _at_hand(self, job_id: str) -> Job | None:
        taken = self._taken.get(job_id)
        return taken.job if taken is not None else self._kept.get(job_id)
