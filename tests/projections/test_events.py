"""The vocabulary against golden lines: what was once written stays readable, as it was meant.

`golden/<Type>.v<version>.jsonl` holds lines of one type and version, and `tests/eventstore/golden`
the whole log that they were taken from, as the first joblog wrote it. Neither is ever made again:
a new version, or a new optional member, gets new lines beside the old ones, out of another log. The
second (`….second.jsonl`, `golden_second`) is of the first joblog with kinds, holds, expiries and
cancellations of what runs. What the events do to a job is in `test_job`.
"""

import re
import shutil
from functools import reduce
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from eventstore.errors import Unsupported
from eventstore.event import Append, Event, Head, NewEvent, canonical, decode, prepare, recorded
from eventstore.file.disk import SystemDisk
from eventstore.file.reader import Reader
from projections.events import JOB_EVENTS, KIND_EVENTS, LOG_EVENTS, VERSIONS, upcast
from projections.job import Status, evolve, fold
from projections.kind import evolve_kind
from projections.verify import LifeCycles
from tests.support.build import HISTORIES, LOG_ID, record

HERE = Path(__file__).parent
LOGS = {
    "": HERE.parent / "eventstore" / "golden",
    "second": HERE.parent / "eventstore" / "golden_second",
}
EVENTS = JOB_EVENTS | KIND_EVENTS | LOG_EVENTS
NAME = re.compile(r"([A-Za-z]+)\.v(\d+)(?:\.([a-z]+))?\.jsonl")
STATE_BEFORE = {
    "AttemptStarted": Status.PENDING,
    "LeaseRenewed": Status.PROCESSING,
    "CancelRequested": Status.PROCESSING,
    "AttemptFailed": Status.PROCESSING,
    "JobCompleted": Status.PROCESSING,
    "JobHeld": Status.PENDING,
    "JobFailed": Status.PENDING,
    "JobCancelled": Status.PENDING,
    "JobRetried": Status.FAILED,
}


def golden_lines():
    """Each golden line: its type, its version, which log it is from, itself."""
    for path in sorted((HERE / "golden").iterdir()):
        type_, v, source = NAME.fullmatch(path.name).groups(default="")
        for line in path.read_bytes().split(b"\n")[:-1]:
            yield type_, int(v), source, line


GOLDEN = list(golden_lines())
each_golden_line = pytest.mark.parametrize(
    ("type_", "v", "line"),
    [
        pytest.param(type_, v, line, id=f"{type_}-v{v}-{number}")
        for number, (type_, v, _, line) in enumerate(GOLDEN, 1)
    ],
)


def golden_log(tmp_path, source=""):
    shutil.copytree(LOGS[source], tmp_path / "data")
    log_id = (tmp_path / "data" / "log-id").read_text().strip()
    return Reader(SystemDisk(), str(tmp_path / "data"), log_id).page(0, 1000)


def test_every_type_in_every_version_has_a_golden_line():
    found = {(type_, v) for type_, v, *_ in GOLDEN}
    assert found == {(type_, v) for type_ in EVENTS for v in range(1, VERSIONS[type_] + 1)}


@each_golden_line
def test_a_golden_line_decodes_into_the_event_it_was(type_, v, line):
    event = decode(line)
    assert (event.type, event.v, event.line) == (type_, v, line)
    assert event.nonce
    assert event.pos >= event.rev >= 1


@each_golden_line
def test_the_data_of_a_golden_line_are_of_their_type_once_brought_up_to_date(type_, v, line):
    """And they hold no member that the vocabulary does not name: converting would drop it."""
    data = upcast(type_, v, decode(line).data)
    assert msgspec.convert(data, EVENTS[type_]) == data


@each_golden_line
def test_a_golden_line_folds_into_a_job_or_a_kind(type_, v, line):
    if type_ in KIND_EVENTS:
        event = decode(line)
        assert evolve_kind(None, event).head == event.head
        return
    before = fold(record(*HISTORIES[STATE_BEFORE.get(type_)]))
    event = replace(decode(line), rev=before.rev + 1 if before else 1)
    after = evolve(before, event)
    if type_ in LOG_EVENTS:
        assert after is None
    else:
        assert after.head == event.head


