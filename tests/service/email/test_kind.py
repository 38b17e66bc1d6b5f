"""The kind `email`: what is fixed at creation, and that every attempt sends just that."""

import hashlib
import logging
from datetime import UTC, datetime
from email.utils import format_datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventstore.timestamp import timestamp
from service.processors import AttemptError, Permanent
from service.processors.email import EXAMPLE, SENDER, Stationery, email_processor
from service.processors.email.message import Email
from tests.support.build import NOON, at
from tests.support.letters import ADA, DATE, JOB, attempt, created, email, letter

POLICY = {"base_s": 1.0, "factor": 2.0, "cap_s": 3.0}


class Kept:
    """A transport that keeps what it is given, and fails when it is told to."""

    timeout_s = 77.0

    def __init__(self, error=None):
        self.letters = []
        self.error = error

    async def __call__(self, sent, attempt):
        self.letters.append(sent)
        if self.error is not None:
            raise self.error
        return {"transport": "kept"}

    async def aclose(self):
        pass


def kind(transport=None, stationery=None):
    return email_processor(transport or Kept(), backoff=POLICY, stationery=stationery)


def test_the_kind_has_its_transports_time_and_the_backoff_it_is_given():
    made = kind()
    assert (made.kind, made.payload, made.timeout_s) == ("email", Email, 77.0)
    assert made.backoff == POLICY
    assert msgspec.convert(made.example, Email) == msgspec.convert(EXAMPLE, Email)
    assert made.about


# creation


def test_creation_fixes_id_date_and_bytes():
    payload, facts = Stationery().prepare(email(), JOB, NOON)
    assert payload == email()
    assert facts == {
        "message_id": f"<{JOB}@joblog.example>",
        "date": DATE,
        "message_sha256": hashlib.sha256(letter().content).hexdigest(),
    }


def test_the_facts_depend_on_job_and_time():
    facts = [
        Stationery().prepare(email(), *of).facts for of in [("a", NOON), ("b", NOON), ("a", at(1))]
    ]
    assert len({each["message_sha256"] for each in facts}) == 3


@example(datetime.min.replace(tzinfo=UTC))
@example(datetime.max.replace(tzinfo=UTC))
@example(datetime(2026, 2, 28, 23, 59, 59, 999_999, UTC))
@given(st.datetimes(timezones=st.just(UTC)))
def test_the_date_is_that_of_the_second_in_which_it_was_made(moment):
    facts = Stationery().prepare(email(), JOB, timestamp(moment)).facts
    assert facts["date"] == format_datetime(moment)


def test_a_message_without_a_sender_gets_the_servers():
    message = msgspec.structs.replace(email(), from_=None)
    payload, facts = Stationery("Jobs <jobs@bücher.example>").prepare(message, JOB, NOON)
    assert payload.from_ == "Jobs <jobs@bücher.example>"
    assert facts["message_id"] == f"<{JOB}@xn--bcher-kva.example>"
    assert Stationery().prepare(message, JOB, NOON).payload.from_ == SENDER


def test_its_own_goes_before():
    assert Stationery("other@example.com").prepare(email(), JOB, NOON).payload == email()


def test_the_domain_of_ids_may_be_set():
    ours = Stationery(message_id_domain="ids.example")
    assert ours.prepare(email(), JOB, NOON).facts["message_id"] == f"<{JOB}@ids.example>"


def test_where_nobody_is_the_sender_the_request_is_refused():
    with pytest.raises(ValueError, match=r"no sender.* - at `\$\.from`"):
        Stationery(None).prepare(msgspec.structs.replace(email(), from_=None), JOB, NOON)
    assert Stationery(None).prepare(email(), JOB, NOON).payload == email()


# attempts


async def test_every_attempt_sends_the_bytes_that_were_fixed():
    kept = Kept()
    payload, first = created(subject="Grüße", html="<p>")
    for number in (1, 2, 3):
        result = await kind(kept).call(payload, attempt(number, facts=first.facts))
        assert result == {
            "transport": "kept",
            "message_id": first.facts["message_id"],
            "message_sha256": first.facts["message_sha256"],
        }
    assert {each.sha256 for each in kept.letters} == {first.facts["message_sha256"]}


async def test_a_job_without_facts_sends_what_they_would_have_been():
    kept = Kept()
    await kind(kept).call(msgspec.to_builtins(email()), attempt())
    _, first = created()
    assert [each.sha256 for each in kept.letters] == [first.facts["message_sha256"]]


async def test_a_job_without_facts_and_without_a_sender_fails_for_good():
    with pytest.raises(Permanent, match="no sender"):
        await kind(stationery=Stationery(None)).call({"to": ADA, "subject": ""}, attempt())


CHANGED = {"message_sha256": letter().sha256, "message_sha256_at_creation": "0" * 64}


async def test_bytes_that_changed_are_sent_and_the_result_says_so(caplog):
    payload, first = created()
    first.facts["message_sha256"] = "0" * 64
    kept = Kept()
    with caplog.at_level(logging.WARNING):
        result = await kind(kept).call(payload, first)
    assert [each.sha256 for each in kept.letters] == [letter().sha256]
    assert result == {"transport": "kept", "message_id": letter().message_id} | CHANGED
    assert JOB in caplog.text
    assert ADA not in caplog.text


async def test_bytes_that_changed_are_in_the_facts_of_a_failure_too(caplog):
    payload, first = created()
    first.facts["message_sha256"] = "0" * 64
    for facts in (None, {"phase": "end"}):
        with pytest.raises(AttemptError) as failed:
            await kind(Kept(AttemptError("no", facts=facts))).call(payload, first)
        assert failed.value.facts == (facts or {}) | CHANGED


async def test_else_a_failures_facts_are_the_transports():
    payload, first = created()
    with pytest.raises(AttemptError) as failed:
        await kind(Kept(AttemptError("no", facts={"phase": "end"}))).call(payload, first)
    assert failed.value.facts == {"phase": "end"}
