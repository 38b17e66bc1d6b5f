"""The open jobs, in memory: which are due, which run, when the next one is due.

What a worker draws from. It holds pending and processing jobs only, so its size grows with the work
that is open and not with history. Pending jobs stand in two kinds of heaps: by time until they are
due, then by rank (priority, then `run_at`, then age), one heap a kind, so that a worker for some
kinds never digs through others. An entry is never removed when its job moves on; it names the
revision it was made for, and is dropped when that is no longer the job's.

Pure: it is told the time, and it is fed by the projector. Jobs handed out by `take` stay hidden
until their next event, or until `put_back`, so that one process does not claim a job twice.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from eventstore.timestamp import Timestamp
from projections.job import Job, Status


class _Entry(NamedTuple):
    """A pending job at one revision; entries of a heap sort by their first members."""

    rank: tuple[object, ...]
    id: str
    rev: int


class JobBoard:
    """Pending and processing jobs."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, Job] = {}
        self._scheduled: list[_Entry] = []  # by time
        self._due: dict[str, list[_Entry]] = {}  # kind -> by rank

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, job_id: str) -> Job | None:
        """An open job; None when it ended or never was."""
        return self._jobs.get(job_id)

    def running(self) -> Iterable[Job]:
        """The jobs with an attempt under way."""
        return list(self._running.values())

    def apply(self, job: Job) -> None:
        """Take in a job's newest state."""
        self._running.pop(job.id, None)
        if not job.is_open:
            self._jobs.pop(job.id, None)
            return
        self._jobs[job.id] = job
        if job.status is Status.PROCESSING:
            self._running[job.id] = job
        elif job.next_attempt_at is not None:
            self._schedule(job)

    def take(self, now: Timestamp, *, kinds: Collection[str], limit: int) -> list[Job]:
        """At most `limit` due jobs of these kinds, best first. They are not handed out again at
        this revision.
        """
        self._promote(now)
        best = heapq.merge(*(self._drain(kind) for kind in sorted(set(kinds))))
        taken: list[Job] = []
        while len(taken) < limit and (entry := next(best, None)) is not None:
            job = self._jobs[entry.id]
            heapq.heappop(self._due[job.kind])
            taken.append(job)
        return taken

    def put_back(self, job: Job) -> None:
        """A job that was taken but not claimed is due again, unless it has moved on."""
        current = self._jobs.get(job.id)
        if current is not None and current.rev == job.rev:
            self._schedule(current)

    def next_due_at(self) -> Timestamp | None:
        """When the next waiting job is due; None when none waits. Jobs already due do not wait."""
        while self._scheduled and not self._is_current(self._scheduled[0]):
            heapq.heappop(self._scheduled)
        return str(self._scheduled[0].rank[0]) if self._scheduled else None

    def _schedule(self, job: Job) -> None:
        entry = _Entry((job.next_attempt_at,), job.id, job.rev)
        heapq.heappush(self._scheduled, entry)

    def _promote(self, now: Timestamp) -> None:
        """Move what is due by now from the heap by time to the heaps by rank."""
        while (due_at := self.next_due_at()) is not None and due_at <= now:
            entry = heapq.heappop(self._scheduled)
            job = self._jobs[entry.id]
            rank = (-job.priority, job.run_at, job.created_pos)
            heapq.heappush(self._due.setdefault(job.kind, []), _Entry(rank, job.id, job.rev))

    def _drain(self, kind: str) -> Iterator[_Entry]:
        """The current entries of a kind, best first; each must be popped by who takes it before the
        next is asked.
        """
        heap = self._due.get(kind, [])
        while heap:
            if self._is_current(heap[0]):
                yield heap[0]
            else:
                heapq.heappop(heap)

    def _is_current(self, entry: _Entry) -> bool:
        job = self._jobs.get(entry.id)
        return job is not None and job.rev == entry.rev
