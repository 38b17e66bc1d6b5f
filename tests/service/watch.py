"""A log without a worker, and a rescue that looks when the test says so.

Attempts are begun by hand: in this process (OURS), in an earlier one (EARLIER), or by a remote
worker (REMOTE). Nothing is given up unless the test lets rescue look, at a microsecond it chooses.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from eventstore import clock
from projections.job import Job
from service import commands
from service.rescue import Rescue
from tests.service.desk import CLIENT, OPTIONS, Desk, opened
from tests.support.build import US
from tests.support.world import elapsed

EPOCH, LEASE_S, TIMEOUT_S, CANCEL_GRACE_S = 2, 30.0, 300.0, 10.0
OURS, EARLIER, REMOTE = EPOCH, EPOCH - 1, None
SIDES = pytest.mark.parametrize(
    ("off_by", "given_up"), [(-US, False), (0, True), (US, True)], ids=["-1us", "0", "+1us"]
)


@dataclass
class Watch:
    """A log, and who looks after its attempts."""

    desk: Desk
    ours: set[int] = field(default_factory=set)
    recording: set[int] = field(default_factory=set)
    rescue: Rescue = field(init=False)

    def __post_init__(self):
        self.rescue = Rescue(
            self.desk.jobs,
            self.desk.projector._board,
            epoch=EPOCH,
            ours=lambda: self.ours,
            recording=lambda: self.recording,
            cancel_grace_s=CANCEL_GRACE_S,
        )

    async def create(self, **options) -> str:
        chosen = OPTIONS._replace(run_at=clock.now(), timeout_s=TIMEOUT_S, **options)
        return (await self.desk.jobs.create("work", None, chosen, meta=CLIENT)).job.id

    async def start(self, epoch, **options) -> str:
        """A job whose attempt runs; with OURS, in this process."""
        job_id = await self.create(**options)
        job = await self.decide(
            job_id, commands.start, worker="w", epoch=epoch, lease_s=LEASE_S, meta={}
        )
        if epoch == OURS:
            self.ours.add(job.lease.token)
        return job_id

    async def renew(self, job_id) -> None:
        job = await self.get(job_id)
        await self.decide(job_id, commands.renew, token=job.lease.token, lease_s=LEASE_S, meta={})

    async def decide(self, job_id, command, **arguments) -> Job:
        job = await self.desk.jobs.execute(
            job_id, lambda job: command(job, now=clock.now(), **arguments)
        )
        await self.desk.jobs.get(job_id)
        return job

    async def get(self, job_id) -> Job:
        job = await self.desk.jobs.get(job_id)
        assert job is not None
        return job

    async def look_at(self, second: float) -> None:
        """Rescue looks, so many seconds after time began."""
        await asyncio.sleep(second - elapsed())
        assert elapsed() == pytest.approx(second, abs=US / 2)
        await self.rescue.look()


@asynccontextmanager
async def watching(**options) -> AsyncIterator[Watch]:
    async with opened(**options) as desk:
        yield Watch(desk)
