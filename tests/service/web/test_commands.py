"""`POST /jobs/{id}/cancel` and `/retry`: done, not possible now, or not on the job that was seen.

Both are decided on what the log holds: the last tests leave the read model behind on purpose, and
see that neither a refusal nor a success comes from its memory.
"""

import asyncio
from typing import Any

import pytest

from service.commands import Ending
from tests.support.service import ACTOR, RunningService, running_service

FATAL = Ending("error", "E", "no", permanent=True)
DOUBT = Ending("unknown", "Dropped", "no answer", then="hold")
WHY = {"reason": "ordered twice"}
BOTH = pytest.mark.parametrize("command", ["cancel", "retry"])


async def say(service: RunningService, job_id: str, command: str, **more: Any) -> Any:
    return await service.http.post(f"/jobs/{job_id}/{command}", **more)


async def subject(service: RunningService, command: str) -> str:
    """A job that allows the command: one that waits for its time."""
    return await service.post(delay=3600)


async def test_cancel_ends_a_pending_job() -> None:
    async with running_service() as service:
        job_id = await service.post()
        answer = await say(service, job_id, "cancel")
        assert answer.status_code == 200
        assert answer.headers["etag"] == '"2"'
        assert answer.headers["log-position"] == str(await service.log.head())
        assert answer.json()["status"] == "cancelled"
        assert answer.content == (await service.http.get(f"/jobs/{job_id}")).content


async def test_cancel_twice_is_once() -> None:
    async with running_service() as service:
        job_id = await service.post()
        first, second = [await say(service, job_id, "cancel") for _ in range(2)]
        assert (second.status_code, second.content) == (200, first.content)
        assert len(await service.log.read_stream(job_id)) == 2


async def test_cancel_of_a_running_job_is_202_and_asks_its_attempt_to_stop() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.start(job_id)
        first, second = [await say(service, job_id, "cancel", json=why) for why in ({}, WHY)]
        assert (first.status_code, first.json()["status"]) == (202, "processing")
        assert first.json()["cancel_requested_at"] == "2026-11-23T12:00:00.000000Z"
        assert first.headers["etag"] == '"3"'
        assert (second.status_code, second.content) == (202, first.content), "twice is once"
        [*_, event] = await service.log.read_stream(job_id)
        assert (event.type, event.rev, event.meta["actor"]) == ("CancelRequested", 3, ACTOR)


async def test_a_job_that_obeyed_is_cancelled_and_to_cancel_it_again_is_200() -> None:
    async with running_service() as service:
        job_id = await service.post()
        job = await service.start(job_id)
        await say(service, job_id, "cancel")
        assert job.lease is not None
        obeyed = Ending("cancelled", "Cancelled")
        await service.jobs.fail(job, token=job.lease.token, ending=obeyed, duration_s=1, meta={})
        answer = await say(service, job_id, "cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


async def test_cancel_of_a_running_job_that_has_moved_on_is_412() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.start(job_id)
        for etag, status in (('"1"', 412), ('"2"', 202), ('"2"', 412)):
            answer = await say(service, job_id, "cancel", headers={"If-Match": etag})
            assert answer.status_code == status


async def test_cancel_is_409_once_it_has_ended() -> None:
    async with running_service() as service:
        done, failed = [await service.post() for _ in range(2)]
        await service.complete(done)
        await service.fail(failed, FATAL)
        for job_id in (done, failed):
            answer = await say(service, job_id, "cancel")
            assert answer.status_code == 409
            assert answer.json()["type"] == "/problems/not-allowed"


async def test_retry_opens_a_failed_job_again() -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.fail(job_id, FATAL)
        answer = await say(service, job_id, "retry")
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["attempts"]) == ("pending", 0)
        assert len(answer.json()["attempt_log"]) == 1


async def test_retry_lets_a_waiting_job_run_now() -> None:
    async with running_service() as service:
        job_id = await service.post(delay=3600)
        answer = await say(service, job_id, "retry")
        assert answer.json()["next_attempt_at"] == "2026-11-23T12:00:00.000000Z"


@pytest.mark.parametrize(("command", "status"), [("retry", "pending"), ("cancel", "cancelled")])
async def test_a_held_job_waits_for_one_of_the_two(command: str, status: str) -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.fail(job_id, DOUBT)
        held = (await service.http.get(f"/jobs/{job_id}")).json()
        assert (held["status"], held["next_attempt_at"]) == ("pending", None)
        assert held["held_at"] == "2026-11-23T12:00:00.000000Z"
        answer = await say(service, job_id, command)
        assert (answer.status_code, answer.json()["status"]) == (200, status)
        assert answer.json()["held_at"] is None


async def test_retry_is_409_for_a_job_that_is_due_runs_or_is_done() -> None:
    async with running_service() as service:
        due, running, done = [await service.post() for _ in range(3)]
        await service.start(running)
        await service.complete(done)
        for job_id in (due, running, done):
            assert (await say(service, job_id, "retry")).status_code == 409


