"""How time passes for a service in memory: until all is done that is due, or for a while.

While attempts run, the loop moves from one deadline to the next, as it is. While none does, it
would still stop at every look that the worker takes once a second, so a month would take minutes:
`passed` jumps instead, from one instant at which a job is due to the next. Nothing is skipped by
that, since a worker that looks late finds what it would have found in time; a due job that is not
taken (its kind is paused, say) forbids the jump, for nobody can tell here when it will be.
"""

from eventstore import clock
from eventstore.timestamp import seconds_between
from projections.job import Job, Status
from projections.table import PAGE_MAX, Filter
from service.testing.process import Process

DRAIN_S_MAX = 2 * 86_400.0  # no attempt may take more than a day, so this is no honest work


class StillRunningError(Exception):
    """There was always something under way."""

    def __init__(self, jobs: list[Job]) -> None:
        running = ", ".join(f"{job.kind} {job.id} (attempt {job.attempt})" for job in jobs)
        days = DRAIN_S_MAX / 86_400
        super().__init__(f"after {days:g} days of virtual time these still run: {running}")


async def drained(process: Process) -> None:
    """Return once nothing runs, and nothing is due that could."""
    end = process.loop.time() + DRAIN_S_MAX
    await process.idle(lambda: not process.worker.running or process.loop.time() >= end)
    if process.worker.running:
        raise StillRunningError(await _all(process, Status.PROCESSING))


async def passed(process: Process, seconds: float) -> None:
    """Return when so much time has passed, to the microsecond."""
    end = round(process.loop.time() + seconds, 6)
    await process.idle(lambda: True)
    while (left_s := end - _elapsed(process)) > 0:
        quiet_s = await _quiet_s(process)
        if quiet_s > 0:
            process.loop.jump(min(quiet_s, left_s))
            await process.idle(lambda: True)
        else:
            await _step(process, end)


async def _step(process: Process, end: float) -> None:
    """Go on to where the running attempts have ended; at most to `end`."""
    timer = process.loop.call_at(end, lambda: None)  # or time would not stop there
    busy = process.worker.running > 0
    await process.idle(lambda: _elapsed(process) >= end or (busy and not process.worker.running))
    timer.cancel()


async def _quiet_s(process: Process) -> float:
    """How long nothing will happen; 0 when that is not known."""
    if process.worker.running or await _all(process, Status.PROCESSING):
        return 0.0
    now = clock.now()
    instants = [time for job in await _all(process, Status.PENDING) for time in _instants(job)]
    return min((seconds_between(now, time) for time in instants), default=float("inf"))


def _instants(job: Job) -> list[str]:
    """When something becomes of a pending job."""
    return [time for time in (job.next_attempt_at, job.expires_at) if time is not None]


async def _all(process: Process, status: Status) -> list[Job]:
    jobs = process.service.jobs
    found: list[Job] = []
    before: int | None = None
    while page := await jobs.page(Filter(status=status), before=before, limit=PAGE_MAX):
        found += page
        before = page[-1].created_pos
    return found


def _elapsed(process: Process) -> float:
    return round(process.loop.time(), 6)
