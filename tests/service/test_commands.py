"""What may be done to a job: every command in every state, and what each records.

Commands are pure, so a test says what happened, what is commanded and when, and what is to be
recorded; `then` also folds it, so nothing is decided that the state machine would not take. That
commands are decided on the newest state, and recorded once, is tested with `Jobs`.
"""

import pytest
from msgspec.structs import replace

from projections.job import Status
from service import commands
from service.commands import (
    Ending,
    FencedError,
    NotAllowedError,
    Options,
)
from tests.support.build import (
    BACKOFF,
    US,
    at,
    attempt_failed,
    attempt_started,
    cancel_requested,
    job_cancelled,
    job_completed,
    job_created,
    job_failed,
    job_held,
    job_retried,
    lease_renewed,
)
from tests.support.given import given

ERROR = Ending("error", "ValueError", "no luck")
BY_ADA = {"actor": "local:ada", "request": "r-1"}

DUE = [job_created()]
WAITING = [job_created(run_at=at(3600))]
RUNNING = [job_created(), attempt_started(10)]
STATES = {
    "due": DUE,
    "waiting": WAITING,
    "between attempts": [*RUNNING, attempt_failed(20, retry_at=at(3600))],
    "held": [*RUNNING, attempt_failed(20, reason="unknown"), job_held(20)],
    "expired": [job_created(expires_at=at(30))],
    "processing": RUNNING,
    "cancelling": [*RUNNING, cancel_requested(20)],
    "completed": [*RUNNING, job_completed(20)],
    "failed": [*RUNNING, attempt_failed(20), job_failed(20)],
    "cancelled": [job_created(), job_cancelled(20)],
}
TOKEN = 2  # of every attempt above
NOW = at(30)
COMMANDS = {
    "start": (
        commands.start,
        {"now": NOW, "worker": "w", "epoch": 1, "lease_s": 30.0, "meta": {}},
    ),
    "renew": (commands.renew, {"token": TOKEN, "now": NOW, "lease_s": 30.0, "meta": {}}),
    "complete": (
        commands.complete,
        {"token": TOKEN, "now": NOW, "duration_s": 1.5, "result": None, "meta": {}},
    ),
    "fail": (
        commands.fail,
        {
            "token": TOKEN,
            "now": NOW,
            "ending": ERROR,
            "duration_s": 1.5,
            "delay_s": 5.0,
            "meta": {},
        },
    ),
    "cancel": (commands.cancel, {"now": NOW, "reason": None, "meta": {}}),
    "retry": (commands.retry, {"now": NOW, "reason": None, "meta": {}}),
    "expire": (commands.expire, {"now": NOW, "meta": {}}),
}
PERMITTED = {
    ("start", "due"): [attempt_started(30)],
    ("renew", "processing"): [lease_renewed(30)],
    ("complete", "processing"): [job_completed(30)],
    ("fail", "processing"): [attempt_failed(30, retry_at=at(35))],
    ("renew", "cancelling"): [lease_renewed(30)],
    ("complete", "cancelling"): [job_completed(30)],
    ("fail", "cancelling"): [attempt_failed(30), job_cancelled(30)],
    ("cancel", "due"): [job_cancelled(30)],
    ("cancel", "waiting"): [job_cancelled(30)],
    ("cancel", "between attempts"): [job_cancelled(30)],
    ("cancel", "held"): [job_cancelled(30)],
    ("cancel", "expired"): [job_cancelled(30)],
    ("cancel", "processing"): [cancel_requested(30)],
    ("cancel", "cancelling"): [],
    ("cancel", "cancelled"): [],
    ("retry", "waiting"): [job_retried(30)],
    ("retry", "between attempts"): [job_retried(30)],
    ("retry", "held"): [job_retried(30)],
    ("retry", "failed"): [job_retried(30)],
    ("retry", "cancelled"): [job_retried(30)],
    ("expire", "expired"): [job_failed(30, attempt=0, reason="expired")],
}
REFUSED = [(c, s) for c in COMMANDS for s in STATES if (c, s) not in PERMITTED]


@pytest.mark.parametrize(("command", "state"), PERMITTED)
def test_a_command_is_carried_out_in_these_states(command, state):
    decide, arguments = COMMANDS[command]
    given(*STATES[state]).when(decide, **arguments).then(*PERMITTED[command, state])


