"""Kinds and processors: how one is made of a coroutine, what payload it gets, what a registry has.

The built-in kind has tests of its own, in `email`. How a processor is run, timed out and retried is
tested with the attempts.
"""

import dataclasses
from typing import Any

import msgspec
import pytest

from service import backoff
from service.processors import Attempt, Processor, Registry, RetryAfter, processor, remote_kind
from tests.support.build import NOON


class Report(msgspec.Struct):
    month: str
    pages: int = 1


@dataclasses.dataclass
class Plain:
    n: int


def attempt_of(job_id="j", number=1):
    return Attempt(
        job_id=job_id, number=number, token=7, created_at=NOON, started_at=NOON, timeout_s=60
    )


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


def test_a_plain_function_blocks_and_a_coroutine_function_does_not():
    @processor("report")
    def report(payload: Report, attempt: Attempt) -> dict:
        return {}

    assert report.in_thread
    assert not echo(Any).in_thread
    assert not remote_kind("report").in_thread


def test_a_remote_kind_takes_any_payload_and_runs_nowhere_here():
    kind = remote_kind("thumbnail")
    assert (kind.kind, kind.payload, kind.handler) == ("thumbnail", Any, None)
    registry = Registry(kind, echo(Any))
    assert (registry.kinds(), registry.runnable()) == (["echo", "thumbnail"], ["echo"])
    with pytest.raises(ValueError, match="is not a kind"):
        remote_kind("Thumbnail")


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
    assert await processor("k")(handler).call(payload, attempt_of()) is None
    assert seen == [(typed, attempt_of())]


@pytest.mark.parametrize("payload", [{}, {"month": 5}, {"month": "May", "pages": "3"}, [], None])
async def test_a_payload_of_another_form_fails_the_attempt(payload):
    with pytest.raises(msgspec.ValidationError):
        await echo(Report).call(payload, attempt_of())


async def test_what_a_processor_raises_is_passed_on():
    @processor("k")
    async def raises(payload: Any, attempt: Attempt) -> Any:
        raise RetryAfter(90)

    with pytest.raises(RetryAfter, match="asked to be tried again in 90 s") as asked:
        await raises.call({}, attempt_of())
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


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"timeout": float("inf")}, "the timeout"),
        ({"timeout": float("nan")}, "the timeout"),
        ({"timeout": 0}, "the timeout"),
        ({"timeout": 86_400.1}, "the timeout"),
        ({"timeout": None}, "the timeout"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 101}, "max_attempts"),
        ({"backoff": {"base_s": 5}}, "a backoff has base_s, cap_s, factor"),
        ({"backoff": {"base_s": 5, "factor": float("inf"), "cap_s": 9}}, "a backoff"),
        ({"backoff": {"base_s": -1, "factor": 2, "cap_s": 9}}, "a backoff"),
        ({"backoff": {"base_s": 1, "factor": 2, "cap_s": 9, "jitter": 1}}, "a backoff"),
    ],
    ids=str,
)
def test_defaults_that_the_log_could_not_hold_are_refused_where_they_are_said(wrong, says):
    with pytest.raises(ValueError, match=f"^report: {says}"):

        @processor("report", **wrong)
        async def report(payload: Report, attempt: Attempt) -> None: ...


@pytest.mark.parametrize(
    "right",
    [{"timeout": 86_400}, {"timeout": 0.001}, {"max_attempts": 1}, {"max_attempts": 100}],
    ids=str,
)
def test_defaults_at_their_bounds_are_taken(right):
    @processor("report", **right)
    async def report(payload: Report, attempt: Attempt) -> None: ...

    assert report.kind == "report"
