"""One attempt, told as a straight line: process what was claimed, under a time limit and a lease,
and record what came of it.

The claim is durable before the processor runs, so a job that kills its process is counted. The
lease is kept by renewing it at a third of its length; an owner that could not renew stops its
processor at the instant the lease ends, counted on its own monotonic clock from before the claim
was sent, because from then on another may be at work. The outcome is offered with the claim's
position as fencing token until the ledger takes or refuses it.

A coroutine is stopped by cancelling it. A plain function runs in a thread, which nothing can stop:
it is told (`Attempt.cancelled`), its attempt ends without it, and its slot stays taken until it
returns.

Nothing here chooses jobs or counts slots; that is the worker's. What an error says is read in
`service.outcome`, what a failure means for the job is `commands.fail`'s, and where the claim is
kept is the ledger's.
"""

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
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
from service.begun import Begun
from service.claims import Claim, Ledger
from service.commands import Ending, FencedError
from service.outcome import (
    Outcome,
    as_json,
    delay_asked_for,
    ending_of,
    unrecordable,
    with_parts,
)
from service.processors import Attempt, Processor, Unsure

RECORD_AGAIN_S = 0.5  # while the log has no room or does not answer

logger = logging.getLogger("joblog.worker")


_RELEASED = Ending("released", "Released", "the worker stopped")
_CANCELLED = Ending("cancelled", "Cancelled", "its cancellation was requested")