@pytest.mark.parametrize(("command", "state"), REFUSED)
def test_a_command_is_refused_in_all_others(command, state):
    decide, arguments = COMMANDS[command]
    error = FencedError if command in ("renew", "complete", "fail") else NotAllowedError
    given(*STATES[state]).when(decide, **arguments).refused(error)


@pytest.mark.parametrize(
    ("command", "state", "says"),
    [
        ("start", "waiting", "a pending job cannot be claimed now"),
        ("start", "completed", "a completed job cannot be claimed now"),
        ("start", "held", "a pending job cannot be claimed now"),
        ("start", "expired", "a pending job cannot be claimed: it has expired"),
        ("cancel", "completed", "a completed job cannot be cancelled"),
        ("expire", "due", "a pending job cannot be given up as expired"),
        ("retry", "completed", "a completed job cannot be retried"),
        ("retry", "due", "a pending job cannot be retried: it is due already"),
        ("renew", "failed", "attempt with token 2 is over: the job is failed"),
    ],
)
def test_a_refusal_says_why(command, state, says):
    decide, arguments = COMMANDS[command]
    given(*STATES[state]).when(decide, **arguments).refused(Exception, f"^{says}$")


def test_a_refusal_holds_the_job_it_was_decided_on():
    job = given(*STATES["completed"]).job
    with pytest.raises(NotAllowedError) as refused:
        commands.cancel(job, now=NOW, reason=None, meta={})
    assert refused.value.job is job


# create

OPTIONS = Options(run_at=at(60), priority=7, max_attempts=9, timeout_s=1.5, backoff=BACKOFF)


@pytest.mark.parametrize("fingerprint", [{}, {"fingerprint": "f00d"}])
def test_a_creation_holds_what_the_client_chose_and_the_payload_in_private(fingerprint):
    [event] = commands.create(
        kind="report", payload={"n": 1}, options=OPTIONS, now=NOW, meta=BY_ADA, **fingerprint
    )
    chosen = {"kind": "report", "run_at": at(60), "priority": 7, "max_attempts": 9}
    expected = job_created(30, payload={"n": 1}, meta=BY_ADA, timeout_s=1.5, **chosen)
    assert event == replace(expected, data=expected.data | fingerprint)


def test_a_creation_may_have_an_expiry_and_facts_of_its_kind():
    [event] = commands.create(
        kind="email",
        payload=None,
        options=OPTIONS._replace(expires_at=at(90)),
        now=NOW,
        meta={},
        facts={"message_id": "<1@x>"},
    )
    assert event.data["expires_at"] == at(90)
    assert event.data["facts"] == {"message_id": "<1@x>"}


@pytest.mark.parametrize("facts", [None, {}])
def test_what_there_is_not_is_left_out(facts):
    [event] = commands.create(
        kind="email", payload=None, options=OPTIONS, now=NOW, meta={}, facts=facts
    )
    assert not {"expires_at", "facts", "fingerprint"} & set(event.data)


# start, renew, complete: data


@pytest.mark.parametrize(
    ("seconds", "due"), [(60 - US, False), (60, True), (60 + US, True)], ids=["-1us", "0", "+1us"]
)
def test_a_job_can_be_claimed_from_the_very_instant(seconds, due):
    _, arguments = COMMANDS["start"]
    when = given(job_created(run_at=at(60))).when(
        commands.start, **arguments | {"now": at(seconds)}
    )
    if due:
        when.then(attempt_started(seconds))
    else:
        when.refused(NotAllowedError, "claimed now")


@pytest.mark.parametrize(
    ("seconds", "possible"), [(60 - US, True), (60, False), (60 + US, False)], ids=["-1", "0", "+1"]
)
def test_a_job_can_be_claimed_until_it_expires_and_given_up_from_then_on(seconds, possible):
    past = given(job_created(expires_at=at(60)))
    _, arguments = COMMANDS["start"]
    claiming = past.when(commands.start, **arguments | {"now": at(seconds)})
    expiring = past.when(commands.expire, now=at(seconds), meta={})
    if possible:
        claiming.then(attempt_started(seconds))
        expiring.refused(NotAllowedError)
    else:
        claiming.refused(NotAllowedError, "it has expired")
        expiring.then(job_failed(seconds, attempt=0, reason="expired"))