@BOTH
async def test_who_and_why_are_in_the_log(command: str) -> None:
    async with running_service() as service:
        job_id = await subject(service, command)
        await say(
            service, job_id, command, json={"reason": "by mistake"}, headers={"X-Request-Id": "r-1"}
        )
        event = (await service.log.read_stream(job_id))[-1]
        assert (event.meta["actor"], event.meta["request"]) == (ACTOR, "r-1")
        assert event.private == {"reason": "by mistake"}


@BOTH
@pytest.mark.parametrize("body", [{}, {"reason": None}, {"reason": ""}, {"reason": "x" * 500}])
async def test_a_reason_may_be_given(command: str, body: Any) -> None:
    async with running_service() as service:
        answer = await say(service, await subject(service, command), command, json=body)
        assert answer.status_code == 200


@BOTH
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"reason": "x" * 501}, "#/reason"),
        ({"reason": 1}, "#/reason"),
        ({"reson": "typo"}, "#/reson"),
        ([], "#"),
        (None, "#"),
    ],
)
async def test_422_for_what_is_no_reason(command: str, body: Any, pointer: str) -> None:
    async with running_service() as service:
        job_id = await subject(service, command)
        headers = {"Content-Type": "application/json"}
        content = b"null" if body is None else None
        answer = await say(service, job_id, command, json=body, content=content, headers=headers)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert len(await service.log.read_stream(job_id)) == 1


@BOTH
async def test_a_body_needs_its_content_type_and_no_body_needs_none(command: str) -> None:
    async with running_service() as service:
        job_id = await subject(service, command)
        assert (await say(service, job_id, command, content=b"{}")).status_code == 415
        headers = {"Content-Type": "text/plain"}
        assert (await say(service, job_id, command, headers=headers)).status_code == 200


@BOTH
@pytest.mark.parametrize("job_id", ["nothing", "log", "x" * 65, "%00"])
async def test_404_for_what_never_existed(command: str, job_id: str) -> None:
    async with running_service() as service:
        await service.log.begin("1")
        answer = await say(service, job_id, command)
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/not-found"


@BOTH
async def test_a_query_is_refused(command: str) -> None:
    async with running_service() as service:
        job_id = await subject(service, command)
        assert (await say(service, job_id, f"{command}?force=true")).status_code == 422
        assert len(await service.log.read_stream(job_id)) == 1


@BOTH
@pytest.mark.parametrize("tag", ['"1"', '"9", "1"', "*"])
async def test_if_match_acts_on_the_job_that_was_seen(command: str, tag: str) -> None:
    async with running_service() as service:
        job_id = await subject(service, command)
        answer = await say(service, job_id, command, headers={"If-Match": tag})
        assert answer.status_code == 200


@BOTH
@pytest.mark.parametrize("tag", ['"0"', '"2"', 'W/"1"', '"one"', '"01"'])
async def test_412_on_another(command: str, tag: str) -> None:
    async with running_service() as service:
        job_id = await subject(service, command)
        answer = await say(service, job_id, command, headers={"If-Match": tag})
        assert answer.status_code == 412
        assert answer.json()["type"] == "/problems/precondition-failed"
        assert answer.headers["etag"] == '"1"'
        assert len(await service.log.read_stream(job_id)) == 1


@BOTH
async def test_412_comes_before_409_and_404_before_both(command: str) -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.complete(job_id)
        stale = {"If-Match": '"1"'}
        assert (await say(service, job_id, command, headers=stale)).status_code == 412
        assert (await say(service, "nothing", command, headers=stale)).status_code == 404


@BOTH
async def test_400_for_a_condition_that_cannot_be_read(command: str) -> None:
    async with running_service() as service:
        job_id = await subject(service, command)
        answer = await say(service, job_id, command, headers={"If-Match": "1"})
        assert answer.status_code == 400
        assert len(await service.log.read_stream(job_id)) == 1


async def test_of_many_that_saw_one_revision_one_acts() -> None:
    async with running_service() as service:
        job_id = await service.post(delay=3600)
        seen = {"If-Match": '"1"'}
        answers = await asyncio.gather(
            *(say(service, job_id, ("cancel", "retry")[n % 2], headers=seen) for n in range(10))
        )
        codes = [answer.status_code for answer in answers]
        assert (codes.count(200), codes.count(412)) == (1, 9)


async def test_a_read_model_left_behind_causes_no_412() -> None:
    async with running_service(projecting=False) as service:
        job_id = await service.post()
        await service.project()
        assert (await say(service, job_id, "cancel")).headers["etag"] == '"2"'
        answer = await say(service, job_id, "retry", headers={"If-Match": '"2"'})
        assert answer.status_code == 200


async def test_a_read_model_left_behind_hides_no_412() -> None:
    async with running_service(projecting=False) as service:
        job_id = await service.post()
        await service.project()
        await say(service, job_id, "cancel")
        answer = await say(service, job_id, "retry", headers={"If-Match": '"1"'})
        assert answer.status_code == 412


async def test_a_read_model_left_behind_does_not_take_a_job_for_cancelled() -> None:
    async with running_service(projecting=False) as service:
        job_id = await service.post()
        await say(service, job_id, "cancel")
        await service.project()
        await say(service, job_id, "retry")
        answer = await say(service, job_id, "cancel")
        assert (answer.json()["status"], answer.headers["etag"]) == ("cancelled", '"4"')
