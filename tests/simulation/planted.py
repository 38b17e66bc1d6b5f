"""Mistakes that somebody could make in joblog, each a small one in the product, and a seed of the
simulation that finds it soon. `test_planted` plants them one after the other.

What shows only where a write was cut at the very end of a line, as half an append that is kept,
takes thousands of seeds: that is planted for the crash points, which cut everywhere.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest
from msgspec.structs import replace

import eventstore.file.store
import eventstore.memory
import service.jobs
from eventstore import clock
from eventstore.errors import NotWritten, OutcomeUnknown
from eventstore.file.writer import Writer
from eventstore.log import FOLLOW_EVENTS_MAX, WAIT_S, EventLog
from projections import job as jobs
from projections.board import JobBoard
from projections.events import CRASHES
from projections.job import Job, Status
from projections.projector import Projector
from service import commands
from service.attempt import RunningAttempt
from service.claims import Claims, claim_on
from service.ids import keyed_job_id
from service.rescue import Rescue, _in_slices
from service.worker import Worker
from tests.simulation.loop import HERE

Patch = pytest.MonkeyPatch


def runs_unclaimed(patch: Patch) -> None:
    """A worker runs what it could not claim, too."""
    claim_all = Claims.claim_all

    def guessed(job: Job) -> Any:
        claim = claim_on(replace(job, attempt=job.attempt + 1), job.pos + 1, clock.monotonic())
        return claim._replace(lease_s=30.0)

    async def careless(self: Claims, wanted: Any) -> Any:
        claims = await claim_all(self, wanted)
        return [claim or guessed(job) for claim, job in zip(claims, wanted, strict=True)]

    patch.setattr(Claims, "claim_all", careless)


def fences_nothing(patch: Patch) -> None:
    """The token of an outcome is not looked at."""
    patch.setattr(commands, "_require_running", lambda job, token: None)


def takes_a_conflict_for_its_own(patch: Patch) -> None:
    """Whatever stands where an append should is taken for that append."""

    def first_result(append: Any, since: Any) -> Any:
        return list(since[: len(append.events)]) or None

    for module in (eventstore.file.store, eventstore.memory):
        patch.setattr(module, "first_result", first_result)


def does_not_hear_renewals(patch: Patch) -> None:
    """The rescue counts a lease from its beginning."""
    seen = Rescue._seen

    def deaf(self: Rescue, job: Any, lease: Any) -> Any:
        before = self._watched.get(job.id)
        found = seen(self, job, lease)
        same = before is not None and before.token == lease.token
        return found._replace(heard=before.heard) if same and before else found

    patch.setattr(Rescue, "_seen", deaf)


def gives_up_the_workers_of_others(patch: Patch) -> None:
    """After a restart remote attempts are taken for lost, too."""

    async def give_up_lost(self: Rescue) -> None:
        await _in_slices(
            self._give_up(job, "worker_lost", "its process ended without a word")
            for job in self._board.running()
            if job.lease and job.lease.epoch != self._epoch
        )

    patch.setattr(Rescue, "_give_up_lost", give_up_lost)


def forgets_attempts_in_a_crash(patch: Patch) -> None:
    """A crash of the worker sets the count of failures back to nothing."""
    step = jobs.TRANSITIONS[Status.PROCESSING, "AttemptFailed"]

    def forgetful(job: Job, event: Any, data: Any) -> Job:
        after = step(job, event, data)
        return replace(after, attempts=0) if data["reason"] in CRASHES else after

    patch.setitem(jobs.TRANSITIONS, (Status.PROCESSING, "AttemptFailed"), forgetful)


def forgets_keys_in_a_crash(patch: Patch) -> None:
    """The id that is made of a key depends on the process."""
    patch.setattr(
        service.jobs, "keyed_job_id", lambda *names: keyed_job_id(*names, str(HERE.get()))
    )


def forgets_backoffs(patch: Patch) -> None:
    """A job is due again when its attempt failed."""
    step = jobs.TRANSITIONS[Status.PROCESSING, "AttemptFailed"]

    def eager(job: Job, event: Any, data: Any) -> Job:
        return step(job, event, data | {"retry_at": data["retry_at"] and event.time})

    patch.setitem(jobs.TRANSITIONS, (Status.PROCESSING, "AttemptFailed"), eager)


def skips_what_lands_while_it_reads(patch: Patch) -> None:
    """A subscriber goes on from the log's end, not from the end of what it was given."""

    async def subscribe(self: EventLog, after: int = 0) -> Any:
        while True:
            page = await self._store.read(after, FOLLOW_EVENTS_MAX)
            if page:
                yield page
                await asyncio.sleep(0)
                after = await self._store.head()
            else:
                await self._store.wait(after, WAIT_S)

    patch.setattr(EventLog, "subscribe", subscribe)


