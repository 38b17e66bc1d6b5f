"""What `service.jobs` refuses, as errors: each says what is true of the job, and that nothing was
recorded.

What HTTP makes of them is `service.web.problems`'s; what a job's own state does not permit is
`service.commands`'s.
"""

from eventstore.timestamp import Timestamp
from projections.job import Job


class JobNotFoundError(Exception):
    """There is no job of this id, and never was."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}")
        self.job_id = job_id


class KeyReusedError(Exception):
    """The idempotency key was used before, for a different request."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"this key was used before with another request, which made job {job_id}")
        self.job_id = job_id


class NotReachedError(Exception):
    """The log, as far as this process has read it, does not go so far yet."""

    def __init__(self, wanted: int, position: int) -> None:
        super().__init__(f"the log was read up to position {position} here, not yet to {wanted}")


class NeverBeginsError(Exception):
    """The job would expire before its first attempt may begin; nothing was recorded."""

    def __init__(self, first_start: Timestamp) -> None:
        super().__init__(f"the job could never begin: its first attempt is due at {first_start}")


class PreconditionFailedError(Exception):
    """The job is at another revision than the caller acts on; nothing was recorded."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"the job has moved on: it is at revision {job.rev} now")
        self.job = job
