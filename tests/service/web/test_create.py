"""`POST /jobs/{kind}`: what a client gets for giving us work, and what is refused at once.

Options are tested at both sides of each bound; bodies as such are `test_body`'s matter.
"""

import dataclasses
import re
from typing import Any

import msgspec
import pytest

from eventstore import clock
from eventstore.timestamp import later
from service.processors import Attempt, processor
from service.web.jobs import DELAY_S_MAX
from tests.support.service import ACTOR, EMAIL, RunningService, running_service
from tests.support.wait import until

UUID7 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def refusal(service: RunningService, query: str, path: str = "/jobs/email") -> list[Any]:
    """The errors that a query is refused with; nothing was recorded."""
    head = await service.log.head()
    answer = await service.http.post(f"{path}?{query}", json=EMAIL)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/invalid"
    assert await service.log.head() == head
    return [(error["pointer"], error["detail"]) for error in answer.json()["errors"]]


async def accepted(service: RunningService, query: str) -> Any:
    answer = await service.http.post(f"/jobs/email?{query}", json=EMAIL)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def test_202_with_the_job_its_place_its_etag_and_its_position() -> None:
    async with running_service() as service:
        answer = await service.http.post("/jobs/email", json=EMAIL)
        job = answer.json()
        assert answer.status_code == 202
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["location"] == f"/jobs/{job['id']}"
        assert answer.headers["etag"] == '"1"'
        assert answer.headers["log-position"] == str(await service.log.head())
        assert "idempotency-replayed" not in answer.headers


async def test_the_body_is_the_job_with_exactly_the_documented_members_in_order() -> None:
    async with running_service() as service:
        job = (await service.http.post("/jobs/email", json=EMAIL)).json()
        assert UUID7.fullmatch(job["id"])
        now = clock.now()
        links = {"self": f"/jobs/{job['id']}", "events": f"/jobs/{job['id']}/events"}
        expected = {
            "id": job["id"],
            "kind": "email",
            "status": "pending",
            "attempts": 0,
            "max_attempts": 3,
            "crashes": 0,
            "priority": 0,
            "created_at": now,
            "run_at": now,
            "expires_at": None,
            "started_at": None,
            "finished_at": None,
            "next_attempt_at": now,
            "held_at": None,
            "cancel_requested_at": None,
            "waited_s": 0,
            "ran_s": 0,
            "payload": EMAIL,
            "result": None,
            "failed_because": None,
            "last_error": None,
            "attempt_log": [],
            "rev": 1,
            "links": links,
        }
        assert list(job.items()) == list(expected.items())


async def test_202_means_recorded_with_the_actor_and_the_request() -> None:
    async with running_service() as service:
        answer = await service.http.post(
            "/jobs/email", json=EMAIL, headers={"X-Request-Id": "order-17"}
        )
        event = await until(service.log, lambda event: event.type == "JobCreated")
        assert event.stream == answer.json()["id"]
        assert event.meta["actor"] == ACTOR
        assert event.meta["request"] == "order-17"
        assert event.private == {"payload": EMAIL}
        assert "fingerprint" not in event.data


async def test_the_payload_is_kept_as_its_type_writes_it_again() -> None:
    async with running_service() as service:
        sent = {"subject": "Hello", "to": "ada@example.com"}
        answer = await service.http.post("/jobs/email", json=sent)
        payload = answer.json()["payload"]
        assert list(payload)[:2] == ["to", "subject"]
        assert payload.items() >= sent.items()


async def test_an_unknown_kind_is_404_and_names_the_known_ones() -> None:
    async with running_service(report) as service:
        answer = await service.http.post("/jobs/emial", json=EMAIL)
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/not-found"
        assert answer.json()["detail"] == "there is no kind 'emial', but email, report"


@pytest.mark.parametrize("kind", ["Email", "email%0A", "%00", "e" * 5000, "log", "%F0%9F%90%88"])
async def test_what_cannot_be_a_kind_is_404(kind: str) -> None:
    async with running_service() as service:
        answer = await service.http.post(f"/jobs/{kind}", json=EMAIL)
        assert answer.status_code == 404
        assert len(answer.json()["detail"]) < 150


class ReportRequest(msgspec.Struct, forbid_unknown_fields=True):
    year: int
    sections: list[str] = []


