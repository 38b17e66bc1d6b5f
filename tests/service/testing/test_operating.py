"""What an operator or a client may do while work goes on, seen through the kit: cancel what runs,
pause a kind, let a job expire.

These are features of the service, tested where they are made; here it is tried that a user can
write a test about them, and that time keeps its steps around them.
"""

import asyncio
from datetime import timedelta

from service import Attempt, Misconfigured, processor
from service.testing import service
from tests.service.testing.kinds import work


def test_a_running_attempt_is_cancelled_and_may_tidy_up():
    tidied = []

    @processor("tidy")
    async def tidy(payload: None, attempt: Attempt) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            tidied.append(attempt.number)

    with service(tidy) as s:
        job_id = s.post("tidy", None)
        s.advance(10)
        assert s.cancel(job_id).status == "processing"
        s.drain()
        assert s.job(job_id).status == "cancelled"
        assert tidied == [1]
        assert s.now.second == 10


def test_a_job_expires_at_its_time():
    with service(work) as s:
        order = {"failures": 1, "retry_after_s": 3600}
        job_id = s.post("work", order, expires_at=s.now + timedelta(minutes=30))
        s.advance(1800 - 0.000001)
        assert s.job(job_id).status == "pending"
        s.advance(1800)
        assert s.job(job_id).status == "failed"
        assert s.job(job_id).finished_at < "2026-11-23T12:30:01.1"


def test_a_kind_that_is_not_set_up_right_is_paused_until_somebody_resumes_it():
    settings = {"password": "wrong"}

    @processor("login")
    async def login(payload: None, attempt: Attempt) -> str:
        if settings["password"] == "wrong":
            raise Misconfigured("the login was refused")
        return "in"

    with service(login) as s:
        ids = [s.post("login", None) for _ in range(2)]
        s.drain()
        s.advance(60)
        assert [s.job(each).status for each in ids] == ["pending", "pending"]
        settings["password"] = "right"
        assert s.http("POST", "/kinds/login/resume").status == 200
        s.drain()
        assert [s.job(each).result for each in ids] == ["in", "in"]


def test_a_rate_is_kept_while_time_is_advanced():
    with service(work) as s:
        limits = {"concurrency": None, "rate": {"count": 1, "per_s": 10}}
        assert s.http("PUT", "/kinds/work/limits", limits).status == 200
        ids = [s.post("work", {}) for _ in range(4)]
        s.advance(25)
        assert len(s.jobs(status="completed")) == 3
        s.advance(10)
        assert [s.job(each).status for each in ids] == ["completed"] * 4
