"""A worker on another machine: the same attempts, their claims kept over HTTP.

It asks a server for due jobs (`POST /claims`, held there until there is one), runs each as the
server's own worker would, and says how it ended. It reads no log and needs no access to one; a
token with scope `work` is all it has. When the server is away it goes on asking, more and more
seldom, and offers what its attempts came to until their leases end.

A lost answer is no lost outcome: what is said twice with one token is taken once (`service.web`).

`RemoteLedger` turns answers into what a `Ledger` raises; nothing else here knows HTTP.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Any, Final

import httpx2
import msgspec

from eventstore import clock
from eventstore.errors import NotWritten, OutcomeUnknown, StoreClosed, TooLarge
from eventstore.event import LINE_BYTES_MAX
from service.attempt import RunningAttempt
from service.claims import Claim
from service.commands import Ending, FencedError, cut, sane_delay_s
from service.processors import Registry
from service.slots import Slots

WAIT_S = 20.0  # how long the server may hold a request for jobs
ANSWER_S = 15.0  # how long any other answer may take
CLAIMS_MAX = 100  # in one request
ON_ITS_WAY_S = 0.5  # an answer with jobs, once they are claimed
PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)  # between requests while the server is away

# What the server answers; the names of these have changed from one version of HTTP to the next.
_LOST: Final = {404, 409}
_TOO_LARGE: Final = 413
_NO_JSON: Final = {400, 422}
_NO_ACCESS: Final = {401, 403}
_TIMED_OUT: Final = 408

logger = logging.getLogger("joblog.worker")


class CannotWorkError(Exception):
    """The server refuses this worker, and asking again would not help."""


class RemoteLedger:
    """Claims, kept by a server."""

    def __init__(self, client: httpx2.AsyncClient, *, worker: str) -> None:
        """`client` knows the server's address and our token."""
        self._client = client
        self._worker = worker

    async def take(self, kinds: Collection[str], limit: int) -> list[Claim]:
        """Due jobs, claimed; none when none came. Raises CannotWorkError, NotWritten."""
        wanted = {"kinds": sorted(kinds), "max": limit, "wait": WAIT_S, "worker": self._worker}
        sent = clock.monotonic()
        try:
            answer = await self._client.post("/claims", json=wanted, timeout=WAIT_S + ANSWER_S)
        except httpx2.HTTPError as error:
            raise NotWritten(_words(error)) from error
        if answer.status_code == httpx2.codes.NO_CONTENT:
            return []
        if answer.status_code != httpx2.codes.OK:
            raise _refusal_of_take(answer)
        page = _read(answer)
        # The server claimed no earlier than so long after the request was sent.
        since = sent + page["waited_s"]
        return [_claim(each, since) for each in page["claims"]]

    async def renew(self, claim: Claim) -> Claim:
        """See Ledger."""
        since = clock.monotonic()
        renewed = _read(await self._say(claim, "renew", {}))
        return claim._replace(
            since=since, lease_s=renewed["lease_s"], cancel_requested=renewed["cancel_requested"]
        )

    async def complete(self, claim: Claim, *, duration_s: float, result: Any) -> None:
        """See Ledger. The server measures the duration itself."""
        del duration_s
        await self._say(claim, "complete", {"result": result})

    async def fail(
        self, claim: Claim, ending: Ending, *, duration_s: float, retry_after_s: float | None
    ) -> None:
        """See Ledger. The server measures the duration itself."""
        del duration_s
        error = {"class": cut(ending.error_class), "message": cut(ending.error)}
        if ending.traceback is not None:
            error["traceback"] = cut(ending.traceback, keep_end=True)
        said: dict[str, Any] = {
            "error": error,
            "reason": ending.reason,
            "permanent": ending.permanent,
            "then": ending.then,
            "facts": ending.facts,
            "accepted": ending.accepted,
            "refused": ending.refused,
        }
        if retry_after_s is not None:
            said["retry_after_s"] = sane_delay_s(retry_after_s)
        await self._say(claim, "fail", said)

    async def _say(self, claim: Claim, what: str, said: dict[str, Any]) -> httpx2.Response:
        try:
            body = msgspec.json.encode({"token": claim.token, **said})
        except UnicodeEncodeError as error:
            raise TypeError(f"half a surrogate pair is no text: {error}") from error
        try:
            answer = await self._client.post(
                f"/claims/{claim.job_id}/{what}",
                content=body,
                headers={"Content-Type": "application/json"},
            )
        except httpx2.ConnectError as error:
            raise NotWritten(_words(error)) from error
        except httpx2.HTTPError as error:
            raise OutcomeUnknown(_words(error)) from error
        if answer.status_code != httpx2.codes.OK:
            raise _refusal(answer, body)
        return answer