@each_golden_line
def test_the_same_event_is_still_written_as_the_same_bytes(type_, v, line):
    event = decode(line)
    assert recorded(append_of(event), pos=event.pos, time=event.time)[0].line == canonical(line)


def append_of(event: Event) -> Append:
    """The append that an event was recorded by."""
    meta = {name: value for name, value in event.meta.items() if name != "n"}
    new = NewEvent(event.type, event.time, event.data, event.private, meta, event.v)
    return prepare(event.stream, Head(event.rev - 1, 0), [new], nonce=event.nonce)


def test_the_golden_log_is_read_whole(tmp_path):
    events = golden_log(tmp_path)
    assert [event.pos for event in events] == list(range(1, 34))
    assert events[0].data == {"log_id": LOG_ID}
    assert {event.type for event in events} == {t for t, _, source, _ in GOLDEN if not source}


def test_the_golden_log_folds_into_the_jobs_it_was_about(tmp_path):
    streams = {}
    for event in golden_log(tmp_path):
        streams.setdefault(event.stream, []).append(event)
    del streams["log"]
    jobs = [fold(events) for events in streams.values()]
    found = [(job.status, job.attempts, job.crashes, job.attempt) for job in jobs]
    assert found == [
        (Status.COMPLETED, 1, 0, 1),
        (Status.COMPLETED, 1, 0, 4),
        (Status.FAILED, 1, 0, 1),
        (Status.PENDING, 0, 0, 0),
        (Status.CANCELLED, 0, 0, 0),
        (Status.PENDING, 0, 0, 1),
        (Status.PROCESSING, 1, 0, 1),
    ]
    assert jobs[0].payload["subject"] == "Grüße ☕"
    assert [each.outcome for each in jobs[1].attempt_log] == [
        "error", "lease_expired", "error", "completed",
    ]  # fmt: skip
    assert (jobs[1].waited_s, jobs[1].ran_s) == (120.0625, 50.6)


def test_the_second_golden_log_folds_into_the_jobs_and_the_kind_it_was_about(tmp_path):
    streams = {}
    for event in golden_log(tmp_path, "second"):
        streams.setdefault(event.stream, []).append(event)
    del streams["log"]
    kind = reduce(evolve_kind, streams.pop("kind-letter"), None)
    assert (kind.name, kind.pause, kind.concurrency, kind.rate, kind.rev) == (
        "letter", None, None, None, 8,
    )  # fmt: skip
    jobs = [fold(events) for events in streams.values()]
    assert [(job.status, [each.outcome for each in job.attempt_log]) for job in jobs] == [
        (Status.COMPLETED, ["unknown", "completed"]),
        (Status.CANCELLED, ["cancelled"]),
        (Status.COMPLETED, ["completed"]),
        (Status.FAILED, ["unknown", "config", "unknown"]),
        (Status.FAILED, []),
        (Status.FAILED, ["unknown"]),
    ]
    assert (jobs[0].accepted, jobs[0].refused) == ((0,), (2,))
    assert jobs[0].facts == {"message_id": f"<{jobs[0].id}@example.com>"}
    assert jobs[0].attempt_log[0].error.facts == {"phase": "data", "code": 0}
    assert jobs[0].expires_at == "2026-11-29T08:15:03.250125Z"


@pytest.mark.parametrize("source", LOGS)
def test_the_golden_lines_are_those_of_the_golden_logs(tmp_path, source):
    written = {event.line for event in golden_log(tmp_path, source)}
    assert {line for _, _, taken_from, line in GOLDEN if taken_from == source} == written


@pytest.mark.parametrize("source", LOGS)
def test_a_golden_log_is_sound(tmp_path, source):
    stories = LifeCycles()
    for event in golden_log(tmp_path, source):
        assert list(stories.check(event)) == []


@pytest.mark.parametrize("type_", EVENTS)
def test_a_version_from_the_future_is_refused(type_):
    with pytest.raises(Unsupported, match="newer joblog"):
        upcast(type_, VERSIONS[type_] + 1, {})
    assert upcast(type_, VERSIONS[type_], {"a": 1}) == {"a": 1}
