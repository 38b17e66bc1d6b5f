"""What shall be done? Commands, the worker, the HTTP API and the command line.

`commands` decides, `jobs` records, `worker` and `attempt` run, `processors` do the work, `web` and
`cli` are for people and programs, `wiring` puts a service together and `server` serves it. To add a
kind of job, this is all you need:

    from service import processor, Attempt, Permanent, RetryAfter, Unsure, Misconfigured
"""

from service.processors import (
    Attempt,
    AttemptError,
    Misconfigured,
    Permanent,
    RetryAfter,
    Unsure,
    processor,
)

__all__ = [
    "Attempt",
    "AttemptError",
    "Misconfigured",
    "Permanent",
    "RetryAfter",
    "Unsure",
    "processor",
]
