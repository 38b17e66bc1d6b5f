"""What a worker says of its claim: still at it, done, not done; and who is not heard any more.

How claims are made is in `test_claims`, how the rules are decided in the tests of the commands.
Time is virtual, and requests go through the whole application.
"""

import asyncio
from typing import Any

import pytest

from eventstore.errors import NotWritten
from eventstore.memory import MemoryStore
from eventstore.timestamp import later, seconds_between
from tests.service.web.claims import ERROR, NOW, claim, claimed, post, say, serving, types
from tests.support.service import ACTOR, LEASE_S, LOG_ID
from tests.support.world import Hiccups

# still at it


async def test_a_renewal_begins_the_lease_anew() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        await asyncio.sleep(10)
        answer = await say(service, job_id, "renew", token=token)
        assert answer.status_code == 200
        until = later(NOW, 10 + LEASE_S)
        assert answer.json() == {
            "lease_s": LEASE_S, "lease_until": until, "cancel_requested": False,
        }  # fmt: skip
        [*_, renewed] = await service.log.read_stream(job_id)
        assert (renewed.type, renewed.data["lease_until"]) == ("LeaseRenewed", until)
        assert renewed.meta["actor"] == ACTOR


async def test_a_renewal_tells_that_somebody_wants_it_to_stop() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        assert (await service.http.post(f"/jobs/{job_id}/cancel")).status_code == 202
        answer = await say(service, job_id, "renew", token=token)
        assert answer.json()["cancel_requested"] is True
        ended = await say(service, job_id, "fail", token=token, error=ERROR, reason="cancelled")
        assert (ended.status_code, ended.json()["status"]) == (200, "cancelled")


async def test_who_completes_all_the_same_has_won() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        await service.http.post(f"/jobs/{job_id}/cancel")
        ended = await say(service, job_id, "complete", token=token, result="done")
        assert (ended.json()["status"], ended.json()["result"]) == ("completed", "done")


# done


@pytest.mark.parametrize("result", [None, {"url": "https://x/1.png"}, [1, 2], "text", 0, False])
async def test_a_completion_ends_the_job_with_its_result(result: Any) -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        await asyncio.sleep(2.5)
        answer = await say(service, job_id, "complete", token=token, result=result)
        assert answer.status_code == 200
        job = answer.json()
        assert (job["status"], job["result"], job["ran_s"]) == ("completed", result, 2.5)
        assert answer.headers["etag"] == '"3"'
        assert answer.headers["log-position"] == str(await service.log.head())
        [*_, completed] = await service.log.read_stream(job_id)
        assert completed.data == {"attempt": 1, "duration_s": 2.5}


async def test_a_result_that_no_line_can_hold_is_413_and_the_claim_stays() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        answer = await say(service, job_id, "complete", token=token, result="x" * 70_000)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
        assert (await say(service, job_id, "renew", token=token)).status_code == 200
        assert (await say(service, job_id, "complete", token=token)).status_code == 200


# not done


@pytest.mark.parametrize(
    ("said", "status", "last", "attempts"),
    [
        ({}, "pending", "AttemptFailed", 1),
        ({"permanent": True}, "failed", "JobFailed", 1),
        ({"reason": "unknown"}, "pending", "AttemptFailed", 1),
        ({"reason": "unknown", "then": "hold"}, "pending", "JobHeld", 1),
        ({"reason": "unknown", "then": "fail"}, "failed", "JobFailed", 1),
        ({"reason": "config"}, "pending", "AttemptFailed", 0),
        ({"reason": "released"}, "pending", "AttemptFailed", 0),
        ({"reason": "cancelled"}, "pending", "AttemptFailed", 1),
    ],
)
async def test_what_becomes_of_the_job_follows_from_what_is_said(
    said: Any, status: str, last: str, attempts: int
) -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        answer = await say(service, job_id, "fail", token=token, error=ERROR, **said)
        assert answer.status_code == 200
        job = answer.json()
        assert (job["status"], job["attempts"]) == (status, attempts)
        assert job["last_error"] == {
            "attempt": 1, "reason": said.get("reason", "error"), "class": "Oops",
            "message": "no luck",
        }  # fmt: skip
        assert (await types(service, job_id))[-1] == last


async def test_the_delay_is_drawn_or_the_one_that_is_asked_for() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        answer = await say(service, job_id, "fail", token=token, error=ERROR, retry_after_s=90.5)
        assert answer.json()["next_attempt_at"] == later(NOW, 90.5)
        job_id, token = await claimed(service)
        answer = await say(service, job_id, "fail", token=token, error=ERROR)
        assert 0 < seconds_between(NOW, answer.json()["next_attempt_at"]) <= 5


async def test_facts_and_settled_parts_are_recorded_and_the_next_claim_brings_them() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        said = {"facts": {"code": 451}, "accepted": [2, 0], "refused": [1], "retry_after_s": 0}
        await say(service, job_id, "fail", token=token, error=ERROR, **said)
        [*_, failed] = await service.log.read_stream(job_id)
        assert (failed.data["facts"], failed.data["accepted"]) == ({"code": 451}, [2, 0])
        [again] = (await claim(service)).json()["claims"]
        assert (again["attempt"], again["accepted"], again["refused"]) == (2, [0, 2], [1])


