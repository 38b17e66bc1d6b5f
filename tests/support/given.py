"""Given what happened, when this is commanded, then that is to be recorded: tests of pure deciders.

    given(job_created(), attempt_started(10)).when(complete, token=2, …).then(job_completed(12))
    given(job_created(), job_cancelled(5)).when(complete, token=2, …).refused(FencedError)

The command gets the job that the given events make, and its events are compared whole: type, time,
data, words, meta and version. `then` also folds them, so that a decision which the state machine
would not take is caught in the test that takes it; it returns the job as it is afterwards. Only for
commands that need a job; not for what records or awaits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from eventstore.event import NewEvent
from projections.job import Job, fold
from tests.support.build import record

Command = Callable[..., list[NewEvent]]


@dataclass(frozen=True, slots=True)
class Given:
    """A job with a past."""

    job: Job

    def when(self, command: Command, **arguments: Any) -> "When":
        """Decide."""
        return When(self.job, lambda: command(self.job, **arguments))


@dataclass(frozen=True, slots=True)
class When:
    """A decision to be taken."""

    job: Job
    decide: Callable[[], list[NewEvent]]

    def then(self, *expected: NewEvent) -> Job:
        """It is to record exactly this; the job once it has."""
        decided = self.decide()
        assert decided == list(expected)
        after = fold(_recorded_after(self.job, decided), self.job)
        assert after is not None
        return after

    def refused(self, error: type[Exception], match: str | None = None) -> None:
        """It is not to be taken."""
        with pytest.raises(error, match=match):
            self.decide()


def given(*events: NewEvent) -> Given:
    """A job to which this happened."""
    job = fold(record(*events))
    assert job is not None, "no job without its creation"
    return Given(job)


def _recorded_after(job: Job, new: list[NewEvent]) -> Any:
    return record(*new, stream=job.id, rev=job.rev + 1, pos=job.pos + 1)