class RunningAttempt:
    """The attempt of one job by one worker, which has the claim. `run` it once, in a task of its
    own. `threads` run what blocks (None: it runs on the loop, for virtual time).
    """

    def __init__(
        self,
        ledger: Ledger,
        processor: Processor,
        claim: Claim,
        *,
        threads: Executor | None = None,
    ) -> None:
        self.job_id = claim.job_id
        self.token = claim.token
        self._ledger = ledger
        self._processor = processor
        self._threads = threads
        self._claim = claim
        self._attempt: Attempt | None = None
        self._processing: asyncio.Task[Any] | None = None
        self._in_thread: asyncio.Future[Any] | None = None
        self._began = 0.0  # monotonic
        self._limit: asyncio.Timeout | None = None
        self._told_to_stop: Ending | None = None  # by the worker, or by a client
        self._lease_lost = self._lease_left_s() <= 0
        self.is_recording = False  # the processor has ended, the log does not know yet

    async def run(self) -> None:
        """To the recorded outcome."""
        keeper = _Later(self._lease_left_s() - 2 * self._claim.lease_s / 3, self._keep_lease)
        try:
            await self._end(await self._process())
        finally:
            keeper.stop()
        if self._in_thread is not None:
            await asyncio.wait([self._in_thread])  # until then it takes our slot

    async def _end(self, outcome: Outcome) -> None:
        """Record it, unless the claim is lost; until it is recorded the claim is kept."""
        if self._lease_lost and outcome.ending is not None:
            number = self._claim.attempt
            logger.warning("job %s: lease lost, attempt %d abandoned", self.job_id, number)
            return
        self.is_recording = True
        await self._record(outcome)
        self.is_recording = False

    def release(self) -> None:
        """Stop the processor and give the job back, uncounted."""
        self._told_to_stop = _RELEASED
        self._stop_processor()

    def cancel(self) -> None:
        """A client wants the job to end: ask the processor to stop. A plain function is only told,
        for what it comes to is still wanted.
        """
        if self._told_to_stop is not None:
            return
        self._told_to_stop = _CANCELLED
        if self._attempt is not None and self._in_thread and not self._in_thread.done():
            self._attempt.stop()
        else:
            self._stop_processor()

    async def _process(self) -> Outcome:
        """Run the processor to its end, its time limit, or the order to stop."""
        self._began = clock.monotonic()
        result: Any = None
        ending: Ending | None = None
        retry_after_s: float | None = None
        self._processing = asyncio.current_task()
        self._attempt = attempt = _attempt_of(self._claim)
        try:
            if self._shall_stop():
                raise asyncio.CancelledError  # noqa: TRY301  ordered to stop before it began
            result = await self._work(attempt)
        except asyncio.CancelledError as error:
            ending = self._ending_of_cancellation(error)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  whatever it is, it ends the attempt, not us
            ending = self._ending_of_error(error)
            retry_after_s = delay_asked_for(error)
        finally:
            self._processing = None
            attempt.stop()
            self._forget_our_cancellations()
        if ending is not None:
            ending = with_parts(ending, attempt, self._claim)
        return Outcome(round(clock.monotonic() - self._began, 6), result, ending, retry_after_s)

    async def _work(self, attempt: Attempt) -> Any:
        """What the processor returns. Only one that waits for something meets its limit."""
        if self._threads is not None and self._processor.in_thread:
            async with self._limited():
                result = await asyncio.shield(self._begin_in_thread(self._threads, attempt))
                return await result if inspect.isawaitable(result) else result
        result = self._processor.call(self._claim.payload, attempt)
        if inspect.iscoroutine(result):
            begun = Begun(result)
            if begun.ended:
                return begun.result
            result = begun
        elif not inspect.isawaitable(result):
            return result
        async with self._limited():
            return await result

    def _limited(self) -> asyncio.Timeout:
        self._limit = asyncio.timeout(self._claim.timeout_s - (clock.monotonic() - self._began))
        return self._limit

    def _begin_in_thread(self, threads: Executor, attempt: Attempt) -> "asyncio.Future[Any]":
        call = partial(self._processor.call, self._claim.payload, attempt)
        self._in_thread = asyncio.get_running_loop().run_in_executor(
            threads, contextvars.copy_context().run, _carried, call
        )
        self._in_thread.add_done_callback(_retrieved)
        return self._in_thread

    async def _record(self, outcome: Outcome) -> None:
        """Offer the outcome until the log has it, refuses it, or is gone."""
        outcome = as_json(outcome)
        while True:
            try:
                await self._offer(outcome)
            except FencedError as error:
                logger.warning("job %s: outcome refused: %s", self.job_id, error)
            except (NotWritten, OutcomeUnknown):
                await asyncio.sleep(RECORD_AGAIN_S)
                continue
            except (StoreFailed, StoreClosed) as error:
                logger.warning("job %s: outcome not recorded: %s", self.job_id, error)
            except (TooLarge, TypeError) as error:
                before, outcome = outcome, unrecordable(outcome, error)
                if outcome != before:
                    continue
                logger.exception("job %s: its outcome cannot be recorded", self.job_id)
            return

    async def _offer(self, outcome: Outcome) -> None:
        if outcome.ending is None:
            await self._ledger.complete(
                self._claim, duration_s=outcome.duration_s, result=outcome.result
            )
            return
        await self._ledger.fail(
            self._claim,
            outcome.ending,
            duration_s=outcome.duration_s,
            retry_after_s=outcome.retry_after_s,
        )

    async def _keep_lease(self) -> None:
        """Renew at thirds of the lease; at its end without a renewal, stop the processor."""
        while not self._lease_lost:
            before = clock.monotonic()
            try:
                async with asyncio.timeout(self._lease_left_s()):
                    self._claim = await self._ledger.renew(self._claim)
            except FencedError:
                self._lose_lease()
                return
            except (StoreError, TimeoutError) as error:
                logger.warning("job %s: lease not renewed: %s", self.job_id, error)
            if self._claim.cancel_requested:
                self.cancel()
            if self._lease_left_s() <= 0:
                self._lose_lease()
            third = before + self._claim.lease_s / 3 - clock.monotonic()
            await asyncio.sleep(max(0.0, min(third, self._lease_left_s())))

    def _lease_left_s(self) -> float:
        return self._claim.since + self._claim.lease_s - clock.monotonic()

    def _lose_lease(self) -> None:
        self._lease_lost = True
        self._stop_processor()

    def _stop_processor(self) -> None:
        if self._attempt is not None:
            self._attempt.stop()
        if self._processing is not None:
            self._processing.cancel()

    def _shall_stop(self) -> bool:
        return self._told_to_stop is not None or self._lease_lost

    def _ending_of_cancellation(self, error: asyncio.CancelledError) -> Ending:
        """Ordered by us: the task goes on, to record it. Not ordered at all: something the
        processor awaited was.
        """
        task = asyncio.current_task()
        assert task is not None
        if self._shall_stop():
            return self._told_to_stop or _RELEASED
        if task.cancelling():
            raise error
        return Ending("error", "CancelledError", "something the processor waited for was cancelled")

    def _ending_of_error(self, error: BaseException) -> Ending:
        """What was raised; unless it was only the processor's way to stop when it was told to. That
        nobody knows whether it was done, is so all the same.
        """
        if self._shall_stop() and not isinstance(error, Unsure):
            return self._told_to_stop or _RELEASED
        timed_out = self._limit is not None and self._limit.expired()
        if timed_out and isinstance(error, TimeoutError):
            words = f"still running after {self._claim.timeout_s:g} s"
            return Ending("timeout", "TimeoutError", words)
        return ending_of(error)

    def _forget_our_cancellations(self) -> None:
        """They have done their work; the task goes on, to record what it came to."""
        if not self._shall_stop():
            return
        task = asyncio.current_task()
        assert task is not None
        while task.cancelling():
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


def _attempt_of(claim: Claim) -> Attempt:
    return Attempt(
        job_id=claim.job_id,
        number=claim.attempt,
        token=claim.token,
        created_at=claim.created_at,
        started_at=claim.claimed_at,
        timeout_s=claim.timeout_s,
        facts=msgspec.to_builtins(claim.facts),  # a copy: the job's own are not to be changed
        accepted=set(claim.accepted),
        refused=set(claim.refused),
    )


def _carried(call: Callable[[], Any]) -> Any:
    """What it returns or raises, in a form that a future can carry out of the thread: one that is
    given a StopIteration is never done.
    """
    try:
        return call()
    except StopIteration as error:
        raise RuntimeError("the processor raised StopIteration") from error


def _retrieved(thread: "asyncio.Future[Any]") -> None:
    """What a thread came to after its attempt had ended interests nobody."""
    if not thread.cancelled():
        thread.exception()
