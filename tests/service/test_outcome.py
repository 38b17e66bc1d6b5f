"""What a processor says when it fails: doubt, settings at fault, facts, settled parts.

Anything may be said, by anybody's code. What the log cannot hold, or could not be read again, is
left out; the attempt is recorded all the same. The words of errors are in `test_failures`, results
in `test_attempt`, and what becomes of a kind in `test_kinds`.
"""

import asyncio
import enum
from datetime import UTC, datetime

import msgspec
import pytest

from eventstore import clock
from eventstore.errors import TooLarge
from projections.job import Status, fold
from projections.verify import LifeCycles
from service import backoff
from service.commands import Options
from service.outcome import CLASS_CHARACTERS_MAX, FACTS_BYTES_MAX, PART_MAX
from service.processors import (
    Attempt,
    AttemptError,
    Misconfigured,
    Permanent,
    Prepared,
    RetryAfter,
    Unsure,
    processor,
)
from tests.support.world import CLIENT, about, script, world

FACTS = {"phase": "data", "code": 451}


class Colour(enum.Enum):
    RED = "red"


class Reply(msgspec.Struct):
    code: int


async def attempt_of(step, **options):
    """A job whose attempts do this, once the first one has failed; and that failure."""
    async with world(script(step)) as w:
        job_id = await w.post(**options)
        job = await w.jobs.wait_until(job_id, lambda job: job.last_error is not None, timeout_s=60)
        failed, *_ = await w.events(job_id, "AttemptFailed")
        stories = LifeCycles()
        for event in await w.log.read():
            assert list(stories.check(event)) == []
    return job, failed


# doubt


@pytest.mark.parametrize(
    ("then", "status", "types"),
    [
        ("retry", Status.PENDING, ["AttemptFailed"]),
        ("hold", Status.PENDING, ["AttemptFailed", "JobHeld"]),
        ("fail", Status.FAILED, ["AttemptFailed", "JobFailed"]),
    ],
)
async def test_of_doubt_is_made_what_the_processor_says(then, status, types):
    async with world(script(Unsure("no answer", then=then, facts=FACTS))) as w:
        job_id = await w.post()
        job = await w.jobs.wait_until(job_id, lambda job: job.last_error is not None, timeout_s=60)
        assert (await w.types(job_id))[2:] == types
    assert (job.status, job.last_error.reason) == (status, "unknown")
    assert (job.last_error.class_, job.last_error.facts) == ("Unsure", FACTS)
    assert (job.held_at is not None) is (then == "hold")


async def test_a_held_job_waits_for_a_person_and_goes_on_when_one_says_so():
    async with world(script(Unsure("no answer", then="hold"), "done")) as w:
        job_id = await w.post()
        held = await w.jobs.wait_until(job_id, lambda job: job.held_at is not None, timeout_s=1)
        job = await w.jobs.wait_until(job_id, lambda job: job.rev > held.rev, timeout_s=3600)
        assert job == held, "not even after an hour"
        await w.jobs.retry(job_id, meta=CLIENT)
        job = await w.ended(job_id)
    assert (job.result, job.attempt, job.attempts, job.held_at) == ("done", 2, 1, None)
    assert job.waited_s == 3600


# facts


@pytest.mark.parametrize(
    "error",
    [
        AttemptError("no luck", facts=FACTS),
        Permanent("never", facts=FACTS),
        RetryAfter(5, facts=FACTS),
        Unsure("who knows", facts=FACTS),
        Misconfigured("login", facts=FACTS),
    ],
)
async def test_facts_are_clear_in_the_log_and_shown_with_the_error(error):
    job, failed = await attempt_of(error)
    assert failed.data["facts"] == FACTS
    assert job.last_error.facts == job.attempt_log[0].error.facts == FACTS


@pytest.mark.parametrize(
    ("facts", "kept"),
    [
        ({1: "one"}, {"1": "one"}),
        (
            {"at": datetime(2026, 1, 2, tzinfo=UTC)},
            {"at": "2026-01-02T00:00:00Z"},
        ),
        ({"colour": Colour.RED}, {"colour": "red"}),
        ({"tags": ("a", "b")}, {"tags": ["a", "b"]}),
        (Reply(451), {"code": 451}),
    ],
)
async def test_facts_become_json(facts, kept):
    _, failed = await attempt_of(AttemptError("no luck", facts=facts))
    assert failed.data["facts"] == kept


@pytest.mark.parametrize(
    "facts",
    [
        None,
        {},
        {"reply": object()},
        {"number": 2**70},
        {"half": "\ud800"},
        {"\ud800": 1},
        {("a", "b"): 1},
        ["no", "object"],
        "no object",
        7,
        {"text": "x" * FACTS_BYTES_MAX},
    ],
    ids=lambda facts: str(type(facts)),
)
async def test_facts_that_the_log_cannot_hold_are_left_out_and_cost_nothing_else(facts):
    job, failed = await attempt_of(AttemptError("no luck", facts=facts))
    assert "facts" not in failed.data
    assert (failed.data["reason"], failed.private["error"]) == ("error", "no luck")
    assert (job.status, job.attempts, job.last_error.facts) == (Status.PENDING, 1, None)


@pytest.mark.parametrize("depth", [300, 5000])
async def test_facts_of_any_depth_cost_nothing_else(depth):
    nested: dict = {}
    for _ in range(depth):
        nested = {"in": nested}
    job, failed = await attempt_of(AttemptError("no luck", facts=nested))
    assert "facts" not in failed.data
    assert (job.status, job.attempts) == (Status.PENDING, 1)


async def test_facts_that_contain_themselves_cost_nothing_else():
    facts: dict = {}
    facts["self"] = facts
    _, failed = await attempt_of(AttemptError("no luck", facts=facts))
    assert "facts" not in failed.data


