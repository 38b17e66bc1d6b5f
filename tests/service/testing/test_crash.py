"""A crash in the kit is what a crash is in production: nothing that was recorded is lost, nothing
that was not is there, and the next process finds out by itself.

The worst moment is the one that every queue has: the work was done, and nobody could say so.
"""

import asyncio

import pytest

from service import Attempt, processor
from service.testing import DeafProcessorError, service
from tests.service.testing.kinds import work


class Gateway:
    """What a processor calls: it remembers what it was told."""

    def __init__(self) -> None:
        self.charges: list[tuple[str, int]] = []

    def kind(self, takes_s: float = 0.0):
        @processor("charge")
        async def charge(payload: int, attempt: Attempt) -> None:
            await asyncio.sleep(takes_s)
            self.charges.append((attempt.job_id, attempt.number))
            await asyncio.sleep(takes_s)

        return charge


def test_an_attempt_under_way_is_lost_and_tried_again():
    gateway = Gateway()
    with service(gateway.kind(takes_s=10)) as s:
        job_id = s.post("charge", 7)
        s.advance(15)
        s.kill()
        job = s.job(job_id)
        assert (job.status, job.crashes, job.attempts) == ("pending", 1, 0)
        assert job.last_error.reason == "worker_lost"
        s.advance(60)
        assert s.job(job_id).status == "completed"
    assert gateway.charges == [(job_id, 1), (job_id, 2)]


def test_killed_at_the_outcome_the_work_is_done_and_nothing_is_recorded():
    gateway = Gateway()
    with service(gateway.kind()) as s:
        job_id = s.post("charge", 7)
        s.kill_at_outcome()
        s.drain()
        assert gateway.charges == [(job_id, 1)]
        assert [event.type for event in s.history(job_id)] == [
            "JobCreated", "AttemptStarted", "AttemptFailed",
        ]  # fmt: skip
        assert [error.reason for error in s.errors] == ["worker_lost"]
        s.advance(60)
        assert (s.job(job_id).status, s.job(job_id).crashes) == ("completed", 1)
    assert gateway.charges == [(job_id, 1), (job_id, 2)]


def test_killed_at_the_outcome_while_time_is_advanced_time_goes_on_to_its_end():
    gateway = Gateway()
    with service(gateway.kind()) as s:
        job_id = s.post("charge", 7, delay=30)
        s.kill_at_outcome()
        start = s.now
        s.advance(90)
        assert (s.now - start).total_seconds() == 90
        assert s.job(job_id).status == "completed"
        assert s.job(job_id).crashes == 1


def test_a_failure_is_an_outcome_too():
    with service(work) as s:
        job_id = s.post("work", {"failures": 1})
        s.kill_at_outcome()
        s.drain()
        s.advance(60)
        job = s.job(job_id)
        assert (job.status, job.crashes, job.attempts) == ("completed", 1, 1)


def test_a_job_that_kills_its_process_every_time_ends():
    with service(work) as s:
        job_id = s.post("work", {"sleep_s": 1})
        for crashes in range(1, 6):
            s.kill_at_outcome()
            s.drain()
            assert s.job(job_id).crashes == crashes
            if crashes < 5:
                s.retry(job_id)
        assert (s.job(job_id).status, s.job(job_id).crashes) == ("failed", 5)


def test_what_was_acknowledged_survives_and_what_was_done_stays_done():
    with service(work) as s:
        done, waiting = s.post("work", {}), s.post("work", {}, delay=60, key="k")
        s.advance(1)
        before = s.history(done), s.job(done), s.job(waiting)
        for _ in range(3):
            s.kill()
        assert (s.history(done), s.job(done), s.job(waiting)) == before
        assert s.post("work", {}, delay=60, key="k") == waiting
        s.advance(59)
        assert s.job(waiting).status == "completed"


def test_each_process_has_an_epoch_of_its_own():
    with service(work) as s:
        ids = []
        for _ in range(3):
            ids.append(s.post("work", {}))
            s.drain()
            s.kill()
        epochs = [s.history(each)[1].data["epoch"] for each in ids]
    assert epochs == [1, 2, 3]


def test_nothing_that_a_dying_processor_does_is_recorded():
    ended = []

    @processor("stubborn")
    async def stubborn(payload: None, attempt: Attempt) -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.append(attempt.number)
            return "done all the same"
        return "done"

    with service(stubborn) as s:
        job_id = s.post("stubborn", None)
        s.advance(1)
        s.kill()
        assert ended == [1]
        assert s.history(job_id)[-1].data["reason"] == "worker_lost"


def test_a_processor_that_cannot_be_killed_is_named():
    @processor("deaf")
    async def deaf(payload: None, attempt: Attempt) -> None:
        for _ in range(100):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                continue

    with service(deaf) as s:
        s.post("deaf", None)
        s.advance(1)
        with pytest.raises(DeafProcessorError, match="attempt of "):
            s.kill()
