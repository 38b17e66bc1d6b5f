"""Whole lives of jobs, from the post to the end, with all of the service at work.

Two promises that no part can keep alone: time does not pass while nobody works, so a life of hours
is lived in milliseconds; and a run is a function of its seed, to the byte, whichever process it is
in and however that process hashes its strings.
"""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from eventstore.file.store import FileStore
from eventstore.offload import Inline
from projections.job import AttemptRecord, Failure, Job, Status
from service.backoff import DEFAULT
from service.processors.email import email_processor
from service.processors.email.simulated import SimulatedTransport
from tests.support.loop import run_virtual
from tests.support.world import script, seconds, takes, world

ROOT = Path(__file__).parents[2]
MINUTES = {"base_s": 600.0, "factor": 2.0, "cap_s": 3600.0}


async def hard_life() -> Job:
    """Three failures after two seconds each, minutes apart."""

    async def fails(attempt):
        await asyncio.sleep(2)
        raise ValueError(f"attempt {attempt.number} had no luck")

    async with world(script(fails)) as w:
        return await w.ended(await w.post(after_s=5, policy=MINUTES))


def test_a_life_of_minutes_is_lived_in_less_than_a_second():
    before = time.process_time()
    job = run_virtual(hard_life)
    assert seconds(job.finished_at) > 120
    assert time.process_time() - before < 1


async def test_a_hard_life_is_told_in_full():
    job = await hard_life()
    first, second, third = job.attempt_log
    assert (job.status, job.attempts, job.attempt, job.crashes) == (Status.FAILED, 3, 3, 0)
    assert seconds(job.created_at) == 0
    assert seconds(job.run_at) == seconds(job.started_at) == seconds(first.started_at) == 5
    assert seconds(first.ended_at) == 7
    assert second.started_at == first.retry_at
    assert third.started_at == second.retry_at
    assert (third.retry_at, job.next_attempt_at, job.lease) == (None, None, None)
    assert third.ended_at == job.finished_at
    assert job.ran_s == 6
    assert job.waited_s == pytest.approx(seconds(job.finished_at) - 6)
    assert [attempt.outcome for attempt in job.attempt_log] == ["error"] * 3
    words = [attempt.error.message for attempt in job.attempt_log]
    assert words == [f"attempt {number} had no luck" for number in (1, 2, 3)]
    assert job.last_error == third.error
    assert third.error.class_ == "ValueError"
    assert (third.error.reason, third.error.attempt) == ("error", 3)


async def test_an_easy_life_is_told_in_full():
    async with world(script(takes(2, "sent"))) as w:
        job = await w.ended(await w.post({"to": "ada@example.com"}))
        worker = w.worker._claims._me.name
    noon, two_later = "2026-11-23T12:00:00.000000Z", "2026-11-23T12:00:02.000000Z"
    assert job.attempt_log == (AttemptRecord(1, worker, noon, two_later, "completed"),)
    assert (job.created_at, job.started_at, job.finished_at) == (noon, noon, two_later)
    assert (job.waited_s, job.ran_s) == (0, 2)
    assert (job.payload, job.result, job.last_error) == ({"to": "ada@example.com"}, "sent", None)


async def test_a_failed_job_that_is_asked_for_again_has_a_second_life():
    steps = [ValueError("no luck")] * 3
    async with world(script(*steps, "sent")) as w:
        job_id = await w.post()
        assert (await w.ended(job_id)).status is Status.FAILED
        await w.jobs.retry(job_id, meta={})
        job = await w.ended(job_id)
    assert (job.status, job.attempts, job.attempt, job.result) == (Status.COMPLETED, 1, 4, "sent")
    assert isinstance(job.last_error, Failure), "what went wrong once is not forgotten"


async def many_lives(directory: str) -> None:
    """Fifty e-mails, a third of the attempts fail; the log is in `directory`."""
    transport = SimulatedTransport(seed=5, failure_rate=0.33, latency_s=0.05)
    store = await FileStore.open(directory, dice=Random(5), offload=Inline())
    processor = email_processor(transport, backoff=DEFAULT)
    async with world(processor, store=store, seed=5, concurrency=7) as w:
        message = {"subject": "Hello", "body": "How are you?"}
        jobs = [
            await w.post({"to": f"reader{number}@example.com", **message}, kind="email")
            for number in range(50)
        ]
        ended = [await w.ended(job_id) for job_id in jobs]
        assert {job.status for job in ended} == {Status.COMPLETED, Status.FAILED}


@pytest.mark.real_time
async def test_the_same_seed_writes_the_same_log_to_the_byte_in_any_process(tmp_path):
    processes = []
    for hash_seed in ("1", "2"):
        directory = tmp_path / hash_seed
        command = [sys.executable, "-m", "tests.service.test_life", str(directory)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        processes.append(
            await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=environment, stderr=subprocess.PIPE
            )
        )
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    one, two = (
        (tmp_path / hash_seed / "log" / "000000000001.jsonl").read_bytes() for hash_seed in "12"
    )
    assert one == two
    assert one.count(b'"AttemptFailed"') >= 10


if __name__ == "__main__":
    run_virtual(lambda: many_lives(sys.argv[1]))