@processor("report", max_attempts=7, timeout=42)
async def report(_: ReportRequest, __: Attempt) -> None:
    """Never run here."""


async def test_another_kind_has_its_own_type_and_its_own_defaults() -> None:
    async with running_service(report) as service:
        answer = await service.http.post("/jobs/report", json={"year": 2026})
        assert answer.json()["max_attempts"] == 7
        assert answer.json()["payload"] == {"year": 2026, "sections": []}
        created = await until(service.log, lambda event: event.type == "JobCreated")
        assert created.data["timeout_s"] == 42
        wrong = await service.http.post("/jobs/report", json={"year": 2026, "sections": ["a", 1]})
        assert wrong.status_code == 422
        assert wrong.json()["errors"][0]["pointer"] == "#/sections/1"


@pytest.mark.parametrize("value", [1, 2, 99, 100])
async def test_max_attempts_within_bounds(value: int) -> None:
    async with running_service() as service:
        assert (await accepted(service, f"max_attempts={value}"))["max_attempts"] == value


@pytest.mark.parametrize(
    "value", ["0", "101", "-1", "", "1.5", "x", "%D9%A1", "+1", "%201", "1_0", "null", "9" * 5000]
)
async def test_max_attempts_out_of_bounds_or_no_number(value: str) -> None:
    async with running_service() as service:
        [(pointer, _)] = await refusal(service, f"max_attempts={value}")
        assert pointer == "?max_attempts"


@pytest.mark.parametrize("value", [-100, -99, 0, 99, 100])
async def test_priority_within_bounds(value: int) -> None:
    async with running_service() as service:
        assert (await accepted(service, f"priority={value}"))["priority"] == value


@pytest.mark.parametrize("value", ["-101", "101", "0.5", "high", "9" * 30, "%D9%A1"])
async def test_priority_out_of_bounds_or_no_number(value: str) -> None:
    async with running_service() as service:
        [(pointer, _)] = await refusal(service, f"priority={value}")
        assert pointer == "?priority"


@pytest.mark.parametrize("value", ["0.000001", "1", "86399.9", "86400"])
async def test_timeout_within_bounds(value: str) -> None:
    async with running_service() as service:
        await accepted(service, f"timeout={value}")
        created = await until(service.log, lambda event: event.type == "JobCreated")
        assert created.data["timeout_s"] == float(value)


@pytest.mark.parametrize("value", ["0", "-1", "86400.000001", "nan", "inf", "1e999", "1s", ""])
async def test_timeout_out_of_bounds_or_no_number(value: str) -> None:
    async with running_service() as service:
        [(pointer, _)] = await refusal(service, f"timeout={value}")
        assert pointer == "?timeout"


@pytest.mark.parametrize("value", ["0", "0.000001", "90", str(DELAY_S_MAX)])
async def test_delay_within_bounds(value: str) -> None:
    async with running_service() as service:
        job = await accepted(service, f"delay={value}")
        assert job["run_at"] == job["next_attempt_at"] == later(clock.now(), float(value))
        assert job["created_at"] == clock.now()


@pytest.mark.parametrize("value", ["-1", "-0.000001", f"{DELAY_S_MAX}.001", "nan", "inf", "1h"])
async def test_delay_out_of_bounds_or_no_number(value: str) -> None:
    async with running_service() as service:
        [(pointer, _)] = await refusal(service, f"delay={value}")
        assert pointer == "?delay"


@pytest.mark.parametrize(
    ("sent", "run_at"),
    [
        ("2026-12-01T08:00:00Z", "2026-12-01T08:00:00.000000Z"),
        ("2026-12-01T08:00:00.5%2B02:00", "2026-12-01T06:00:00.500000Z"),
        ("2026-12-01t08:00:00.123456789z", "2026-12-01T08:00:00.123456Z"),
        ("1999-12-31T23:59:59-00:00", "1999-12-31T23:59:59.000000Z"),  # past: due at once
    ],
)
async def test_run_at_in_any_zone(sent: str, run_at: str) -> None:
    async with running_service() as service:
        assert (await accepted(service, f"run_at={sent}"))["run_at"] == run_at


