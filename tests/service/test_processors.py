"""Kinds and processors: how one is made of a coroutine, what payload it gets, what a registry has.

Also the built-in kind's transport that only pretends; what it may be given to carry is in
`test_email_message`. How a processor is run, timed out and retried is tested with the attempts.
"""

import asyncio
import dataclasses
from typing import Any

import msgspec
import pytest

from eventstore import clock
from service import backoff
from service.processors import Attempt, Permanent, Processor, Registry, RetryAfter, processor
from service.processors.email import email_processor
from service.processors.email.message import Email
from service.processors.email.simulated import SimulatedFailureError, SimulatedTransport
from tests.support.build import NOON, at


class Report(msgspec.Struct):
    month: str
    pages: int = 1


@dataclasses.dataclass
class Plain:
    n: int


def attempt_of(job_id="j", number=1):
    return Attempt(job_id, number, 7, NOON)


def echo(payload_type, kind="echo"):
    async def handler(payload, attempt):
        return payload

    handler.__annotations__["payload"] = payload_type
    return processor(kind)(handler)


# processors


def test_a_processor_is_made_of_a_coroutine_function():
    policy = {"base_s": 1.0, "factor": 2.0, "cap_s": 3.0}

    @processor("report", max_attempts=5, timeout=60, backoff=policy)
    async def report(payload: Report, attempt: Attempt) -> dict:
        return {}

    assert isinstance(report, Processor)
    assert (report.kind, report.payload) == ("report", Report)
    assert (report.max_attempts, report.timeout_s, report.backoff) == (5, 60, policy)


def test_without_options_a_processor_has_the_defaults():
    made = echo(Report)
    assert (made.max_attempts, made.timeout_s, made.backoff) == (3, 300, backoff.DEFAULT)


def test_annotations_may_be_text():
    @processor("report")
    async def report(payload: "Report", attempt: "Attempt") -> "dict":
        return {}

    assert report.payload is Report


@pytest.mark.parametrize("kind", ["a", "email", "a-b_c9", "a" + "b" * 50])
def test_such_a_name_is_a_kind(kind):
    assert echo(Any, kind).kind == kind


@pytest.mark.parametrize(
    "kind", ["", "A", "9a", "-a", "_a", "a b", "a.b", "a/b", "é", "a\n", "a" + "b" * 51]
)
def test_such_a_name_is_none(kind):
    with pytest.raises(ValueError, match="is not a kind"):
        echo(Any, kind)


def test_a_plain_function_is_refused_by_name():
    with pytest.raises(TypeError, match="'report' must be an async function"):

        @processor("report")
        def report(payload: Report, attempt: Attempt) -> dict:
            return {}


def test_a_processor_that_does_not_say_its_payloads_type_is_refused_by_name():
    async def unannotated(payload, attempt):
        pass

    async def without_parameters():
        pass

    for handler in (unannotated, without_parameters):
        with pytest.raises(TypeError, match="'report' must say its payload's type"):
            processor("report")(handler)


@pytest.mark.parametrize(
    ("payload_type", "payload", "typed"),
    [
        (Report, {"month": "May"}, Report("May")),
        (Report, {"month": "May", "pages": 3}, Report("May", 3)),
        (Plain, {"n": 1}, Plain(1)),
        (list[Report], [{"month": "May"}], [Report("May")]),
        (dict, {"any": [1, None]}, {"any": [1, None]}),
        (Any, None, None),
        (int | None, None, None),
    ],
    ids=str,
)
async def test_the_payload_is_given_as_the_type_declared(payload_type, payload, typed):
    seen = []

    async def handler(payload, attempt):
        seen.append((payload, attempt))

    handler.__annotations__["payload"] = payload_type
    assert await processor("k")(handler).run(payload, attempt_of()) is None
    assert seen == [(typed, attempt_of())]


@pytest.mark.parametrize("payload", [{}, {"month": 5}, {"month": "May", "pages": "3"}, [], None])
async def test_a_payload_of_another_form_fails_the_attempt(payload):
    with pytest.raises(msgspec.ValidationError):
        await echo(Report).run(payload, attempt_of())


async def test_what_a_processor_raises_is_passed_on():
    @processor("k")
    async def raises(payload: Any, attempt: Attempt) -> Any:
        raise RetryAfter(90)

    with pytest.raises(RetryAfter, match="asked to be tried again in 90 s") as asked:
        await raises.run({}, attempt_of())
    assert asked.value.seconds == 90


def test_asking_for_a_delay_may_say_why():
    assert str(RetryAfter(90, "rate limited")) == "rate limited"


# registry


