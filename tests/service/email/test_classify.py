"""What a server's answer means: every row of what is known about that, and that nothing is left
without a verdict.
"""

import pytest

from service.processors.email.classify import (
    CASES,
    GREYLISTED_S,
    PHASES,
    TROUBLES,
    case_of,
    classify,
)

SENDING = ["mail", "rcpt", "data", "end"]
BEFORE_END = [phase for phase in PHASES if phase != "end"]


def answer(phase, code, enhanced=None):
    outcome, scope, _ = classify(phase, code=code, enhanced=enhanced)
    return outcome, scope


# no answer


@pytest.mark.parametrize("trouble", ["unreachable", "tls", "timeout", "dropped", "garbled"])
@pytest.mark.parametrize("phase", BEFORE_END)
def test_whatever_fails_before_the_message_is_out_is_the_hosts_and_passes(phase, trouble):
    assert classify(phase, trouble=trouble)[:2] == ("transient", "host")


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_fails_after_it_is_unknown(trouble):
    assert classify("end", trouble=trouble)[:2] == ("unknown", "message")


def test_what_a_server_does_not_offer():
    assert classify("starttls", trouble="unsupported")[:2] == ("config", "host")
    assert classify("auth", trouble="unsupported")[:2] == ("config", "host")
    assert classify("mail", trouble="unsupported")[:2] == ("permanent", "message")


# answers


@pytest.mark.parametrize("code", [200, 250, 251, 252, 299])
def test_a_yes_to_the_message_is_what_sent_means(code):
    assert answer("end", code) == ("sent", "message")


def test_a_yes_to_data_is_out_of_step():
    assert answer("data", 250) == ("transient", "host")


@pytest.mark.parametrize("phase", ["connect", "ehlo", "starttls", "auth", "rset", "mail", "rcpt"])
def test_a_yes_to_any_other_step_is_one(phase):
    assert answer(phase, 250)[0] == "sent"


@pytest.mark.parametrize("enhanced", [None, "4.3.2", "4.7.0"])
@pytest.mark.parametrize("phase", PHASES)
def test_421_is_the_hosts_and_passes_wherever_it_is_said(phase, enhanced):
    assert answer(phase, 421, enhanced) == ("transient", "host")


@pytest.mark.parametrize(
    ("code", "enhanced", "verdict"),
    [
        (450, "4.2.1", ("transient", "recipient")),
        (451, "4.3.0", ("transient", "host")),
        (451, "4.3.5", ("transient", "host")),
        (451, "4.4.1", ("transient", "host")),
        (452, "4.2.2", ("transient", "recipient")),
        (452, "4.3.1", ("transient", "host")),
        (454, "4.7.0", ("transient", "host")),
        (454, None, ("transient", "host")),
        (455, None, ("transient", "host")),
        (450, "4.7.1", ("transient", "recipient")),
        (451, "4.7.1", ("transient", "recipient")),
        (450, "4.7.25", ("transient", "recipient")),
        (530, "5.7.0", ("config", "host")),
        (534, "5.7.9", ("config", "host")),
        (535, "5.7.8", ("config", "host")),
        (538, None, ("config", "host")),
        (530, None, ("config", "host")),
        (550, "5.1.1", ("permanent", "recipient")),
        (550, "5.1.2", ("permanent", "recipient")),
        (550, "5.1.10", ("permanent", "recipient")),
        (553, "5.1.3", ("permanent", "recipient")),
        (552, "5.2.2", ("permanent", "recipient")),
        (552, "5.3.4", ("permanent", "message")),
        (523, "5.3.4", ("permanent", "message")),
        (554, "5.6.0", ("permanent", "message")),
        (554, "5.6.7", ("permanent", "message")),
        (550, "5.7.1", ("permanent", "message")),
        (554, "5.7.1", ("permanent", "message")),
        (550, "5.7.26", ("permanent", "message")),
    ],
)
def test_what_is_said_to_a_recipient_or_the_message(code, enhanced, verdict):
    assert answer("rcpt", code, enhanced) == verdict
    assert answer("end", code, enhanced) == verdict


@pytest.mark.parametrize("phase", SENDING)
@pytest.mark.parametrize(("code", "enhanced"), [(450, "4.7.1"), (451, "4.7.1"), (450, "4.7.650")])
def test_who_greylists_is_given_minutes(phase, code, enhanced):
    assert classify(phase, code=code, enhanced=enhanced).wait_s == GREYLISTED_S == 300


