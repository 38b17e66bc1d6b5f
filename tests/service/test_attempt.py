"""One attempt: what the log holds of each way a processor can end.

Processors may do anything, so the ways are many: a result that is not JSON, an error without words,
a cancellation that nobody ordered. None of them may cost more than the attempt. Leases are in
`test_lease`, how the worker chooses jobs in `test_worker`.
"""

import asyncio

import msgspec
import pytest

from eventstore.timestamp import later, seconds_between
from projections.job import Status
from service.processors import Attempt, Permanent, RetryAfter, processor
from tests.support.wait import until
from tests.support.world import CLIENT, script, seconds, takes, world


class Receipt(msgspec.Struct):
    """What a processor may return: not only JSON, but a Struct."""

    reply: str


async def test_an_attempt_that_returns_completes_the_job_with_its_result():
    async with world(script(takes(2.5, {"reply": "250 ok"}))) as w:
        job_id = await w.post()
        job = await w.ended(job_id)
        [completed] = await w.events(job_id, "JobCompleted")
    assert (job.status, job.result, job.attempts) == (Status.COMPLETED, {"reply": "250 ok"}, 1)
    assert completed.data == {"attempt": 1, "duration_s": 2.5}
    assert completed.meta["actor"].startswith("worker:w-")


async def test_a_struct_as_result_becomes_json():
    async with world(script(Receipt("250 ok"))) as w:
        assert (await w.ended(await w.post())).result == {"reply": "250 ok"}


async def test_no_result_is_recorded_as_none_at_all():
    async with world(script(None)) as w:
        job_id = await w.post()
        await w.ended(job_id)
        [completed] = await w.events(job_id, "JobCompleted")
    assert completed.private is None


async def test_the_claim_is_recorded_before_the_processor_runs_and_its_position_is_the_token():
    seen: list[Attempt] = []

    async def look(attempt: Attempt) -> None:
        seen.append(attempt)
        assert await w.types(attempt.job_id) == ["JobCreated", "AttemptStarted"]

    async with world(script(look)) as w:
        job_id = await w.post()
        job = await w.ended(job_id)
        [started] = await w.events(job_id, "AttemptStarted")
    assert job.status is Status.COMPLETED
    [attempt] = seen
    assert (attempt.job_id, attempt.number, attempt.token) == (job_id, 1, started.pos)
    assert (attempt.created_at, attempt.deadline) == (job.created_at, later(started.time, 300))


async def test_an_error_is_retried_at_the_instant_that_was_recorded():
    async with world(script(ValueError("no luck"), "done")) as w:
        job_id = await w.post()
        job = await w.ended(job_id)
        [failed] = await w.events(job_id, "AttemptFailed")
        _, second = await w.events(job_id, "AttemptStarted")
    assert job.status is Status.COMPLETED
    assert failed.data["reason"] == "error"
    assert failed.data["error_class"] == "ValueError"
    assert failed.private["error"] == "no luck"
    assert failed.private["traceback"].rstrip().endswith("ValueError: no luck")
    assert 0 < seconds_between(failed.time, failed.data["retry_at"]) <= 5
    assert second.time == failed.data["retry_at"]


async def test_the_last_failure_ends_the_job_in_one_append_with_the_attempt():
    async with world(script(ValueError("no luck"))) as w:
        job_id = await w.post()
        job = await w.ended(job_id)
        *_, failed, ended = await w.events(job_id)
    assert (job.status, job.attempts, job.attempt) == (Status.FAILED, 3, 3)
    assert (failed.type, ended.type) == ("AttemptFailed", "JobFailed")
    assert failed.data["retry_at"] is None
    assert ended.data == {"attempt": 3, "reason": "max_attempts"}
    assert failed.nonce == ended.nonce
    assert ended.pos == failed.pos + 1


async def test_a_processor_that_exits_ends_its_attempt_and_not_the_service():
    async with world(script(SystemExit(0), "done")) as w:
        job = await w.ended(await w.post())
    assert (job.status, job.attempts) == (Status.COMPLETED, 2)
    assert (job.last_error.reason, job.last_error.class_) == ("error", "SystemExit")


async def test_a_permanent_error_fails_the_job_at_once():
    async with world(script(Permanent("no such mailbox"))) as w:
        job_id = await w.post()
        job = await w.ended(job_id)
        [ended] = await w.events(job_id, "JobFailed")
    assert (job.status, job.attempts, job.last_error.class_) == (Status.FAILED, 1, "Permanent")
    assert ended.data["reason"] == "permanent"


