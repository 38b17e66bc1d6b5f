"""Logs of many jobs, written in a moment: by joblog's own commands, but in the largest commits.

What a server with a million finished jobs costs can only be told of a log that holds them, and to
run a million jobs takes longer than anybody waits. The events are those that `service.commands`
decides on, in the order in which they happen, and the store is the production one. Only that nobody
asked for the jobs, and nobody ran them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Self, TypeAlias

from eventstore import clock
from eventstore.errors import StoreError
from eventstore.event import NEW, Event, Head, Json, NewEvent
from eventstore.log import EventLog
from eventstore.open import open_store
from eventstore.store import COMMIT_EVENTS_MAX
from eventstore.timestamp import Timestamp
from projections.job import Job, evolve
from service import backoff, commands
from service.bench.ground import Advance
from service.bench.noop import KIND
from service.commands import Options
from service.ids import new_job_id
from service.version import VERSION

COMMON, RARE = "hello", "kestrel"  # words to search for: in every finished job, and in one
LEASE_S = 30.0
TIMEOUT_S = 300.0
META: Json = {"actor": "local:bench"}

Decide: TypeAlias = Callable[[Job, Timestamp], list[NewEvent]]


async def write_finished(root: Path, jobs: int, advance: Advance) -> None:
    """A log of so many jobs, e-mails, all of them completed at their first attempt."""
    async with _Author(root) as author:
        for numbers in _portions(jobs):
            created = await author.create("email", [_email(n, jobs) for n in numbers])
            started = await author.add(created, author.start)
            await author.add(started, author.complete)
            advance(len(numbers))


async def write_pending(root: Path, jobs: int, advance: Advance) -> None:
    """A log of so many no-op jobs that nobody has begun."""
    async with _Author(root) as author:
        for numbers in _portions(jobs):
            await author.create(KIND, [{"n": n} for n in numbers])
            advance(len(numbers))


class _Author:
    """Writes a log, and closes it in good order."""

    def __init__(self, root: Path) -> None:
        self._url = f"file:{root}"
        self._dice = Random(str(root))  # noqa: S311  ids, not secrets

    async def __aenter__(self) -> Self:
        self._log = EventLog(await open_store(self._url, dice=self._dice), dice=self._dice)
        self._epoch = await self._log.begin(VERSION)
        return self

    async def __aexit__(self, *failure: object) -> None:
        if failure[0] is None:
            await self._log.seal(self._epoch)
        await self._log.aclose()

    async def create(self, kind: str, payloads: Sequence[Json]) -> list[Job]:
        """A job for each payload."""
        now = clock.now()
        options = Options(now, 0, 3, TIMEOUT_S, backoff.DEFAULT)
        wanted = (
            (
                new_job_id(now, self._dice),
                NEW,
                commands.create(kind=kind, payload=payload, options=options, now=now, meta=META),
            )
            for payload in payloads
        )
        return [_evolved(None, event) for event in await self._append(wanted)]

    async def add(self, jobs: Sequence[Job], decide: Decide) -> list[Job]:
        """The next event of each job."""
        now = clock.now()
        wanted = ((job.id, job.head, decide(job, now)) for job in jobs)
        events = await self._append(wanted)
        return [_evolved(job, event) for job, event in zip(jobs, events, strict=True)]

    def start(self, job: Job, now: Timestamp) -> list[NewEvent]:
        """See commands."""
        return commands.start(
            job, now=now, worker="w-bench", epoch=self._epoch, lease_s=LEASE_S, meta=META
        )

    def complete(self, job: Job, now: Timestamp) -> list[NewEvent]:
        """See commands."""
        return commands.complete(
            job, token=job.head.pos, now=now, duration_s=0.001, result=None, meta=META
        )

    async def _append(self, wanted: Iterable[tuple[str, Head, list[NewEvent]]]) -> list[Event]:
        prepared = await self._log.prepare_all(wanted)
        appends = [each for each in prepared if not isinstance(each, StoreError)]
        events: list[Event] = []
        for result in await self._log.append_all(appends):
            if isinstance(result, StoreError):
                raise result
            events += result
        return events


def _portions(jobs: int) -> Iterator[range]:
    """The numbers of the jobs, as many at a time as fit a commit."""
    for start in range(0, jobs, COMMIT_EVENTS_MAX):
        yield range(start, min(start + COMMIT_EVENTS_MAX, jobs))


def _email(number: int, jobs: int) -> Json:
    rare = f", {RARE}" if number == jobs // 2 else ""
    return {"to": f"ada{number}@example.com", "subject": f"Hello {number}{rare}"}


def _evolved(job: Job | None, event: Event) -> Job:
    after = evolve(job, event)
    assert after is not None
    return after