def test_a_registry_knows_what_it_was_given():
    a, b = echo(Any, "a"), echo(Any, "b")
    registry = Registry(b)
    registry.add(a)
    assert (registry.get("a"), registry.get("b"), registry.get("c")) == (a, b, None)
    assert registry.kinds() == ["a", "b"]
    assert list(registry) == [b, a]


def test_an_empty_registry_knows_nothing():
    assert (Registry().kinds(), list(Registry())) == ([], [])


def test_a_kind_has_one_processor():
    registry = Registry(echo(Any, "a"))
    with pytest.raises(ValueError, match="two processors for kind 'a'"):
        registry.add(echo(Any, "a"))


def test_two_registries_are_two():
    Registry(echo(Any, "a"))
    assert Registry().get("a") is None


# the simulated transport


def message(to="ada@example.com"):
    return Email(to, "Hello", "World")


async def sends(transport, job_id="j", number=1, to="ada@example.com"):
    """Whether it says that it sent the message."""
    try:
        answer = await transport(message(to), attempt_of(job_id, number))
    except SimulatedFailureError as error:
        assert "simulated" in str(error)  # noqa: PT017  the other way is as good
        return False
    assert answer == {"transport": "simulated", "reply": "250 2.0.0 accepted (simulated)"}
    return True


def transport(seed=1, rate=0.5, latency_s=0.0):
    return SimulatedTransport(seed=seed, failure_rate=rate, latency_s=latency_s)


ATTEMPTS = [(f"job-{n}", number) for n in range(100) for number in (1, 2, 3)]


async def test_what_fails_depends_on_seed_job_and_attempt_alone():
    forwards = {each: await sends(transport(), *each) for each in ATTEMPTS}
    one = transport()
    backwards = {each: await sends(one, *each) for each in reversed(ATTEMPTS)}
    assert forwards == backwards


@pytest.mark.parametrize("other", ["seed", "job", "attempt"])
async def test_what_fails_depends_on_each_of_the_three(other):
    seed = 2 if other == "seed" else 1
    here = [await sends(transport(1), job, n) for job, n in ATTEMPTS]
    jobs = [(job + "'" * (other == "job"), n + 3 * (other == "attempt")) for job, n in ATTEMPTS]
    there = [await sends(transport(seed), job, n) for job, n in jobs]
    differ = sum(a != b for a, b in zip(here, there, strict=True))
    assert 100 < differ < 200  # of 300; half of them for want of a relation


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
async def test_the_share_of_failures_is_the_one_asked_for(rate):
    carrier = transport(rate=rate)
    failed = [not await sends(carrier, f"job-{n}") for n in range(2000)]
    assert sum(failed) == pytest.approx(2000 * rate, abs=60 if 0 < rate < 1 else 0)


async def test_a_job_that_fails_once_need_not_fail_again():
    carrier = transport()
    lives = [[await sends(carrier, f"job-{n}", i) for i in range(1, 4)] for n in range(50)]
    assert {tuple(life) for life in lives} >= {(False, True, True), (True, False, False)}


@pytest.mark.parametrize(
    ("to", "sent"),
    [
        ("x@flaky.example", [False, True, True]),
        ("x@fail.example", [False, False, False]),
        ("x@example.com", [True, True, True]),
    ],
)
async def test_some_domains_are_not_left_to_chance(to, sent):
    carrier = transport(rate=0.0)
    assert [await sends(carrier, "j", number, to) for number in (1, 2, 3)] == sent


@pytest.mark.parametrize("rate", [0.0, 1.0])
async def test_an_invalid_mailbox_is_refused_for_good(rate):
    with pytest.raises(Permanent, match=r"550.*nobody@invalid\.example"):
        await sends(transport(rate=rate), to="nobody@invalid.example")


@pytest.mark.parametrize("to", ["ada@example.com", "x@fail.example"])
async def test_sending_takes_its_time_whether_it_succeeds_or_not(to):
    await sends(transport(rate=0.0, latency_s=0.05), to=to)
    assert clock.now() == at(0.05)


async def test_many_are_sent_at_the_same_time():
    carrier = transport(rate=0.0, latency_s=2)
    await asyncio.gather(*(sends(carrier, f"job-{n}") for n in range(100)))
    assert clock.now() == at(2)


async def test_the_email_processor_hands_the_message_to_its_transport():
    carried = []

    async def carry(email, attempt):
        carried.append((email, attempt))
        return {"reply": "250"}

    policy = {"base_s": 1, "factor": 2, "cap_s": 3}
    made = email_processor(carry, backoff=policy)
    payload = {"to": "ada@example.com", "subject": "Hello", "body": "World"}
    assert (made.kind, made.payload) == ("email", Email)
    assert (made.timeout_s, made.backoff) == (60, policy)
    assert await made.run(payload, attempt_of()) == {"reply": "250"}
    assert carried == [(message(), attempt_of())]
