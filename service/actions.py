"""The same command for many jobs: cancel or try again whatever a filter finds.

    walk the pages, newest first -> a slice of jobs at a time, each through `Jobs` -> count

Each job gets an event of its own, with the reason and the actor, and is acted on at the revision at
which the filter found it: one that has moved in between (somebody's worker took it, say) is not
what was asked for any more and counts as refused, like one whose state does not permit the command.
So `matched` is always `changed` + `refused`, and a call may be repeated.

At most JOBS_MAX jobs a call; `truncated` says that there are more. A dry run asks the same pure
commands and records nothing, so it says what would happen if nothing moved.

Which filters are sensible to take from a person is the web's matter.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from eventstore import clock
from eventstore.errors import StoreError
from eventstore.event import Json, NewEvent
from projections.job import Job
from projections.projector import NotFlushedError
from projections.table import Filter
from service import commands
from service.commands import NotAllowedError
from service.jobs import Decide, Jobs
from service.refusals import PreconditionFailedError

JOBS_MAX = 10_000  # about two seconds' work
SLICE_JOBS = 100  # commands under way at a time: they share a commit, and leave others their turns

Name: TypeAlias = Literal["cancel", "retry"]

_COMMANDS: Final = {"cancel": commands.cancel, "retry": commands.retry}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What to do, with which jobs, and what to say about it."""

    name: Name
    filter: Filter
    meta: Json
    reason: str | None = None
    dry_run: bool = False


class Outcome(NamedTuple):
    """How many jobs the filter found, and what became of them."""

    matched: int
    changed: int
    truncated: bool

    @property
    def refused(self) -> int:
        """Those that moved in between, or whose state does not permit it."""
        return self.matched - self.changed


class PartlyDoneError(Exception):
    """Some of the jobs are changed, then the log or the table of jobs could not be written."""

    def __init__(self, changed: int, error: StoreError | NotFlushedError) -> None:
        super().__init__(f"{changed} jobs are changed, then: {error}")
        self.changed = changed


async def act(jobs: Jobs, action: Action) -> Outcome:
    """Do it. Raises PartlyDoneError; when nothing was changed, the log's error or
    NotFlushedError.
    """
    matched = changed = 0
    try:
        async for some in _slices(jobs, action.filter):
            if matched == JOBS_MAX:
                return Outcome(matched, changed, truncated=True)
            done = await _done(jobs, action, some)
            matched += len(some)
            changed += done.count(True)
            if failed := next((each for each in done if isinstance(each, StoreError)), None):
                raise failed
    except (StoreError, NotFlushedError) as error:
        if changed:
            raise PartlyDoneError(changed, error) from error
        raise
    return Outcome(matched, changed, truncated=False)


async def _slices(jobs: Jobs, wanted: Filter) -> AsyncIterator[list[Job]]:
    """The jobs that a filter finds, newest first. One that is changed meanwhile is passed once: the
    cursor is where it was created.
    """
    before: int | None = None
    while found := await jobs.page(wanted, before=before, limit=SLICE_JOBS):
        yield found
        before = found[-1].created_pos


async def _done(jobs: Jobs, action: Action, some: Sequence[Job]) -> list[bool | StoreError]:
    """Of each job, whether it was changed, or would be."""
    command = _COMMANDS[action.name]
    revs = {job.id: job.rev for job in some}

    def decide(job: Job) -> list[NewEvent]:
        if job.rev != revs[job.id]:
            raise PreconditionFailedError(job)
        return command(job, now=clock.now(), reason=action.reason, meta=action.meta)

    willing = {job.id: job for job in some if _is_willing(job, decide)}
    if action.dry_run:
        return [job.id in willing for job in some]
    after = await jobs.execute_all(list(willing.values()), decide)
    changed = dict(zip(willing, map(_whether, after), strict=True))
    return [changed.get(job.id, False) for job in some]


def _is_willing(job: Job, decide: Decide) -> bool:
    """Whether the command would do something, as far as we know: if the job has moved, it is not
    what was asked for.
    """
    try:
        return bool(decide(job))
    except NotAllowedError:
        return False


def _whether(after: Job | Exception) -> bool | StoreError:
    """Whether the job was changed, from what recording that came to."""
    if isinstance(after, Job | StoreError):
        return after if isinstance(after, StoreError) else True
    if isinstance(after, NotAllowedError | PreconditionFailedError):
        return False
    raise after