@pytest.mark.parametrize(("bytes_", "kept"), [(-1, True), (0, True), (1, False)])
async def test_facts_are_kept_up_to_their_limit(bytes_, kept):
    text = "x" * (FACTS_BYTES_MAX - len('{"text":""}') + bytes_)
    _, failed = await attempt_of(AttemptError("no luck", facts={"text": text}))
    assert ("facts" in failed.data) is kept


async def test_the_longest_of_everything_fits():
    text = '"' * 20_000
    facts = {"text": "x" * (FACTS_BYTES_MAX - 11)}

    async def talks(attempt: Attempt) -> None:
        attempt.accepted |= set(range(1000))
        raise Permanent(text, facts=facts)

    job, failed = await attempt_of(talks)
    assert (job.status, len(job.accepted)) == (Status.FAILED, 1000)
    assert failed.data["facts"] == facts


async def test_the_name_of_an_error_is_cut():
    error = type("E" * 70_000, (Exception,), {})
    _, failed = await attempt_of(error("no luck"))
    assert failed.data["error_class"] == "E" * CLASS_CHARACTERS_MAX


# parts


async def test_settled_parts_are_recorded_and_the_next_attempt_begins_with_them():
    begun = []

    async def one_by_one(attempt: Attempt) -> str:
        begun.append((set(attempt.accepted), set(attempt.refused)))
        if attempt.number == 1:
            attempt.accepted |= {2, 0}
            attempt.refused.add(1)
        elif attempt.number == 2:
            attempt.accepted.add(3)
        else:
            return "done"
        raise RetryAfter(1)

    async with world(script(one_by_one)) as w:
        job_id = await w.post()
        job = await w.ended(job_id)
        first, second = await w.events(job_id, "AttemptFailed")
    assert begun == [(set(), set()), ({0, 2}, {1}), ({0, 2, 3}, {1})]
    assert (first.data["accepted"], first.data["refused"]) == ([0, 2], [1])
    assert (second.data["accepted"], second.data.get("refused")) == ([3], None), "what is new"
    assert (job.accepted, job.refused) == ((0, 2, 3), (1,))


async def test_parts_that_were_settled_before_a_time_limit_are_recorded():
    async def sleeps(attempt: Attempt) -> None:
        attempt.accepted.add(0)
        await asyncio.sleep(60)

    job, failed = await attempt_of(sleeps, timeout_s=5)
    assert (failed.data["reason"], failed.data["accepted"]) == ("timeout", [0])
    assert job.accepted == (0,)


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        ({0, "ada@example.com"}, (0,)),
        ({-1, 3}, (3,)),
        ({True, 2}, (2,)),
        ({PART_MAX, PART_MAX + 1}, (PART_MAX,)),
        ({1.5, None, 4}, (4,)),
        ([5, 5], (5,)),
        ("ab", ()),
        (None, ()),
        (7, (7,)),
    ],
    ids=str,
)
async def test_what_is_no_index_is_left_out_and_costs_nothing_else(parts, kept):
    """In the log it would make a job that nobody can read again."""

    async def careless(attempt: Attempt) -> None:
        attempt.accepted = parts
        raise ValueError("no luck")

    job, failed = await attempt_of(careless)
    assert (failed.data["reason"], job.accepted) == ("error", kept)


async def test_more_parts_than_a_line_holds_fail_the_job_for_good_with_its_own_words():
    async def endless(attempt: Attempt) -> None:
        attempt.accepted |= set(range(100_000))
        raise ValueError("no luck")

    job, failed = await attempt_of(endless)
    assert (job.status, job.accepted) == (Status.FAILED, ())
    assert (failed.data["error_class"], failed.private["error"]) == ("ValueError", "no luck")


# what belongs to the attempt alone


async def test_what_a_processor_does_to_its_payload_and_facts_is_its_own_affair():
    @processor("work", prepare=lambda payload, *_: Prepared(payload, {"ids": [1]}))
    async def scribbles(payload: dict, attempt: Attempt) -> None:
        payload["to"].append("eve")
        attempt.facts["ids"].append(2)
        raise ValueError("no luck")

    async with world(scribbles) as w:
        now = clock.now()
        options = Options(now, 0, 3, 60, backoff.DEFAULT)
        created = await w.jobs.create(
            "work", {"to": ["ada"]}, options, meta=CLIENT, prepare=scribbles.prepare
        )
        job = await w.ended(created.job.id)
        assert job.attempts == 3
        assert (job.payload, job.facts) == ({"to": ["ada"]}, {"ids": [1]})
        assert fold(await w.jobs.history(job.id)) == job


async def test_an_outcome_that_no_line_ever_holds_is_offered_a_few_times_and_not_for_ever():
    async with world(script(ValueError("no luck"))) as w:
        w.store.refuse = about("AttemptFailed", TooLarge(70_000, 65_535))
        job_id = await w.post()
        await asyncio.sleep(10)
        assert w.worker.running == 0, "its slot is free; the lease will end"
        assert (await w.get(job_id)).status is Status.PROCESSING


class Rude(BaseException):
    """Not an Exception, as some libraries' own ways to stop are."""


@pytest.mark.parametrize("error", [Rude("out"), BaseExceptionGroup("two", [Rude("a"), Rude("b")])])
async def test_whatever_is_raised_ends_the_attempt_and_is_recorded(error):
    async with world(script(error, "done")) as w:
        job = await w.ended(await w.post())
    assert (job.status, job.attempts, job.crashes) == (Status.COMPLETED, 2, 0)
    assert job.last_error.class_ == type(error).__name__