async def test_settings_at_fault_pause_the_kind_in_the_name_of_who_said_so() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        await say(service, job_id, "fail", token=token, error=ERROR, reason="config")
        [paused] = await service.log.read_stream("kind-work")
        assert (paused.data["cause"], paused.meta["actor"]) == ("config", ACTOR)
        assert paused.private == {"reason": "no luck"}
        await asyncio.sleep(60)
        assert (await claim(service)).status_code == 204


async def test_a_stale_token_pauses_nothing() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        answer = await say(service, job_id, "fail", token=token - 1, error=ERROR, reason="config")
        assert answer.status_code == 409
        assert await service.log.read_stream("kind-work") == []


async def test_long_words_are_cut_and_longer_ones_refused() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        words = {"class": "Oops", "message": "m" * 100_000, "traceback": "t" * 99_997 + "end"}
        longer = words | {"message": "m" * 100_001}
        assert (await say(service, job_id, "fail", token=token, error=longer)).status_code == 422
        answer = await say(
            service, job_id, "fail", token=token, error=words, reason="config", permanent=True
        )
        assert answer.status_code == 200
        job = answer.json()
        assert len(job["last_error"]["message"]) == 8192
        assert job["attempt_log"][0]["error"]["traceback"].endswith("end")


async def test_facts_that_no_line_can_hold_are_413_and_the_claim_stays() -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        facts = {"text": "x" * 70_000}
        answer = await say(service, job_id, "fail", token=token, error=ERROR, facts=facts)
        assert answer.status_code == 413
        assert (await say(service, job_id, "renew", token=token)).status_code == 200


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({}, "#/error"),
        ({"error": "no luck"}, "#/error"),
        ({"error": {"message": "x"}}, "#/error/class"),
        ({"error": {"class": ""}}, "#/error/class"),
        ({"error": {"class": "c" * 101}}, "#/error/class"),
        ({"error": ERROR, "reason": "worker_lost"}, "#/reason"),
        ({"error": ERROR, "reason": "lease_expired"}, "#/reason"),
        ({"error": ERROR, "then": "panic"}, "#/then"),
        ({"error": ERROR, "permanent": 1}, "#/permanent"),
        ({"error": ERROR, "retry_after_s": -1}, "#/retry_after_s"),
        ({"error": ERROR, "retry_after_s": 365 * 86_400 + 1}, "#/retry_after_s"),
        ({"error": ERROR, "facts": [1]}, "#/facts"),
        ({"error": ERROR, "accepted": [-1]}, "#/accepted/0"),
        ({"error": ERROR, "accepted": ["ada"]}, "#/accepted/0"),
        ({"error": ERROR, "refused": [0] * 1001}, "#/refused"),
        ({"error": ERROR, "token": 0}, "#/token"),
        ({"error": ERROR, "token": "7"}, "#/token"),
        ({"error": ERROR, "worker": "w"}, "#/worker"),
    ],
)
async def test_422_for_what_is_no_failure_and_the_claim_stays(said: Any, pointer: str) -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        answer = await say(service, job_id, "fail", **{"token": token} | said)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert await types(service, job_id) == ["JobCreated", "AttemptStarted"]


# who may speak


VERBS: dict[str, dict[str, Any]] = {"renew": {}, "complete": {}, "fail": {"error": ERROR}}
each_verb = pytest.mark.parametrize("verb", VERBS)


@each_verb
@pytest.mark.parametrize("off_by", [-1, 1])
async def test_another_token_than_the_running_attempts_is_409(verb: str, off_by: int) -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        answer = await say(service, job_id, verb, token=token + off_by, **VERBS[verb])
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/fenced")
        assert await types(service, job_id) == ["JobCreated", "AttemptStarted"]


@pytest.mark.parametrize("verb", ["renew", "complete"])
async def test_a_token_is_stale_once_the_next_attempt_runs(verb: str) -> None:
    async with serving() as service:
        job_id, token = await claimed(service)
        await say(service, job_id, "fail", token=token, error=ERROR, reason="released")
        [again] = (await claim(service)).json()["claims"]
        answer = await say(service, job_id, verb, token=token)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/fenced")
        assert (await say(service, job_id, "renew", token=again["token"])).status_code == 200


@each_verb
async def test_a_pending_job_is_claimed_by_nobody_whatever_token_he_has(verb: str) -> None:
    async with serving() as service:
        job_id = await post(service)
        answer = await say(service, job_id, verb, token=1, **VERBS[verb])
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/fenced")


@each_verb
@pytest.mark.parametrize("job_id", ["nothing", "log", "kind-work", "x" * 65, "%00"])
async def test_404_for_what_never_existed(verb: str, job_id: str) -> None:
    async with serving() as service:
        await service.log.begin("1")
        await service.http.post("/kinds/work/pause")
        answer = await say(service, job_id, verb, token=1, **VERBS[verb])
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


@each_verb
async def test_while_nothing_can_be_recorded_it_is_503_and_may_be_said_again(verb: str) -> None:
    store = Hiccups(MemoryStore(log_id=LOG_ID))
    async with serving(store=store) as service:
        job_id, token = await claimed(service)
        store.refuse = lambda _: NotWritten("no room")
        answer = await say(service, job_id, verb, token=token, **VERBS[verb])
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-written")
        store.refuse = lambda _: None
        assert (await say(service, job_id, verb, token=token, **VERBS[verb])).status_code == 200
