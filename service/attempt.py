"""One attempt, told as a straight line: claim, process under a time limit and a lease, record what
came of it.

The claim is durable before the processor runs, so a job that kills its process is counted. The
lease is kept by renewing it at a third of its length; an owner that could not renew stops its
processor at the instant the lease ends, counted on its own monotonic clock from before the claim
was sent, because from then on another may be at work. The outcome is offered with the claim's
position as fencing token until the log takes or refuses it.

Nothing here chooses jobs or counts slots; that is the worker's. What a failure means for the job is
`commands.fail`'s.
"""

import asyncio
import logging
import traceback
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import msgspec

from eventstore import clock
from eventstore.errors import (
    NotWritten,
    OutcomeUnknown,
    StoreClosed,
    StoreError,
    StoreFailed,
    TooLarge,
)
from projections.job import Job
from service import commands, processors
from service.commands import Ending, FencedError, NotAllowedError
from service.jobs import Jobs
from service.processors import Attempt, Permanent, Processor, RetryAfter

RECORD_AGAIN_S = 0.5  # while the log has no room or does not answer

_OUR_FILES = {__file__, processors.__file__}

logger = logging.getLogger("joblog.worker")


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Who works: a name for people, the epoch of the process, the length of its leases."""

    name: str
    epoch: int
    lease_s: float

    @property
    def meta(self) -> dict[str, str]:
        """What its events carry as actor."""
        return {"actor": f"worker:{self.name}"}


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the processor came to: a failure, or else a result."""

    duration_s: float
    result: Any = None
    ending: Ending | None = None
    retry_after_s: float | None = None


_RELEASED = Ending("released", "Released", "the worker stopped")


class RunningAttempt:
    """The attempt of one job by one worker. `run` it once, in a task of its own."""

    def __init__(
        self, jobs: Jobs, processor: Processor, job: Job, identity: WorkerIdentity
    ) -> None:
        self._jobs = jobs
        self._processor = processor
        self._job = job
        self._me = identity
        self._token = 0
        self._deadline = 0.0
        self._processing: asyncio.Task[Any] | None = None
        self._released = False
        self._lease_lost = False

    @property
    def job_id(self) -> str:
        """Whose attempt it is."""
        return self._job.id

    async def run(self) -> bool:
        """From claim to recorded outcome. False when the job could not be claimed, or not now."""
        if not await self._claim():
            return False
        first_renewal_at = self._deadline - 2 * self._me.lease_s / 3
        keeper = _Later(first_renewal_at - clock.monotonic(), self._keep_lease)
        try:
            outcome = await self._process()
        finally:
            keeper.stop()
        if self._lease_lost and outcome.ending is not None:
            number = self._job.attempt
            logger.warning("job %s: lease lost, attempt %d abandoned", self._job.id, number)
        else:
            await self._record(outcome)
        return True

    def release(self) -> None:
        """Stop the processor and give the job back, uncounted."""
        self._released = True
        if self._processing is not None:
            self._processing.cancel()

    async def _claim(self) -> bool:
        self._deadline = clock.monotonic() + self._me.lease_s
        try:
            self._job = await self._jobs.execute(
                self._job.id,
                lambda job: commands.start(
                    job,
                    now=clock.now(),
                    worker=self._me.name,
                    epoch=self._me.epoch,
                    lease_s=self._me.lease_s,
                    meta=self._me.meta,
                ),
                known=self._job,
            )
        except (NotAllowedError, StoreError) as error:
            logger.info("job %s not claimed: %s", self._job.id, error)
            return False
        assert self._job.lease is not None
        self._token = self._job.lease.token
        self._lease_lost = clock.monotonic() >= self._deadline
        return True

    async def _process(self) -> _Outcome:
        """Run the processor to its end, its time limit, or the order to stop."""
        start = clock.monotonic()
        result: Any = None
        ending: Ending | None = None
        retry_after_s: float | None = None
        limit = asyncio.timeout(self._job.timeout_s)
        self._processing = asyncio.current_task()
        try:
            if self._released or self._lease_lost:
                raise asyncio.CancelledError  # noqa: TRY301  ordered to stop before it began
            async with limit:
                result = await self._processor.run(self._job.payload, self._attempt())
        except asyncio.CancelledError as error:
            ending = self._ending_of_cancellation(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  it ends the attempt, not us
            ending = self._ending_of_error(error, timed_out=limit.expired())
            retry_after_s = _delay_asked_for(error)
        finally:
            self._processing = None
            self._forget_our_cancellations()
        return _Outcome(round(clock.monotonic() - start, 6), result, ending, retry_after_s)

    async def _record(self, outcome: _Outcome) -> None:
        """Offer the outcome until the log has it, refuses it, or is gone."""
        outcome = _as_json(outcome)
        while True:
            try:
                await self._offer(outcome)
            except FencedError as error:
                logger.warning("job %s: outcome refused: %s", self._job.id, error)
            except (NotWritten, OutcomeUnknown):
                await asyncio.sleep(RECORD_AGAIN_S)
                continue
            except (StoreFailed, StoreClosed) as error:
                logger.warning("job %s: outcome not recorded: %s", self._job.id, error)
            except (TooLarge, TypeError) as error:
                outcome = _unrecordable(outcome, error)
                continue
            return

    async def _offer(self, outcome: _Outcome) -> None:
        if outcome.ending is not None:
            await self._jobs.fail(
                self._job,
                token=self._token,
                ending=outcome.ending,
                duration_s=outcome.duration_s,
                retry_after_s=outcome.retry_after_s,
                meta=self._me.meta,
            )
            return
        await self._jobs.execute(
            self._job.id,
            lambda job: commands.complete(
                job,
                token=self._token,
                now=clock.now(),
                duration_s=outcome.duration_s,
                result=outcome.result,
                meta=self._me.meta,
            ),
            known=self._job,
        )

    async def _keep_lease(self) -> None:
        """Renew at thirds of the lease; at its end without a renewal, stop the processor."""
        third = self._me.lease_s / 3
        while not self._lease_lost:
            before = clock.monotonic()
            try:
                async with asyncio.timeout(self._deadline - before):
                    self._job = await self._jobs.execute(
                        self._job.id,
                        lambda job: commands.renew(
                            job,
                            token=self._token,
                            now=clock.now(),
                            lease_s=self._me.lease_s,
                            meta=self._me.meta,
                        ),
                        known=self._job,
                    )
                self._deadline = before + self._me.lease_s
            except FencedError:
                self._lose_lease()
                return
            except (StoreError, TimeoutError) as error:
                logger.warning("job %s: lease not renewed: %s", self._job.id, error)
            now = clock.monotonic()
            if now >= self._deadline:
                self._lose_lease()
            await asyncio.sleep(max(0.0, min(before + third, self._deadline) - now))

    def _lose_lease(self) -> None:
        self._lease_lost = True
        if self._processing is not None:
            self._processing.cancel()

    def _attempt(self) -> Attempt:
        return Attempt(self._job.id, self._job.attempt, self._token, self._job.created_at)

    def _ending_of_cancellation(self, error: asyncio.CancelledError) -> Ending:
        """Ordered by us: the task goes on, to record it. Not ordered at all: something the
        processor awaited was.
        """
        task = asyncio.current_task()
        assert task is not None
        if self._released or self._lease_lost:
            return _RELEASED
        if task.cancelling():
            raise error
        return Ending("error", "CancelledError", "something the processor waited for was cancelled")

    def _ending_of_error(self, error: BaseException, *, timed_out: bool) -> Ending:
        """What was raised; unless it was only the processor's way to stop when it was told to."""
        if self._released or self._lease_lost:
            return _RELEASED
        if timed_out and isinstance(error, TimeoutError):
            words = f"still running after {self._job.timeout_s:g} s"
            return Ending("timeout", "TimeoutError", words)
        return _ending_of(error)

    def _forget_our_cancellations(self) -> None:
        """They have done their work; the task goes on, to record what it came to."""
        task = asyncio.current_task()
        assert task is not None
        while (self._released or self._lease_lost) and task.cancelling():
            task.uncancel()


class _Later:
    """A coroutine that begins after a delay, unless stopped before: most attempts end before their
    first renewal.
    """

    def __init__(self, delay_s: float, coroutine: Any) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._begin)

    def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._coroutine())