def starts_what_is_cancelled(patch: Patch) -> None:
    """A cancelled job stays pending in the read model."""
    key = Status.PENDING, "JobCancelled"
    patch.setitem(
        jobs.TRANSITIONS, key, lambda job, event, _: replace(job, rev=event.rev, pos=event.pos)
    )


def forgets_limits_at_a_start(patch: Patch) -> None:
    """What holds for kinds is not there after a restart."""
    catch_up = Projector.catch_up

    async def forgetful(self: Projector) -> None:
        await catch_up(self)
        self._board._kinds.clear()

    patch.setattr(Projector, "catch_up", forgetful)


def takes_unknown_for_not_written(patch: Patch) -> None:
    """An outcome that nobody knows is said to be none."""
    commit = EventLog._try

    async def hopeful(self: EventLog, appends: Any) -> Any:
        results = await commit(self, appends)
        return [
            NotWritten("no answer") if isinstance(result, OutcomeUnknown) else result
            for result in results
        ]

    patch.setattr(EventLog, "_try", hopeful)


def lets_time_go_back(patch: Patch) -> None:
    """The writer takes the time of an event as it comes."""
    patch.setattr(eventstore.file.store, "latest", lambda *times: times[-1])
    patch.setattr(eventstore.memory, "latest", lambda *times: times[-1])


def acknowledges_before_the_sync(patch: Patch) -> None:
    """Bytes that were written count as safe."""
    patch.setattr(Writer, "_sync", lambda _: None)


def works_on_without_a_lease(patch: Patch) -> None:
    """An attempt whose lease is over goes on."""
    patch.setattr(RunningAttempt, "_lose_lease", lambda each: setattr(each, "_lease_lost", True))


def starts_what_is_paused(patch: Patch) -> None:
    """The board gives out jobs of every kind."""
    patch.setattr(JobBoard, "_opens", lambda board, name: True)


def never_looks_again(patch: Patch) -> None:
    """What could not be claimed is not put back."""
    patch.setattr(Worker, "_put_back_later", lambda worker, job: None)


def trusts_in_being_woken(patch: Patch) -> None:
    """Who follows the log waits until he is told that there is more."""
    patch.setattr("eventstore.log.WAIT_S", 1e6)


def counts_a_retry_as_spent(patch: Patch) -> None:
    """A job that fails for good is tried once more."""
    end_after = commands._end_after

    def lenient(job: Job, ending: Any, now: str) -> Any:
        return end_after(replace(job, max_attempts=job.max_attempts + 1), ending, now)

    patch.setattr(commands, "_end_after", lenient)


class Plant(NamedTuple):
    """A mistake, and a seed that finds it."""

    mistake: Callable[[Patch], None]
    seed: int


PLANTS: Final = [
    Plant(runs_unclaimed, 21),
    Plant(fences_nothing, 2),
    Plant(takes_a_conflict_for_its_own, 1),
    Plant(does_not_hear_renewals, 88),
    Plant(gives_up_the_workers_of_others, 4),
    Plant(forgets_attempts_in_a_crash, 2),
    Plant(forgets_keys_in_a_crash, 2),
    Plant(forgets_backoffs, 0),
    Plant(skips_what_lands_while_it_reads, 14),
    Plant(starts_what_is_cancelled, 2),
    Plant(forgets_limits_at_a_start, 0),
    Plant(takes_unknown_for_not_written, 2),
    Plant(lets_time_go_back, 0),
    Plant(acknowledges_before_the_sync, 0),
    Plant(works_on_without_a_lease, 270),
    Plant(starts_what_is_paused, 0),
    Plant(never_looks_again, 221),
    Plant(trusts_in_being_woken, 4),
    Plant(counts_a_retry_as_spent, 2),
]
