"""The attempts that run at the same time, at most so many: started, counted, stopped together.

What every worker needs, wherever it has its claims from. A slot is kept from before the claim
until the processor is really gone: a plain function that outlives its time limit keeps it. To drain
is to let attempts finish for a while, then to give the rest back, uncounted; what does not listen
even then is left behind, and whoever runs the process must know.

It does not choose what to run.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from eventstore import clock
from service.attempt import RunningAttempt

RELEASE_S = 5.0  # for processors to notice that they were cancelled; a deaf one is left behind

logger = logging.getLogger("joblog.worker")


class Slots:
    """Places for `size` attempts. `changed` is called whenever one ended."""

    def __init__(self, size: int, *, threads: bool, changed: Callable[[], None]) -> None:
        self._size = size
        self._changed = changed
        self._claiming: dict[asyncio.Task[None], int] = {}  # and for how many attempts
        self._draining = False
        # By attempt and not by job: the next one may begin before the last has heard that it ended.
        self._running: dict[RunningAttempt, asyncio.Task[None]] = {}
        self.threads: Executor | None = (
            ThreadPoolExecutor(size, thread_name_prefix="processor") if threads else None
        )

    @property
    def free(self) -> int:
        """How many more can be started."""
        return self._size - self.running

    @property
    def running(self) -> int:
        """Attempts that run here, or are being claimed; after a drain, those that could not be
        stopped.
        """
        return len(self._running) + sum(self._claiming.values())

    def tokens(self) -> set[int]:
        """The claims of the attempts that run here."""
        return {attempt.token for attempt in self._running}

    def recording(self) -> set[int]:
        """Those of them that have ended, but the log does not know yet."""
        return {attempt.token for attempt in self._running if attempt.is_recording}

    def claim(self, number: int, claiming: Coroutine[Any, Any, None]) -> None:
        """Keep slots for so many attempts while they are being claimed, and started."""
        task = asyncio.create_task(claiming, name="claim")
        self._claiming[task] = number
        task.add_done_callback(self._claimed)

    def start(self, attempt: RunningAttempt) -> None:
        """Run an attempt; one that comes too late is given back at once."""
        task = asyncio.create_task(self._run(attempt), name=f"attempt of {attempt.job_id}")
        self._running[attempt] = task
        if self._draining:
            attempt.release()

    def cancel(self, job_ids: set[str]) -> None:
        """Ask the attempts of these jobs to stop, those that run here."""
        if job_ids:
            for attempt in self._running:
                if attempt.job_id in job_ids:
                    attempt.cancel()

    async def drain(self, grace_s: float) -> None:
        """Let attempts finish for `grace_s`, give the rest back, uncounted."""
        await self._ended(grace_s)
        self._draining = True
        for attempt in self._running:
            attempt.release()
        if self.running:
            logger.info("%d attempts given back after %g s", self.running, grace_s)
        await self._ended(RELEASE_S)
        if self.threads is not None:
            self.threads.shutdown(wait=not self._running)

    async def _ended(self, timeout_s: float) -> None:
        """Until all that is under way has ended, or for so long."""
        until = clock.monotonic() + timeout_s
        while (tasks := [*self._running.values(), *self._claiming]) and clock.monotonic() < until:
            await asyncio.wait(tasks, timeout=until - clock.monotonic())

    def _claimed(self, task: asyncio.Task[None]) -> None:
        del self._claiming[task]
        self._changed()

    async def _run(self, attempt: RunningAttempt) -> None:
        try:
            await attempt.run()
        except Exception:
            logger.exception("attempt of job %s ended in a fault of ours", attempt.job_id)
        finally:
            del self._running[attempt]
            self._changed()