def _ending_of(error: BaseException) -> Ending:
    return Ending(
        "error",
        type(error).__name__,
        _text(error),
        "".join(traceback.format_exception(type(error), error, _frames_of_the_processor(error))),
        permanent=isinstance(error, Permanent),
    )


def _frames_of_the_processor(error: BaseException) -> TracebackType | None:
    """The traceback without the frames that only led to the processor, the same for all of them."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in _OUR_FILES:
        frames = frames.tb_next
    return frames


def _text(error: BaseException) -> str:
    """What it says; an error of somebody else's making may not even be able to."""
    try:
        return str(error)
    except Exception as another:  # noqa: BLE001  whatever it is, it must not cost us the outcome
        return f"(its words could not be had: {type(another).__name__})"


def _delay_asked_for(error: BaseException) -> float | None:
    """The wait that a processor asks for; None when it asks for none, or for no number."""
    seconds = error.seconds if isinstance(error, RetryAfter) else None
    return seconds if isinstance(seconds, int | float) else None


def _as_json(outcome: _Outcome) -> _Outcome:
    """With a result that is JSON: what a Struct, a dataclass or a date stands for."""
    try:
        return replace(outcome, result=msgspec.to_builtins(outcome.result))
    except (TypeError, ValueError, RecursionError) as error:
        return _unrecordable(outcome, error)


def _unrecordable(outcome: _Outcome, error: Exception) -> _Outcome:
    """A result that does not fit a line, or is not JSON: no further attempt would mend that."""
    name = "ResultTooLarge" if isinstance(error, TooLarge) else "ResultNotJson"
    ending = Ending("error", name, str(error), permanent=True)
    return _Outcome(outcome.duration_s, ending=ending)
