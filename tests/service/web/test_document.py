"""The job's document: a copy of the job, member by member, whatever state the job is in.

How it is served, with which headers, is `test_job`'s matter.
"""

from random import Random

import msgspec
import pytest

from service.web.document import JobDocument, document
from tests.support.build import CANCELLING, HELD, HISTORIES, folded, random_life

LIVES = [
    *(each for each in HISTORIES.values() if each),
    *(HELD, CANCELLING),
    *(random_life(Random(seed)) for seed in range(20)),
]
OF_ITS_OWN = {"last_error", "attempt_log", "links"}


@pytest.mark.parametrize("events", LIVES)
def test_every_member_is_the_jobs_of_that_name(events):
    job = folded(*events)
    told = msgspec.to_builtins(document(job))
    known = msgspec.to_builtins(job)
    assert list(told) == list(JobDocument.__struct_fields__)
    assert {told[name] == known[name] for name in told.keys() - OF_ITS_OWN} == {True}
    assert told["links"] == {"self": f"/jobs/{job.id}", "events": f"/jobs/{job.id}/events"}
    assert [each["attempt"] for each in told["attempt_log"]] == [
        each.attempt for each in job.attempt_log
    ]
    assert (told["last_error"] is None) == (job.last_error is None)
