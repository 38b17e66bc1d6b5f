"""`/claims`: workers in any language. Take due jobs, say that one is still at it, say how it ended.

    POST /claims                  200 with jobs, or 204 when none came within `wait`
    POST /claims/{id}/renew       once a third of the lease has passed
    POST /claims/{id}/complete    done, with a result
    POST /claims/{id}/fail        not done, with what is to be made of it

Each claim has a token; whoever speaks with one that is no longer the running attempt's gets 409
`fenced`, and should drop what it does; to say the same thing twice is no harm. A claim lasts
`lease_s` seconds unless renewed, counted by its owner from `waited_s` after the request was *sent*:
it was made no earlier than that.

A client that went away while it waited gets no jobs, and what was claimed for one that is gone by
then is given back, uncounted. The same ledger serves the workers in this process: see
`service.claims`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from eventstore import clock
from eventstore.errors import StoreError
from eventstore.event import Event
from eventstore.timestamp import seconds_between
from projections.job import Job
from service.access import Scope
from service.claims import Claim, Claims, WorkerIdentity, claim_on
from service.commands import Ending, FencedError, NotAllowedError
from service.due import DueWork
from service.jobs import Jobs
from service.kinds import Kinds
from service.processors import Registry
from service.refusals import JobNotFoundError
from service.web import problems, samples
from service.web.body import BODY_PROBLEMS, json_body
from service.web.claim import (
    SAMPLE,
    ClaimPage,
    ClaimRequest,
    Completion,
    Failing,
    Renewal,
    Renewed,
    claim_document,
    ending_of,
)
from service.web.document import JobDocument
from service.web.gate import meta
from service.web.job import JOB_HEADERS, WRITE_PROBLEMS, job_answer, path_id
from service.web.operation import JSON, Body, Endpoint, NoQuery, Operation, Reply
from service.web.problems import Invalid
from service.web.query import read_query
from service.web.waits import Waits

_WANTED: Final = {"kinds": ["email"], "worker": "node-1", "max": 1, "wait": 20}
_FAILED: Final = {
    "token": 4,
    "error": {"class": "SMTPResponseException", "message": "451 4.3.0 temporarily unavailable"},
    "facts": {"code": 451},
}
_RENEWED: Final = Reply(
    status=200,
    about="It is recorded.",
    type=Renewed,
    example=Renewed(30, "2026-11-24T04:17:47.381123Z", cancel_requested=False),
)
_GONE: Final = Ending("released", "Released", "who had asked for it was gone")


def _said(then: JobDocument) -> Reply:
    return Reply(
        status=200, about="It is recorded.", type=JobDocument, headers=JOB_HEADERS, example=then
    )


class ClaimsResource:
    """Claims over HTTP."""

    def __init__(
        self,
        jobs: Jobs,
        kinds: Kinds,
        registry: Registry,
        due: DueWork,
        waits: Waits,
        *,
        lease_s: float,
    ) -> None:
        self._jobs = jobs
        self._kinds = kinds
        self._registry = registry
        self._due = due
        self._waits = waits
        self._lease_s = lease_s

    def operations(self) -> list[Operation]:
        """What is served."""
        return [
            Operation(
                name="claimJobs",
                method="POST",
                path="/claims",
                endpoint=self.claim,
                summary="Take due jobs to work on.",
                about="For workers in any language. The request is held until a job of these kinds"
                " may start, at most `wait` seconds. Each job comes with a token; renew the claim"
                " when a third of `lease_s` has passed, and say in the end how it went.",
                scope=Scope.WORK,
                body=Body(type=ClaimRequest, example=_WANTED),
                replies=(
                    Reply(
                        status=200,
                        about="Jobs, claimed for you.",
                        type=ClaimPage,
                        example=ClaimPage([SAMPLE], 3.204511),
                    ),
                    Reply(status=204, about="None came in time."),
                ),
                problems=(*BODY_PROBLEMS, problems.TOO_MANY_WAITING, *WRITE_PROBLEMS),
            ),
            self._on_claim(
                "renew", self.renew, Renewal, "Say that you are still at it.",
                "The lease begins anew. When `cancel_requested` is true somebody wants the attempt"
                " to stop: end it with reason `cancelled`.",
                {"token": 4}, _RENEWED,
            ),
            self._on_claim(
                "complete", self.complete, Completion, "Say that it is done.",
                "To say it twice is no harm, in case the first answer was lost.",
                {"token": 4, "result": {"transport": "smtp"}}, _said(samples.COMPLETED),
            ),
            self._on_claim(
                "fail", self.fail, Failing, "Say that the attempt failed.",
                "What becomes of the job follows from `reason`, `permanent`, `then` and how many"
                " attempts are left. To say it twice is no harm.",
                _FAILED, _said(samples.WAITING),
            ),
        ]  # fmt: skip

    def _on_claim(
        self,
        name: str,
        endpoint: Endpoint,
        body: Any,
        summary: str,
        about: str,
        said: Any,
        reply: Reply,
    ) -> Operation:
        return Operation(
            name=f"{name}Claim",
            method="POST",
            path=f"/claims/{{id}}/{name}",
            endpoint=endpoint,
            summary=summary,
            about=about,
            scope=Scope.WORK,
            body=Body(type=body, example=said),
            replies=(reply,),
            problems=(*BODY_PROBLEMS, problems.NOT_FOUND, problems.FENCED, *WRITE_PROBLEMS),
        )

    async def claim(self, request: Request) -> Response:
        """Wait for due jobs, and claim them."""
        arrived = clock.monotonic()
        read_query(request, NoQuery)
        wanted: ClaimRequest = await json_body(request, ClaimRequest)
        self._require_known(wanted.kinds)
        claims = self._claims(request, wanted.worker)
        async with self._waits.place() if wanted.wait else nullcontext():
            jobs = await self._taken(request, wanted)
        waited_s = clock.monotonic() - arrived
        claimed = [claim for claim in await self._claim_all(claims, jobs) if claim is not None]
        if await request.is_disconnected():
            await self._give_back(claims, claimed)
        if not claimed:
            return Response(status_code=204)
        page = ClaimPage([claim_document(claim) for claim in claimed], round(waited_s, 6))
        return Response(msgspec.json.encode(page), media_type=JSON)

    async def renew(self, request: Request) -> Response:
        """Prolong the lease."""
        claim, _ = await self._spoken_for(request, Renewal)
        renewed = await self._claims(request, _worker_of(claim)).renew(claim)
        assert renewed.known is not None
        assert renewed.known.lease is not None
        lease_until = renewed.known.lease.lease_until
        answer = Renewed(renewed.lease_s, lease_until, renewed.cancel_requested)
        return Response(msgspec.json.encode(answer), media_type=JSON)

    async def complete(self, request: Request) -> Response:
        """Record the result."""
        claim, said = await self._spoken_for(request, Completion)
        claims = self._claims(request, _worker_of(claim))
        async with self._once(claim, "JobCompleted"):
            await claims.complete(claim, duration_s=_duration_s(claim), result=said.result)
        return await self._ended(claim)

    async def fail(self, request: Request) -> Response:
        """Record the failure."""
        claim, said = await self._spoken_for(request, Failing)
        claims = self._claims(request, _worker_of(claim))
        async with self._once(claim, "AttemptFailed"):
            await claims.fail(
                claim,
                ending_of(said),
                duration_s=_duration_s(claim),
                retry_after_s=said.retry_after_s,
            )
        return await self._ended(claim)

    def _require_known(self, kinds: list[str]) -> None:
        """Who misspelt a kind would wait for ever. Raises ProblemError."""
        known = self._registry.kinds()
        unknown = [
            Invalid(f"#/kinds/{place}", f"there is no kind {kind!r}, but {', '.join(known)}")
            for place, kind in enumerate(kinds)
            if kind not in known
        ]
        if unknown:
            raise problems.invalid(*unknown)

    def _claims(self, request: Request, worker: str) -> Claims:
        return Claims(
            self._jobs, self._kinds, WorkerIdentity(worker, None, self._lease_s, meta(request))
        )

    async def _taken(self, request: Request, wanted: ClaimRequest) -> list[Job]:
        """Due jobs, or none once the client has gone or its time is over."""
        leaving = asyncio.create_task(_gone(request))
        try:
            async with asyncio.timeout(None) as patience:
                leaving.add_done_callback(end_now := partial(_end, patience))
                return await self._due.take(wanted.kinds, limit=wanted.max, wait_s=wanted.wait)
        except TimeoutError:
            return []
        finally:
            leaving.remove_done_callback(end_now)
            leaving.cancel()

    async def _claim_all(self, claims: Claims, jobs: list[Job]) -> list[Claim | None]:
        try:
            return list(await asyncio.gather(*(self._claim_one(claims, job) for job in jobs)))
        except BaseException:
            for job in jobs:  # those that were claimed all the same have moved on
                self._due.put_back(job)
            raise

    async def _claim_one(self, claims: Claims, job: Job) -> Claim | None:
        try:
            return await claims.claim(job)
        except (NotAllowedError, StoreError):
            self._due.put_back_later(job)
            return None

    async def _give_back(self, claims: Claims, claimed: list[Claim]) -> None:
        """All that can be: of the others the leases end."""
        ending = (
            claims.fail(claim, _GONE, duration_s=0.0, retry_after_s=None) for claim in claimed
        )
        for error in await asyncio.gather(*ending, return_exceptions=True):
            if isinstance(error, BaseException) and not isinstance(error, FencedError | StoreError):
                raise error

    async def _spoken_for(self, request: Request, type_: Any) -> tuple[Claim, Any]:
        """The claim that a request speaks of, and what it says."""
        read_query(request, NoQuery)
        job_id = path_id(request)
        said = await json_body(request, type_)
        job = await self._jobs.get(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        return claim_on(job, said.token, clock.monotonic()), said

    @asynccontextmanager
    async def _once(self, claim: Claim, type_: str) -> AsyncIterator[None]:
        """What was said before with this token is not refused when it is said again: its answer may
        have been lost on the way.
        """
        try:
            yield
        except FencedError:
            if not _has_said(await self._jobs.history(claim.job_id), claim.token, type_):
                raise

    async def _ended(self, claim: Claim) -> Response:
        job = await self._jobs.get(claim.job_id)
        assert job is not None
        return job_answer(job)


def _end(patience: asyncio.Timeout, _: object) -> None:
    """Now, unless it has just ended by itself: at that instant somebody may hang up, too."""
    with suppress(RuntimeError):
        patience.reschedule(0)


async def _gone(request: Request) -> None:
    """Returns when the client has hung up; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _has_said(history: list[Event], token: int, type_: str) -> bool:
    """Whether the attempt of this token ended by its worker's own word, of this type."""
    started = next((event for event in history if event.pos == token), None)
    if started is None or started.type != "AttemptStarted":
        return False
    return any(
        event.type == type_
        and event.data["attempt"] == started.data["attempt"]
        and event.meta.get("actor") == started.meta.get("actor")
        for event in history
    )


def _worker_of(claim: Claim) -> str:
    """Who has the job, as its claim said."""
    lease = claim.known.lease if claim.known else None
    return lease.worker if lease else "nobody"


def _duration_s(claim: Claim) -> float:
    """Since the attempt began; the wall clock of this host on both sides."""
    log = claim.known.attempt_log if claim.known else ()
    return max(0.0, seconds_between(log[-1].started_at, clock.now())) if log else 0.0