def test_nobody_else_is():
    waits = {case.verdict.wait_s for case in CASES if "4.7" not in case.enhanced}
    assert waits == {None}


@pytest.mark.parametrize("phase", ["connect", "ehlo"])
@pytest.mark.parametrize("code", [500, 521, 530, 550, 554])
def test_a_server_that_refuses_everybody_is_broken_and_the_job_is_not(phase, code):
    assert answer(phase, code) == ("transient", "host")


@pytest.mark.parametrize("code", [500, 504, 530, 534, 535, 538, 550])
def test_a_login_that_is_refused_is_for_the_settings(code):
    assert answer("auth", code) == ("config", "host")


def test_a_login_that_cannot_be_checked_is_not():
    assert answer("auth", 454, "4.7.0") == ("transient", "host")


@pytest.mark.parametrize("phase", ["mail", "rcpt", "end"])
@pytest.mark.parametrize("code", [530, 535])
def test_a_login_that_is_wanted_is_for_the_settings_whenever_it_is_said(phase, code):
    assert answer(phase, code, "5.7.0") == ("config", "host")


@pytest.mark.parametrize(("code", "enhanced"), [(452, "4.5.3"), (552, "5.5.3")])
def test_too_many_recipients_at_a_time_come_later(code, enhanced):
    assert answer("rcpt", code, enhanced) == ("transient", "recipient")


@pytest.mark.parametrize(
    ("phase", "code", "verdict"),
    [
        ("mail", 499, ("transient", "message")),
        ("rcpt", 499, ("transient", "recipient")),
        ("data", 499, ("transient", "message")),
        ("end", 499, ("transient", "message")),
        ("mail", 599, ("permanent", "message")),
        ("rcpt", 599, ("permanent", "recipient")),
        ("data", 599, ("permanent", "message")),
        ("end", 599, ("permanent", "message")),
    ],
)
def test_what_nobody_knows_is_taken_by_its_first_digit(phase, code, verdict):
    assert answer(phase, code) == answer(phase, code, "9.9.9") == verdict


@pytest.mark.parametrize("phase", SENDING)
def test_where_the_digits_differ_the_enhanced_one_is_meant(phase):
    assert answer(phase, 450, "5.1.1")[0] == "permanent"


@pytest.mark.parametrize("phase", SENDING)
@pytest.mark.parametrize("enhanced", ["4.1.1", "4.7.1", "4.3.0"])
def test_a_5yz_with_a_4_in_it_is_a_bug_of_the_servers(phase, enhanced):
    assert answer(phase, 550, enhanced)[0] == "permanent"


# the table as a whole


@pytest.mark.parametrize("phase", PHASES)
def test_every_answer_gets_a_verdict(phase):
    for code in [*range(200, 300), *range(400, 600)]:
        for enhanced in (None, f"{code // 100}.0.0", f"{code // 100}.7.1"):
            outcome, _scope = answer(phase, code, enhanced)
            expected = {2: {"sent", "transient"}, 4: {"transient"}, 5: {"permanent", "config"}}
            before = (
                {"transient", "config"}
                if phase in {"connect", "ehlo", "starttls", "rset", "auth"}
                else set()
            )
            assert outcome in expected[code // 100] | before, (code, enhanced)


@pytest.mark.parametrize("phase", PHASES)
def test_every_trouble_gets_a_verdict(phase):
    for trouble in TROUBLES:
        classify(phase, trouble=trouble)


def test_only_the_end_can_be_unknown_and_nothing_else_is_sent():
    for phase in BEFORE_END:
        for code in [*range(400, 600)]:
            assert classify(phase, code=code).outcome not in {"unknown", "sent"}


def test_every_row_decides_something_and_says_why():
    codes = [250, 421, 450, 451, 452, 454, 499, 523, 530, 550, 552, 553, 554, 599]
    enhanced = [None, *(f"{a}.{b}.{c}" for a in (4, 5) for b in range(1, 8) for c in range(11))]
    deciding = {
        id(case_of(phase, code=code, enhanced=each))
        for phase in PHASES for code in codes for each in enhanced
    } | {id(case_of(phase, trouble=each)) for phase in PHASES for each in TROUBLES}  # fmt: skip
    assert [case for case in CASES if id(case) not in deciding] == []
    assert all(case.why.endswith(".") for case in CASES)
