"""A webhook from a real server to a real receiver: signed, tried again, and kept from this machine
unless it is allowed.

What an answer means, and which addresses may be reached, is tested in `tests/service/webhook`.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifying

from tests.support.receiver import Behaviour, answers, receiving
from tests.support.server import serving

SECRET = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"
QUICK = ("--backoff-base", "0.01")


def first(behaviour: Behaviour, then: Behaviour) -> Behaviour:
    """One thing at the first request, another at those that follow."""
    left = [behaviour]

    async def behave(writer: asyncio.StreamWriter) -> None:
        await (left.pop() if left else then)(writer)

    return behave


@pytest.mark.real_time
async def test_it_is_delivered_signed_and_after_a_failure_again(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text(SECRET)
    flags = ("--webhook-allow", "127.0.0.0/8", "--webhook-secret-file", str(file), *QUICK)
    async with receiving(first(answers(500), answers(200, b"thank you"))) as receiver:

        def post() -> tuple[dict[str, Any], list[dict[str, Any]]]:
            with serving(tmp_path / "data", *flags) as server:
                asked = {"url": receiver.url, "type": "invoice.paid", "data": {"invoice": 17}}
                job_id = server.ask("POST", "/jobs/webhook", asked).json["id"]
                job, history = server.finished(job_id), server.history(job_id)
                assert server.terminate() == 0
                assert not any("abandoned" in line for line in server.lines)
                return job, history

        job, history = await asyncio.to_thread(post)
        assert (job["status"], job["attempts"]) == ("completed", 2)
        assert job["result"] == {"status": 200, "body": "thank you", "whole": True}
        one, two = receiver.requests
        assert one.body == two.body
        assert one.headers["webhook-id"] == two.headers["webhook-id"] == job["id"]
        said = Verifying(SECRET).verify(two.body, two.headers)
        assert (said["type"], said["data"]) == ("invoice.paid", {"invoice": 17})
        assert said["timestamp"] == job["created_at"]
        sha256 = hashlib.sha256(two.body).hexdigest()
        assert history[0]["data"]["facts"] == {"body_sha256": sha256}
        [failed] = [each for each in history if each["type"] == "AttemptFailed"]
        assert failed["data"]["facts"] == {"phase": "answer", "status": 500}
        assert SECRET.removeprefix("whsec_") not in str((job, history))


@pytest.mark.real_time
async def test_this_machine_is_not_reached_unless_that_is_allowed(tmp_path: Path) -> None:
    async with receiving(answers(200)) as receiver:

        def post() -> tuple[int, dict[str, Any]]:
            with serving(tmp_path / "data", *QUICK) as server:
                asked: dict[str, Any] = {"url": receiver.url, "type": "a", "data": {}}
                refused = server.ask("POST", "/jobs/webhook", asked)
                asked["url"] = f"http://localhost:{receiver.port}/"
                job_id = server.ask("POST", "/jobs/webhook", asked).json["id"]
                return refused.status, server.finished(job_id)

        status, job = await asyncio.to_thread(post)
        assert status == 422
        assert (job["status"], job["attempts"]) == ("failed", 1)
        assert "is not public" in str(job["last_error"])
        assert receiver.connections == 0
