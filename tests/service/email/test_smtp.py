"""An attempt over SMTP, against a real server that does what the test says: what the server gets,
and what the job is told, for each recipient and each phase.
"""

import asyncio

import pytest

from service.processors import AttemptError, Misconfigured, Permanent, RetryAfter, Unsure
from service.processors.email import email_processor
from service.processors.email.smtp import Deferred
from tests.support.letters import (
    ADA,
    BOB,
    EVE,
    JOB,
    SENDER,
    attempt,
    attempt_after,
    created,
    letter,
)
from tests.support.smtp import DROP, HANG, LOST_TAKEN, mail_server, sending, smtp_transport

pytestmark = pytest.mark.real_time

SHORT_S = 0.2  # how long what never comes is waited for


async def failure(carrier, sent=None, tried=None) -> AttemptError:
    """What the attempt is told."""
    with pytest.raises(AttemptError) as failed:
        await carrier(sent or letter(), tried or attempt())
    assert "@" not in str(failed.value.facts)
    return failed.value


# what is sent


async def test_the_server_gets_envelope_and_bytes():
    async with sending("DSN", "SMTPUTF8") as (server, carrier):
        sent = letter(to=[f"Ada <{ADA}>", EVE], bcc=BOB, body="Hello\n.\n..and so\n")
        first = attempt()
        await carrier(sent, first)
        [received] = server.received
    assert received.sender == SENDER
    assert received.recipients == [ADA, EVE, BOB]
    assert received.content == sent.content
    assert received.options == [f"SIZE={len(sent.content)}", f"ENVID={JOB}"]
    assert (first.accepted, first.refused) == ({0, 1, 2}, set())


async def test_the_result_says_what_is_worth_keeping():
    async with sending() as (server, carrier):
        server.script("rcpt", "251 2.1.5 forwarded", about=EVE)
        result = await carrier(letter(cc=EVE), attempt())
    durations = result.pop("durations_ms")
    assert result == {
        "transport": "smtp",
        "host": "127.0.0.1",
        "reply": "250 2.0.0 taken",
        "recipients": [
            {"index": 0, "code": 250, "enhanced": None},
            {"index": 1, "code": 251, "enhanced": "2.1.5"},
        ],
        "tls": None,
        "bytes": len(letter(cc=EVE).content),
    }
    assert list(durations) == ["connect", "ehlo", "mail", "rcpt", "data", "end"]


async def test_without_dsn_no_envid_is_sent():
    async with sending() as (server, carrier):
        await carrier(letter(), attempt())
    assert "ENVID" not in str(server.received[0].options)


async def test_smtputf8_is_used_where_an_address_needs_it_and_the_server_has_it():
    async with sending("SMTPUTF8") as (server, carrier):
        await carrier(letter(to="zoë@example.com"), attempt())
        await carrier(letter(to="zoe@bücher.example"), attempt(job_id="other"))
    assert server.received[0].recipients == ["zoë@example.com"]
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(server.received[0].options)
    assert "SMTPUTF8" not in server.received[1].options


async def test_without_smtputf8_such_a_message_fails_for_good():
    async with sending() as (server, carrier):
        failed = await failure(carrier, letter(to=[ADA, "zoë@example.com"]))
    assert isinstance(failed, Permanent)
    assert failed.facts["trouble"] == "unsupported"
    assert server.received == []


async def test_two_attempts_send_the_same_bytes_and_they_are_those_of_the_creation():
    payload, first = created(subject="Grüße", html="<p>☕", bcc=BOB)
    async with sending() as (server, carrier):
        server.script("end", LOST_TAKEN, times=1)
        kind = email_processor(carrier, backoff={"base_s": 1, "factor": 2, "cap_s": 3})
        with pytest.raises(Unsure):
            await kind.call(payload, first)
        result = await kind.call(payload, attempt_after(first))
        one, two = server.received
    assert one.content == two.content
    assert result["message_sha256"] == first.facts["message_sha256"]
    assert first.facts["message_id"].encode() in one.content


# a failure in each phase


BEFORE = ["connect", "ehlo", "mail", "rcpt", "data"]


@pytest.mark.parametrize("phase", BEFORE)
async def test_a_line_that_is_lost_before_the_message_is_out_is_deferred(phase):
    async with sending() as (server, carrier):
        server.script(phase, DROP)
        failed = await failure(carrier)
    assert type(failed) is Deferred
    expected = {"phase": phase, "verdict": "transient", "scope": "host", "trouble": "dropped"}
    assert failed.facts == expected


@pytest.mark.parametrize("phase", BEFORE)
async def test_a_server_that_hangs_before_the_message_is_out_is_deferred(phase):
    async with sending(connect_s=SHORT_S, command_s=SHORT_S) as (server, carrier):
        server.script(phase, HANG)
        failed = await failure(carrier)
    assert type(failed) is Deferred
    assert (failed.facts["phase"], failed.facts["trouble"]) == (phase, "timeout")


