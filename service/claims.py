"""Claims: who may work on a job, for how long, and what came of it.

A claim is a job with an attempt under way and the token that fences it: the position of the
attempt's `AttemptStarted`. Whoever has it renews it before its lease ends, and says in the end that
the job is complete or that the attempt failed; a token that is no longer the running attempt's is
refused (`FencedError`).

`Ledger` is that as a port, for there are two of them: `Claims` here, over the log, and
`service.remote`'s, over HTTP. An attempt (`service.attempt`) does not know which one it has, so a
worker on another machine runs the very same code. The HTTP side of remote workers, whatever their
language, is a `Claims` per request.

Which jobs to claim is not decided here.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from eventstore import clock
from eventstore.errors import StoreError
from eventstore.event import Json, NewEvent
from eventstore.timestamp import Timestamp, later
from projections.job import Job
from service import commands
from service.commands import Ending, NotAllowedError
from service.jobs import Jobs
from service.kinds import Kinds

logger = logging.getLogger("joblog.worker")


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Who works: a name for people, the epoch of the process (None for a remote worker), the length
    of its leases, and whose request its events came with, where that is not the worker itself.
    """

    name: str
    epoch: int | None
    lease_s: float
    request: Json | None = None

    @property
    def meta(self) -> Json:
        """What its events say of their origin."""
        return self.request or {"actor": f"worker:{self.name}"}


class Claim(NamedTuple):
    """A job to work on. `since` is when (monotonic) the owner counts its lease from: before the
    claim or its renewal was sent, for the others may count from then; `claimed_at` is the same for
    people. `known` is the job as this process last saw it, where it sees jobs.
    """

    job_id: str
    kind: str
    attempt: int
    token: int
    payload: Any
    created_at: Timestamp
    timeout_s: float
    lease_s: float
    since: float
    claimed_at: Timestamp
    facts: Json
    accepted: tuple[int, ...]
    refused: tuple[int, ...]
    cancel_requested: bool = False
    known: Job | None = None

    @property
    def deadline(self) -> Timestamp:
        """When the attempt is to be stopped."""
        return later(self.claimed_at, self.timeout_s)


class Ledger(Protocol):
    """Where claims are kept. Each call raises FencedError once the claim is lost, NotWritten or
    OutcomeUnknown when it may be tried again, StoreFailed or StoreClosed when it may not.
    """

    async def renew(self, claim: Claim) -> Claim:
        """Still at it; the claim as it is then."""
        ...

    async def complete(self, claim: Claim, *, duration_s: float, result: Any) -> None:
        """Done."""
        ...

    async def fail(
        self, claim: Claim, ending: Ending, *, duration_s: float, retry_after_s: float | None
    ) -> None:
        """The attempt failed."""
        ...


class Claims:
    """The claims of one worker, over the log."""

    def __init__(self, jobs: Jobs, kinds: Kinds, me: WorkerIdentity) -> None:
        self._jobs = jobs
        self._kinds = kinds
        self._me = me

    async def claim_all(self, jobs: Sequence[Job]) -> list[Claim | None]:
        """Claim due jobs, all in one commit where that is possible; None for each that is not to be
        had, or cannot be recorded now.
        """
        since, now = clock.monotonic(), clock.now()
        claimed = await self._jobs.execute_all(jobs, lambda job: self._start(job, now))
        return [self._claimed(found, since) for found in claimed]

    async def claim(self, job: Job) -> Claim:
        """Claim a due job. Raises NotAllowedError when it is not to be had, and StoreError."""
        since = clock.monotonic()
        claimed = await self._jobs.execute(
            job.id, lambda job: self._start(job, clock.now()), known=job
        )
        assert claimed.lease is not None
        return claim_on(claimed, claimed.lease.token, since)

    async def renew(self, claim: Claim) -> Claim:
        """See Ledger."""
        since = clock.monotonic()
        renewed = await self._jobs.execute(
            claim.job_id,
            lambda job: commands.renew(
                job,
                token=claim.token,
                now=clock.now(),
                lease_s=self._me.lease_s,
                meta=self._me.meta,
            ),
            known=claim.known,
        )
        return claim_on(renewed, claim.token, since)

    async def complete(self, claim: Claim, *, duration_s: float, result: Any) -> None:
        """See Ledger."""
        await self._jobs.execute(
            claim.job_id,
            lambda job: commands.complete(
                job,
                token=claim.token,
                now=clock.now(),
                duration_s=duration_s,
                result=result,
                meta=self._me.meta,
            ),
            known=claim.known,
        )

    async def fail(
        self, claim: Claim, ending: Ending, *, duration_s: float, retry_after_s: float | None
    ) -> None:
        """See Ledger. When the settings are at fault the kind is paused first, or the next attempt
        would begin before; but not by who has lost his claim.
        """
        assert claim.known is not None
        lease = claim.known.lease
        if ending.reason == "config" and lease is not None and lease.token == claim.token:
            reason = commands.cut(ending.error)
            logger.warning("kind %s is paused, its settings are at fault: %s", claim.kind, reason)
            await self._kinds.pause(
                claim.known.kind, meta=self._me.meta, reason=reason, cause="config"
            )
        await self._jobs.fail(
            claim.known,
            token=claim.token,
            ending=ending,
            duration_s=duration_s,
            retry_after_s=retry_after_s,
            meta=self._me.meta,
        )

    def _start(self, job: Job, now: Timestamp) -> list[NewEvent]:
        return commands.start(
            job,
            now=now,
            worker=self._me.name,
            epoch=self._me.epoch,
            lease_s=self._me.lease_s,
            meta=self._me.meta,
        )

    def _claimed(self, found: Job | Exception, since: float) -> Claim | None:
        if isinstance(found, NotAllowedError | StoreError):
            logger.info("not claimed: %s", found)
            return None
        if isinstance(found, Exception):
            raise found
        assert found.lease is not None
        return claim_on(found, found.lease.token, since)


def claim_on(job: Job, token: int, since: float) -> Claim:
    """The claim that a token makes on a job; it may have been lost, the next call will tell."""
    return Claim(
        job_id=job.id,
        kind=job.kind,
        attempt=job.attempt,
        token=token,
        payload=job.payload,
        created_at=job.created_at,
        timeout_s=job.timeout_s,
        lease_s=job.lease.lease_s if job.lease else 0.0,
        since=since,
        claimed_at=job.since,
        facts=job.facts,
        accepted=job.accepted,
        refused=job.refused,
        cancel_requested=job.cancel_requested_at is not None,
        known=job,
    )
