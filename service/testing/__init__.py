"""For tests of your own processors: the whole service in memory, on frozen time, in a plain `def`.

    from service.testing import service
    from mypackage.jobs import report

    def test_a_report_is_tried_again_after_a_minute():
        with service(report) as s:
            job_id = s.post("report", {"month": 3}, max_attempts=5)
            s.drain()                    # run all that is due, to its end
            assert s.job(job_id).status == "pending"
            s.advance(60)                # a minute passes; what becomes due in it runs
            assert s.job(job_id).status == "completed"

No server, no sleeping, no plug-in: it works in pytest as in unittest, and needs freezegun, which
the extra `testing` of the package brings. What runs is what runs in production (the same worker,
log, HTTP application), with the store in memory.

    service(report, …, start="2026-11-23T12:00:00Z", seed=1, concurrency=100)
                              a service with these kinds of jobs, from that instant on
    s.post(kind, payload, delay=60, …)
                              post a job, with the options of `POST /jobs/{kind}`; its id
    s.drain()                 run all that is due, to its end; what waits for a later time stays
    s.advance(60)             let exactly so much time pass; what becomes due runs
    s.now                     the time; so is `datetime.now()`, everywhere
    s.job(id)                 the job as the API gives it
    s.jobs(status="failed")   many of them, the newest first
    s.history(id)             the job's events
    s.cancel(id), s.retry(id) what a client may do to a job
    s.errors                  the attempts that failed, with their tracebacks
    s.kill()                  a crash, now; and `s.kill_at_outcome()`, when it hurts most: see below
    s.http("PUT", "/kinds/report/limits", {…})
                              any other call of the API

What to know:

- **Jobs run in `drain` and `advance` only.** Between two calls time stands still, and so does the
  worker: a job just posted is `pending`, and an attempt that `advance` left under way is
  `processing`, so that you can cancel it.
- **Time is virtual** for whatever runs on the loop: `asyncio.sleep(3600)` in a processor takes no
  time, and `timeout` is tested in as little. It is frozen by freezegun for everything else, until
  the `with` ends, so do not freeze it around or inside. `time.sleep` is not virtual.
- **There are no threads**: a plain `def`, and what a coroutine hands to `asyncio.to_thread`, runs
  at once. So a plain `def` cannot be timed out here; in production its attempt is.
- **The API decides** what is valid: an option or a payload that it would refuse raises `Refused`,
  whose `pointers` say where it is wrong (`["#/month"]`), and `status` is the HTTP status.
- **The same seed, the same test**: ids, jitter and times are the same in every run.
- **A failed attempt raises nothing** in the test: for a job it is a normal thing. It is in
  `s.job(id).last_error`, in `s.errors`, and in the captured log.

Would your processor survive being run twice? Every queue does that, when a worker does the work and
dies before it can say so:

    def test_a_card_is_charged_once_even_if_we_die_before_saying_so():
        with service(charge) as s:
            job_id = s.post("charge", {"order": 7})
            s.kill_at_outcome()          # the work is done, nothing is recorded
            s.drain()
            s.advance(60)                # another process tries again, after the backoff
            assert s.job(job_id).crashes == 1
            assert len(gateway.charges) == 1

Not here: mocks of what your processors call, and tests of a running server.
"""

from service.testing.call import Answer, Refused
from service.testing.failure import FailedAttempt
from service.testing.in_memory import InMemoryService, RunningLoopError, service
from service.testing.loop import Deadlock, Livelock, TimeIsFrozenError
from service.testing.passing import StillRunningError
from service.testing.process import DeafProcessorError

__all__ = [
    "Answer",
    "Deadlock",
    "DeafProcessorError",
    "FailedAttempt",
    "InMemoryService",
    "Livelock",
    "Refused",
    "RunningLoopError",
    "StillRunningError",
    "TimeIsFrozenError",
    "service",
]
