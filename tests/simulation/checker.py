"""The promises, held against what happened: the log, the book of what was sent, the register of
what ran, and the diary of what clients were told.

`look` is cheap and asked again and again: it follows the log as it grows. `judge` is asked once, at
the end, when all that was going on is over.
"""

from collections.abc import Iterable
from typing import Any

from eventstore.log import EventLog
from eventstore.offload import Inline
from projections.board import JobBoard
from projections.job import Job
from projections.projector import Projector
from projections.table import MEMORY, JobTable
from tests.simulation.clients import Diary
from tests.simulation.naive import Broken, NaiveJob, NaiveLog
from tests.simulation.storage import Book, Ground
from tests.simulation.work import Register


class Checker:
    """See the module."""

    def __init__(self, book: Book, ground: Ground, register: Register, diary: Diary) -> None:
        self._book = book
        self._ground = ground
        self._register = register
        self._diary = diary
        self.log = NaiveLog()

    def look(self) -> None:
        """What is durable now."""
        require_none(self._register.broken, self._diary.broken)
        lines = self._ground.lines()
        self.log.follow(lines, self._book.sent, self._book.decided)
        for pos, line in self._book.acknowledged.items():
            if pos > len(lines) or lines[pos - 1] != line:
                raise Broken(f"position {pos} was acknowledged and is not there: {line!r}")

    @property
    def unrested(self) -> list[NaiveJob]:
        """The jobs to which something will still happen."""
        return [job for job in self.log.jobs.values() if not job.rests]

    def judge(self) -> None:
        """All that must be true at the end."""
        self.look()
        jobs = self.log.jobs
        for told in sorted(self._diary.told):
            job = jobs.get(told.job_id)
            known = job and told.rev < len(job.history) and job.history[told.rev]
            if known != (told.status, told.attempts):
                raise Broken(f"{told} was told, but was {known}")
        if lost := set(self._diary.jobs) - set(jobs):
            raise Broken(f"told of and not there: {sorted(lost)}")
        if found := sorted(self._diary.refused & self.log.requests):
            raise Broken(f"refused, and recorded: {found}")
        self._judge_attempts()
        self._judge_keys()

    def _judge_attempts(self) -> None:
        jobs = self.log.jobs
        for job_id, number in self._register.began:
            if number not in jobs[job_id].ends:
                raise Broken(f"attempt {number} of {job_id} has no end")
        for job_id, before, number in self._register.overlaps:
            if jobs[job_id].ends.get(before) != "cancelled":
                raise Broken(
                    f"attempts {before} and {number} of {job_id} ran at the same time; the first"
                    f" ended as {jobs[job_id].ends.get(before)}"
                )
        for job in jobs.values():
            done = job.kind == "email" and job.status == "completed"
            if done and job.id not in self._register.delivered:
                raise Broken(f"{job.id} is completed and was never delivered")

    def _judge_keys(self) -> None:
        """All requests with one key have made one job, or the items of one batch."""
        made: dict[tuple[str, str], set[str]] = {}
        for request, (kind, key, most) in self._diary.keyed.items():
            jobs = made.setdefault((kind, key), set())
            jobs.update(self.log.created.get(request, ()))
            if len(jobs) > most:
                raise Broken(f"key {key} of {kind} made {sorted(jobs)}")

    async def judge_tables(self, table: JobTable, projector: Projector, log: EventLog) -> None:
        """The read model, a fresh one, and the naive fold: all say the same."""
        await projector.flush()
        fresh = JobTable(MEMORY, log_id=table._log_id)
        again = Projector(log, JobBoard(), fresh, offload=Inline())
        try:
            await again.catch_up()
            await again.flush()
            if table.digest() != fresh.digest():
                raise Broken("a table that is built again differs from the one that served")
            jobs = {job.id: job for job in fresh.jobs()}
        finally:
            fresh.close()
        for naive in self.log.jobs.values():
            _require_equal(naive, jobs.pop(naive.id, None))
        if jobs:
            raise Broken(f"the table has jobs that the log has not: {sorted(jobs)}")


def _require_equal(naive: NaiveJob, job: Job | None) -> None:
    told: Any = job and (
        str(job.status), job.rev, job.attempts, job.crashes, job.attempt, job.next_attempt_at,
        job.held_at is not None, job.expires_at, job.max_attempts,
    )  # fmt: skip
    wanted = (
        naive.status, naive.rev, naive.attempts, naive.crashes, naive.attempt, naive.due,
        naive.held, naive.expires, naive.max_attempts,
    )  # fmt: skip
    if told != wanted:
        raise Broken(f"{naive.id} is {told} in the table, and should be {wanted}")


def require_none(*complaints: Iterable[str]) -> None:
    """Raise what anybody complained of."""
    found = [each for some in complaints for each in some]
    if found:
        raise Broken("; ".join(found[:5]))
