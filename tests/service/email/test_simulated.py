"""The transport that only pretends: what it fails, and that nothing but seed, job and attempt
decides that.
"""

import asyncio

import pytest

from eventstore import clock
from service.processors import Permanent
from service.processors.email.simulated import SimulatedFailureError, SimulatedTransport
from tests.support.build import at
from tests.support.letters import ADA, EVE, attempt, attempt_after, letter

NOBODY = "nobody@invalid.example"


async def sends(transport, job_id="j", number=1, to=ADA):
    """Whether it says that it sent the message."""
    try:
        answer = await transport(letter(to=to), attempt(number, job_id=job_id))
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
        ([ADA, "x@flaky.example"], [False, True, True]),
        (["x@fail.example", "x@flaky.example"], [False, False, False]),
    ],
)
async def test_some_domains_are_not_left_to_chance(to, sent):
    carrier = transport(rate=0.0)
    assert [await sends(carrier, "j", number, to) for number in (1, 2, 3)] == sent


@pytest.mark.parametrize("rate", [0.0, 1.0])
async def test_an_invalid_mailbox_is_refused_for_good(rate):
    with pytest.raises(Permanent, match=r"550.*nobody@invalid\.example"):
        await sends(transport(rate=rate), to=NOBODY)


async def test_the_others_get_theirs_once():
    sent, first = letter(to=[ADA, NOBODY], bcc="x@flaky.example"), attempt()
    carrier = transport(rate=0.0)
    with pytest.raises(SimulatedFailureError):
        await carrier(sent, first)
    assert (first.accepted, first.refused) == (set(), {1})
    second = attempt_after(first)
    with pytest.raises(Permanent, match="nobody@invalid"):
        await carrier(sent, second)
    assert (second.accepted, second.refused) == ({0, 2}, {1})


async def test_who_is_settled_is_settled():
    last = attempt(accepted={0, 1})
    await transport(rate=1.0)(letter(to=["x@fail.example", EVE]), last)
    assert last.accepted == {0, 1}


@pytest.mark.parametrize("to", [ADA, "x@fail.example"])
async def test_sending_takes_its_time_whether_it_succeeds_or_not(to):
    await sends(transport(rate=0.0, latency_s=0.05), to=to)
    assert clock.now() == at(0.05)


async def test_many_are_sent_at_the_same_time():
    carrier = transport(rate=0.0, latency_s=2)
    await asyncio.gather(*(sends(carrier, f"job-{n}") for n in range(100)))
    assert clock.now() == at(2)