@pytest.mark.parametrize("phase", [*BEFORE, "end"])
@pytest.mark.parametrize("reply", ["421 4.3.2 closing", "421"])
async def test_a_server_that_is_closing_is_deferred(phase, reply):
    async with sending() as (server, carrier):
        server.script(phase, reply)
        failed = await failure(carrier)
    assert type(failed) is Deferred
    assert (failed.facts["phase"], failed.facts["code"]) == (phase, 421)


@pytest.mark.parametrize("phase", BEFORE)
@pytest.mark.parametrize("reply", ["what?", "354 go ahead", "999 no"])
async def test_an_answer_that_is_none_is_deferred(phase, reply):
    if (phase, reply) == ("data", "354 go ahead"):
        return
    async with sending() as (server, carrier):
        server.script(phase, reply)
        failed = await failure(carrier)
    assert type(failed) is Deferred
    assert failed.facts["trouble"] == "garbled"


@pytest.mark.parametrize("phase", ["body", "end"])
@pytest.mark.parametrize("action", [DROP, HANG, "what?", "354 more"])
@pytest.mark.parametrize("then", ["retry", "hold", "fail"])
async def test_once_the_message_is_out_nobody_knows(phase, action, then):
    async with sending(answer_s=SHORT_S, on_unknown=then) as (server, carrier):
        server.script(phase, action)
        first = attempt()
        failed = await failure(carrier, tried=first)
    assert isinstance(failed, Unsure)
    assert failed.then == then
    assert (failed.facts["phase"], failed.facts["verdict"]) == ("end", "unknown")
    assert first.accepted == set()


async def test_an_attempt_that_is_stopped_while_it_waits_for_the_answer_does_not_know_either():
    async with sending() as (server, carrier):
        server.script("end", HANG)
        with pytest.raises(Unsure):
            async with asyncio.timeout(SHORT_S):
                await carrier(letter(), attempt())


@pytest.mark.parametrize("phase", ["connect", "rcpt"])
async def test_an_attempt_that_is_stopped_before_is_just_stopped(phase):
    async with sending() as (server, carrier):
        server.script(phase, HANG, times=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT_S):
                await carrier(letter(), attempt())
        await carrier(letter(), attempt())
        assert len(server.received) == 1


async def test_nobody_listens():
    async with mail_server() as server:
        pass
    failed = await failure(smtp_transport(server))
    assert type(failed) is Deferred
    assert failed.facts["trouble"] == "unreachable"


async def test_a_name_that_is_none():
    async with sending(host="no-such-host.invalid") as (_, carrier):
        failed = await failure(carrier)
    assert (failed.facts["phase"], failed.facts["trouble"]) == ("connect", "unreachable")


@pytest.mark.parametrize("action", [DROP, HANG])
async def test_a_quit_that_goes_wrong_is_nobodys_business(action):
    async with sending() as (server, carrier):
        server.script("quit", action)
        await carrier(letter(), attempt())
        await carrier.aclose()
        await carrier(letter(), attempt())
        assert len(server.received) == 2


@pytest.mark.parametrize(
    ("phase", "reply", "error"),
    [
        ("connect", "554 5.7.1 go away", Deferred),
        ("ehlo", "550 no", Deferred),
        ("mail", "550 5.7.1 not as him", Permanent),
        ("mail", "530 5.7.0 log in first", Misconfigured),
        ("mail", "451 4.7.1 slowly", RetryAfter),
        ("rcpt", "530 5.7.0 log in first", Misconfigured),
        ("data", "554 5.5.1 no", Permanent),
        ("data", "451 4.3.0 later", Deferred),
        ("end", "554 5.6.0 ugly", Permanent),
        ("end", "550 5.7.1 spam", Permanent),
        ("end", "552 5.3.4 too big", Permanent),
        ("end", "451 4.7.1 greylisted", RetryAfter),
        ("end", "452 4.3.1 disk full", Deferred),
    ],
)
async def test_a_refusal_is_what_the_table_says(phase, reply, error):
    async with sending() as (server, carrier):
        server.script(phase, reply)
        first = attempt()
        failed = await failure(carrier, letter(to=[ADA, EVE]), first)
    assert type(failed) is error
    assert reply in str(failed)
    code, enhanced = reply.split(" ")[:2]
    assert failed.facts["phase"] == phase
    assert failed.facts["code"] == int(code)
    assert failed.facts.get("enhanced") in {enhanced, None}
    assert (first.accepted, first.refused) == (set(), set())


async def test_who_greylists_is_given_five_minutes():
    async with sending() as (server, carrier):
        server.script("rcpt", "450 4.7.1 greylisted", about=EVE)
        first = attempt()
        failed = await failure(carrier, letter(to=[ADA, EVE]), first)
    assert failed.seconds == 300
    assert first.accepted == {0}


async def test_a_reply_is_cut():
    async with sending() as (server, carrier):
        lines = [f"554-5.6.0 {'x' * 100}"] * 20
        server.script("end", "\r\n".join([*lines, "554 5.6.0 end"]))
        failed = await failure(carrier)
    assert len(str(failed)) < 600
    assert failed.facts["enhanced"] == "5.6.0"


# recipients apart


