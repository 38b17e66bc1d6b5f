"""How much later than it was due a job started, read off its log; and how long a drain took."""

import pytest

from eventstore.event import Event
from service.bench.delays import late_ms
from service.bench.drain import took_s
from tests.support.build import at, attempt_started, job_completed, job_created, record


def told(*events: Event) -> list[dict[str, object]]:
    return [
        {"stream": event.stream, "type": event.type, "time": event.time, "data": event.data}
        for event in events
    ]


def test_lateness_counts_from_when_the_job_was_due_and_not_from_its_creation() -> None:
    first = record(job_created(run_at=at(5)), attempt_started(5.25), stream="a")
    second = record(job_created(run_at=at(6)), attempt_started(6), stream="b")
    created, started = zip(first, second, strict=True)
    assert late_ms(told(*created, *started)) == pytest.approx([250, 0])


def test_a_drain_is_from_the_first_start_to_the_last_completion() -> None:
    lives = [
        record(job_created(), attempt_started(begun), job_completed(ended))
        for begun, ended in ((2, 9), (3, 4))
    ]
    assert took_s(told(*lives[0], *lives[1])) == 7