@pytest.mark.parametrize(
    "sent",
    [
        "2026-12-01T08:00:00",  # whose clock?
        "2026-12-01",
        "20261201T080000Z",
        "2026-02-30T08:00:00Z",
        "2026-12-01T25:00:00Z",
        "0001-01-01T00:00:00%2B02:00",
        "%D9%A2026-12-01T08:00:00Z",
        "tomorrow",
        "",
        "1764576000",
    ],
)
async def test_run_at_that_is_no_point_in_time(sent: str) -> None:
    async with running_service() as service:
        [(pointer, detail)] = await refusal(service, f"run_at={sent}")
        assert pointer == "?run_at"
        assert "RFC 3339" in detail


async def test_a_plus_that_became_a_space_is_explained() -> None:
    async with running_service() as service:
        [(_, detail)] = await refusal(service, "run_at=2026-12-01T08:00:00+02:00")
        assert "%2B" in detail


async def test_run_at_is_at_most_ten_years_away() -> None:
    async with running_service() as service:
        limit = later(clock.now(), DELAY_S_MAX)
        assert (await accepted(service, f"run_at={limit}"))["run_at"] == limit
        beyond = later(limit, 0.000001)
        assert await refusal(service, f"run_at={beyond}") == [
            ("?run_at", "more than ten years from now")
        ]


async def test_run_at_and_delay_exclude_each_other() -> None:
    async with running_service() as service:
        errors = await refusal(service, "run_at=2026-12-01T08:00:00Z&delay=0")
        assert errors == [("?delay", "give run_at or delay, not both")]


async def test_an_unknown_parameter_is_refused_and_the_known_ones_named() -> None:
    async with running_service() as service:
        [(pointer, detail)] = await refusal(service, "max_attemps=5")
        assert pointer == "?max_attemps"
        assert "max_attempts, run_at, delay, priority, timeout" in detail


async def test_a_parameter_given_twice_is_refused() -> None:
    async with running_service() as service:
        assert await refusal(service, "priority=1&priority=1") == [
            ("?priority", "given more than once")
        ]


async def test_every_unfit_parameter_is_named_up_to_a_limit() -> None:
    async with running_service() as service:
        pointers = [pointer for pointer, _ in await refusal(service, "a=1&b&=3&b=2")]
        assert pointers == ["?a", "?b", "?"]
        many = "&".join(f"p{number}=1" for number in range(1_000))
        assert len(await refusal(service, many)) == 20
        assert len((await refusal(service, "n" * 8_000))[0][0]) == 101


async def test_closed_intake_is_503_with_retry_after_before_anything_is_read() -> None:
    async with running_service(free_bytes=999) as service:
        answer = await service.http.post("/jobs/nonsense", content=b"{")
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/intake-closed"
        assert int(answer.headers["retry-after"]) > 0
        assert (await service.http.get("/jobs")).status_code == 200


async def test_intake_is_open_at_the_very_limit() -> None:
    async with running_service(free_bytes=1_000) as service:
        await accepted(service, "")


async def test_a_payload_that_fits_no_event_is_413() -> None:
    @processor("blob")
    async def blob(_: str, __: Attempt) -> None:
        """Never run here."""

    async with running_service(blob) as service:
        head = await service.log.head()
        answer = await service.http.post("/jobs/blob", json="x" * 65_535)
        assert answer.status_code == 413
        assert answer.json()["type"] == "/problems/too-large"
        assert await service.log.head() == head
        assert (await service.http.post("/jobs/blob", json="x" * 64_000)).status_code == 202


@dataclasses.dataclass
class Plain:
    n: int


class Lax(msgspec.Struct):
    n: int


@pytest.mark.parametrize("payload", [Plain, Lax])
@pytest.mark.parametrize("path", ["/jobs/own", "/jobs/own/batch"])
async def test_a_member_that_the_type_would_pass_over_is_refused(payload: Any, path: str) -> None:
    async def own(_: Any, __: Attempt) -> None:
        """Never run here."""

    own.__annotations__["_"] = payload
    async with running_service(processor("own")(own)) as service:
        items: Any = [{"n": 1, "bogus": 5}] if path.endswith("batch") else {"n": 1, "bogus": 5}
        answer = await service.http.post(path, json=items)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] in ("#/bogus", "#/0/bogus")
        assert "unknown field `bogus`" in answer.json()["errors"][0]["detail"]