NO, LATER = "550 5.1.1 no such user", "450 4.2.1 busy"
THREE = {"to": [ADA, EVE], "bcc": BOB}


async def test_some_are_refused_and_the_rest_have_it():
    async with sending() as (server, carrier):
        server.script("rcpt", NO, about=EVE)
        first = attempt()
        failed = await failure(carrier, letter(**THREE), first)
    assert type(failed) is Permanent
    assert str(failed) == f"{EVE}: {NO}"
    assert failed.facts == {
        "phase": "rcpt", "verdict": "permanent", "scope": "recipient", "code": 550,
        "enhanced": "5.1.1", "accepted": 2, "refused": 1, "deferred": 0,
        "recipients": [{"index": 1, "code": 550, "enhanced": "5.1.1"}],
    }  # fmt: skip
    assert [each.recipients for each in server.received] == [[ADA, BOB]]
    assert (first.accepted, first.refused) == ({0, 2}, {1})


async def test_some_are_put_off_and_only_they_are_tried_again():
    async with sending() as (server, carrier):
        server.script("rcpt", LATER, about=EVE, times=1)
        first = attempt()
        failed = await failure(carrier, letter(**THREE), first)
        second = attempt_after(first)
        await carrier(letter(**THREE), second)
    assert type(failed) is Deferred
    assert str(failed) == f"{EVE}: {LATER}"
    assert (failed.facts["code"], failed.facts["deferred"]) == (450, 1)
    assert [each.recipients for each in server.received] == [[ADA, BOB], [EVE]]
    assert [each.content for each in server.received] == [letter(**THREE).content] * 2
    assert (second.accepted, second.refused) == ({0, 1, 2}, set())


async def test_one_is_refused_one_put_off_one_has_it():
    async with sending() as (server, carrier):
        server.script("rcpt", NO, about=ADA)
        server.script("rcpt", LATER, about=EVE, times=1)
        first = attempt()
        put_off = await failure(carrier, letter(**THREE), first)
        assert type(put_off) is Deferred
        assert str(put_off) == f"{ADA}: {NO}; {EVE}: {LATER}", "nobody asks about Ada again"
        assert [each["index"] for each in put_off.facts["recipients"]] == [0, 1]
        assert (first.accepted, first.refused) == ({2}, {0})
        second = attempt_after(first)
        failed = await failure(carrier, letter(**THREE), second)
    assert type(failed) is Permanent
    assert str(failed) == f"{ADA}: refused before"
    assert [each.recipients for each in server.received] == [[BOB], [EVE]]
    assert (second.accepted, second.refused) == ({1, 2}, {0})
    assert sum(ADA in command for command in server.commands) == 1


async def test_all_are_refused_and_no_message_is_sent():
    async with sending() as (server, carrier):
        server.script("rcpt", NO)
        first = attempt()
        failed = await failure(carrier, letter(**THREE), first)
    assert type(failed) is Permanent
    assert all(name in str(failed) for name in (ADA, EVE, BOB))
    assert server.received == []
    assert first.refused == {0, 1, 2}


async def test_all_are_put_off():
    async with sending() as (server, carrier):
        server.script("rcpt", LATER)
        first = attempt()
        assert type(await failure(carrier, letter(**THREE), first)) is Deferred
    assert server.received == []
    assert (first.accepted, first.refused) == (set(), set())


async def test_the_longest_wait_that_is_asked_for_is_the_one():
    async with sending() as (server, carrier):
        server.script("rcpt", LATER, about=ADA)
        server.script("rcpt", "451 4.7.1 greylisted", about=EVE)
        failed = await failure(carrier, letter(**THREE))
    assert isinstance(failed, RetryAfter)
    assert failed.facts["enhanced"] == "4.7.1"


async def test_who_was_refused_is_settled_even_when_the_line_is_lost_afterwards():
    async with sending() as (server, carrier):
        server.script("rcpt", NO, about=ADA)
        server.script("end", DROP)
        first = attempt()
        assert isinstance(await failure(carrier, letter(**THREE), first), Unsure)
    assert (first.accepted, first.refused) == (set(), {0})


@pytest.mark.parametrize("refused", [set(), {1}])
async def test_when_everybody_is_settled_nobody_is_asked(refused):
    async with sending() as (server, carrier):
        last = attempt(accepted={0, 1, 2} - refused, refused=refused)
        if refused:
            assert type(await failure(carrier, letter(**THREE), last)) is Permanent
        else:
            assert (await carrier(letter(**THREE), last))["transport"] == "smtp"
        assert server.connections == 0


async def test_a_hundred_recipients_and_a_server_that_takes_fifty():
    everybody = [f"a{n}@example.com" for n in range(100)]
    async with sending() as (server, carrier):
        for name in everybody[50:]:
            server.script("rcpt", "452 4.5.3 too many", about=f"<{name}>", times=1)
        first = attempt()
        failed = await failure(carrier, letter(to=everybody), first)
        assert type(failed) is Deferred
        await carrier(letter(to=everybody), attempt_after(first))
    assert [each.recipients for each in server.received] == [everybody[:50], everybody[50:]]