@pytest.mark.parametrize(
    ("asked_s", "given_s"),
    [(0, 0), (90, 90), (-5, 0), (float("nan"), 0), (float("inf"), 31_536_000)],
)
async def test_a_processor_chooses_the_delay_within_a_year(asked_s, given_s):
    async with world(script(RetryAfter(asked_s))) as w:
        job_id = await w.post(max_attempts=2)
        failed = await until(w.log, lambda event: event.type == "AttemptFailed", within=1)
        assert (await w.get(job_id)).attempts >= 1, "it counts"
    assert seconds_between(failed.time, failed.data["retry_at"]) == given_s


async def test_the_next_attempt_begins_when_the_processor_asked_for_it():
    async with world(script(RetryAfter(90), "done")) as w:
        job_id = await w.post()
        assert (await w.ended(job_id)).attempts == 2
        starts = await w.events(job_id, "AttemptStarted")
    assert [seconds(event.time) for event in starts] == [0, 90]


async def test_a_delay_that_is_no_number_is_replaced_by_a_drawn_one():
    async with world(script(RetryAfter("soon", "busy"), "done")) as w:
        assert (await w.ended(await w.post(), within_s=6)).attempts == 2


@pytest.mark.parametrize(
    ("taken_s", "status"), [(9.999_999, Status.COMPLETED), (10.000_001, Status.FAILED)]
)
async def test_the_time_limit_is_exact(taken_s, status):
    async with world(script(takes(taken_s))) as w:
        job = await w.ended(await w.post(timeout_s=10, max_attempts=1))
    assert job.status is status


async def test_a_timeout_and_a_timeout_error_of_the_processors_own_are_told_apart():
    async with world(script(takes(11), TimeoutError("the server was silent"))) as w:
        job_id = await w.post(timeout_s=10, max_attempts=2)
        await w.ended(job_id)
        ours, its_own = await w.events(job_id, "AttemptFailed")
    assert (ours.data["reason"], ours.data["duration_s"]) == ("timeout", 10)
    assert ours.private["error"] == "still running after 10 s"
    assert (its_own.data["reason"], its_own.data["error_class"]) == ("error", "TimeoutError")
    assert its_own.private["error"] == "the server was silent"


async def test_a_cancellation_that_nobody_ordered_is_an_error():
    async def waits_for_something_cancelled(_: Attempt) -> None:
        something = asyncio.get_running_loop().create_future()
        something.cancel()
        await something

    async with world(script(waits_for_something_cancelled, "done")) as w:
        job_id = await w.post()
        assert (await w.ended(job_id)).attempts == 2
        [failed] = await w.events(job_id, "AttemptFailed")
    assert (failed.data["reason"], failed.data["error_class"]) == ("error", "CancelledError")


async def test_an_error_that_has_no_words_fails_the_attempt_and_not_the_worker():
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even this works")

    async with world(script(Mute(), "done")) as w:
        job_id = await w.post()
        assert (await w.ended(job_id, within_s=6)).attempts == 2
        [failed] = await w.events(job_id, "AttemptFailed")
    assert failed.data["error_class"] == "Mute"


async def test_a_payload_that_does_not_fit_its_processor_is_an_error_of_the_attempt():
    @processor("work")
    async def numbers(payload: int, attempt: Attempt) -> None: ...

    async with world(numbers) as w:
        job = await w.ended(await w.post("seven", max_attempts=1))
    assert job.last_error.class_ == "ValidationError"


@pytest.mark.parametrize(
    ("result", "error_class"),
    [
        ("x" * 70_000, "ResultTooLarge"),
        (2**70, "ResultNotJson"),
        ({1: "a key that is a number"}, "ResultNotJson"),
        ("\ud800", "ResultNotJson"),
    ],
)
async def test_a_result_that_no_line_can_hold_fails_the_job_for_good(result, error_class):
    async with world(script(result)) as w:
        job_id = await w.post()
        job = await w.ended(job_id)
        [ended] = await w.events(job_id, "JobFailed")
    assert (job.status, job.attempts, job.last_error.class_) == (Status.FAILED, 1, error_class)
    assert ended.data["reason"] == "permanent"


async def test_a_result_that_is_not_data_at_all_fails_the_job_for_good():
    async with world(script(object())) as w:
        job = await w.ended(await w.post(max_attempts=3))
    assert (job.status, job.attempts) == (Status.FAILED, 1)
    assert job.last_error.class_ == "ResultNotJson"


async def test_a_cancel_right_after_a_retry_is_about_the_job_as_the_log_has_it():
    async with world(script("done"), work=False) as w:
        job_id = await w.post(after_s=60)
        await w.jobs.cancel(job_id, meta=CLIENT)
        await w.get(job_id)
        await w.jobs.retry(job_id, meta=CLIENT)
        await w.jobs.cancel(job_id, meta=CLIENT)
        assert (await w.get(job_id)).status is Status.CANCELLED
        assert (await w.types(job_id))[-1] == "JobCancelled"