@pytest.mark.parametrize("state", ["waiting", "between attempts", "held"])
def test_a_job_expires_whatever_it_waits_for(state):
    created, *past = STATES[state]
    events = [replace(created, data=created.data | {"expires_at": at(25)}), *past]
    attempt = 1 if past else 0
    given(*events).when(commands.expire, now=NOW, meta={}).then(
        job_failed(30, attempt=attempt, reason="expired")
    )


def test_attempts_are_numbered_on_after_failures_and_retries():
    past = [attempt_started(1), attempt_failed(2), job_failed(2), job_retried(3)]
    given(job_created(), *past).when(
        commands.start, now=at(9), worker="w-2", epoch=None, lease_s=7.5, meta=BY_ADA
    ).then(
        replace(attempt_started(9, attempt=2, worker="w-2", epoch=None, lease_s=7.5), meta=BY_ADA)
    )


def test_a_renewal_counts_the_lease_from_now():
    given(*RUNNING).when(commands.renew, token=TOKEN, now=at(20), lease_s=9.5, meta=BY_ADA).then(
        replace(lease_renewed(20, lease_s=9.5), meta=BY_ADA)
    )


def test_a_completion_keeps_the_result_in_private():
    job = (
        given(*RUNNING)
        .when(commands.complete, token=TOKEN, now=NOW, duration_s=9.0, result=[1], meta=BY_ADA)
        .then(replace(job_completed(30, result=[1], duration_s=9.0), meta=BY_ADA))
    )
    assert job.result == [1]


@pytest.mark.parametrize("result", [False, 0, "", [], {}])
def test_a_result_that_is_empty_is_still_a_result(result):
    _, arguments = COMMANDS["complete"]
    job = (
        given(*RUNNING)
        .when(commands.complete, **arguments | {"result": result})
        .then(replace(job_completed(30), private={"result": result}))
    )
    assert job.result == result


@pytest.mark.parametrize("command", ["renew", "complete", "fail"])
@pytest.mark.parametrize("token", [0, TOKEN - 1, TOKEN + 1])
def test_only_the_attempt_that_runs_is_heard(command, token):
    decide, arguments = COMMANDS[command]
    given(*RUNNING).when(decide, **arguments | {"token": token}).refused(
        FencedError, f"token {token} is over: attempt 1 runs"
    )


def test_the_token_of_an_attempt_that_was_given_up_is_refused_once_the_next_one_runs():
    _, arguments = COMMANDS["complete"]
    lost = attempt_failed(50, reason="lease_expired", retry_at=at(51))
    past = [*RUNNING, lost, attempt_started(52, attempt=2)]
    given(*past).when(commands.complete, **arguments).refused(FencedError, "attempt 2 runs")


def test_a_renewal_does_not_change_the_token():
    _, arguments = COMMANDS["complete"]
    given(*RUNNING, lease_renewed(20)).when(commands.complete, **arguments).then(job_completed(30))


# cancel, retry


@pytest.mark.parametrize("reason", [None, "", "ordered twice"])
def test_a_reason_given_is_kept_in_private(reason):
    job = given(*DUE).job
    waiting, running = replace(job, next_attempt_at=at(99)), given(*RUNNING).job
    for decide, subject in (
        (commands.cancel, waiting),
        (commands.cancel, running),
        (commands.retry, waiting),
    ):
        [event] = decide(subject, now=NOW, reason=reason, meta=BY_ADA)
        assert event.private == ({"reason": reason} if reason else None)
        assert event.meta == BY_ADA


@pytest.mark.parametrize(
    ("seconds", "waits"), [(60 - US, True), (60, False), (60 + US, False)], ids=["-1", "0", "+1"]
)
def test_a_job_that_is_due_need_not_be_retried(seconds, waits):
    when = given(job_created(run_at=at(60))).when(
        commands.retry, now=at(seconds), reason=None, meta={}
    )
    if waits:
        assert when.then(job_retried(seconds)).is_due(at(seconds))
    else:
        when.refused(NotAllowedError, "due already")


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_reopened_job_has_its_allowance_anew_and_is_due_at_once(state):
    events = [job_created(max_attempts=7), *STATES[state][1:]]
    job = (
        given(*events)
        .when(commands.retry, now=NOW, reason=None, meta={})
        .then(job_retried(30, max_attempts=7))
    )
    assert (job.status, job.attempts, job.max_attempts) == (Status.PENDING, 0, 7)
    assert job.is_due(NOW)