class RemoteWorker:
    """Runs a server's jobs until it is drained."""

    def __init__(
        self, ledger: RemoteLedger, registry: Registry, kinds: Collection[str], *, concurrency: int
    ) -> None:
        """It works on these kinds only."""
        self._ledger = ledger
        self._registry = registry
        self._kinds = kinds
        self._freed = asyncio.Event()
        self._slots = Slots(concurrency, threads=True, changed=self._freed.set)
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._away = 0  # requests in a row that the server did not answer

    async def run(self) -> None:
        """Work until `stop`. Raises CannotWorkError."""
        while not self._stopped.done():
            self._freed.clear()
            if self._slots.free == 0:
                await self._until_stopped(asyncio.ensure_future(self._freed.wait()))
                continue
            try:
                claims = await self._take()
            except NotWritten as error:
                await self._pause(error)
                continue
            self._away = 0
            for claim in claims:
                self._start(claim)

    def stop(self) -> None:
        """Take nothing more. What runs goes on; see `drain`."""
        if not self._stopped.done():
            self._stopped.set_result(None)

    async def drain(self, grace_s: float) -> None:
        """Once `run` has ended: let attempts finish for `grace_s`, give the rest back."""
        await self._slots.drain(grace_s)

    @property
    def running(self) -> int:
        """Attempts that run here; after a drain, those that could not be stopped."""
        return self._slots.running

    async def _take(self) -> list[Claim]:
        """Due jobs. What was claimed in the instant of a stop is on its way to us: it is waited for
        a moment, so that it can be given back and need not wait for the end of its lease.
        """
        limit = min(self._slots.free, CLAIMS_MAX)
        taking = asyncio.create_task(self._ledger.take(self._kinds, limit))
        await self._until_stopped(taking, moment_s=ON_ITS_WAY_S)
        return [] if taking.cancelled() else taking.result()

    async def _until_stopped(self, task: "asyncio.Task[Any]", *, moment_s: float = 0.0) -> None:
        """Until a task has ended, or a moment after `stop`: then it is cancelled."""
        try:
            await asyncio.wait([task, self._stopped], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([task], timeout=moment_s)
        finally:
            task.cancel()
            await asyncio.wait([task])

    def _start(self, claim: Claim) -> None:
        processor = self._registry.get(claim.kind)
        assert processor is not None, f"the server gave a job of kind {claim.kind}, unasked"

        threads = self._slots.threads
        self._slots.start(RunningAttempt(self._ledger, processor, claim, threads=threads))

    async def _pause(self, error: NotWritten) -> None:
        delay_s = PAUSES_S[min(self._away, len(PAUSES_S) - 1)]
        self._away += 1
        logger.warning("no jobs from the server (%s); again in %g s", error.reason, delay_s)
        await self._until_stopped(asyncio.create_task(asyncio.sleep(delay_s)))


def _claim(found: Any, since: float) -> Claim:
    job = found["job"]
    return Claim(
        job_id=job["id"],
        kind=job["kind"],
        attempt=found["attempt"],
        token=found["token"],
        payload=job["payload"],
        created_at=job["created_at"],
        timeout_s=found["timeout_s"],
        lease_s=found["lease_s"],
        since=since,
        claimed_at=clock.now(),
        facts=found["facts"],
        accepted=tuple(found["accepted"]),
        refused=tuple(found["refused"]),
    )


def _refusal_of_take(answer: httpx2.Response) -> Exception:
    """What an answer without jobs means."""
    detail = _detail(answer)
    if answer.is_server_error or answer.status_code == _TIMED_OUT:
        return NotWritten(detail)
    return CannotWorkError(f"the server answered {answer.status_code}: {detail}")


def _refusal(answer: httpx2.Response, body: bytes) -> Exception:
    """What a refused renewal or outcome means, in the words of the ledger."""
    detail = _detail(answer)
    status = answer.status_code
    if status in _LOST:
        return FencedError(detail)
    if status == _TOO_LARGE:
        return TooLarge(len(body), LINE_BYTES_MAX)
    if status in _NO_JSON:
        return TypeError(detail)  # of a kind that the server does not take: as if it were none
    if status in _NO_ACCESS:
        return StoreClosed()
    return OutcomeUnknown(detail)


def _detail(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} from what is no joblog"


def _read(answer: httpx2.Response) -> Any:
    """What a server says; a proxy that answers in its place is no server that works."""
    try:
        found = answer.json()
        if isinstance(found, dict):
            return found
    except ValueError:
        pass
    raise NotWritten(f"{answer.status_code} from what is no joblog")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
