"""Every error is a problem document, whatever depth it comes from; only our faults are a 500.

The table of errors is tested row by row, with a store that fails as told.
"""

import logging
from typing import Any

import pytest

from eventstore.errors import (
    NotWritten,
    OutcomeUnknown,
    StoreClosed,
    StoreError,
    StoreFailed,
    TooLarge,
)
from eventstore.event import Append
from eventstore.memory import MemoryStore
from eventstore.store import Result
from service.web.health import Health
from tests.support.service import EMAIL, LOG_ID, RunningService, running_service


class FailingStore(MemoryStore):
    """A store that answers appends with an error."""

    def __init__(self, error: StoreError) -> None:
        super().__init__(log_id=LOG_ID)
        self._error = error

    async def commit(self, batch: Any) -> list[Result]:
        assert all(isinstance(each, Append) for each in batch)
        return [self._error] * len(batch)


async def post(service: RunningService) -> Any:
    return await service.http.post("/jobs/email", json=EMAIL)


@pytest.mark.parametrize(
    ("error", "status", "type_"),
    [
        (NotWritten("no room"), 503, "not-written"),
        (OutcomeUnknown("connection lost"), 503, "outcome-unknown"),
        (StoreFailed("fdatasync: EIO on /secret/place"), 503, "store-failed"),
        (StoreClosed(), 503, "stopping"),
        (TooLarge(70_000, 65_535), 413, "too-large"),
    ],
)
async def test_what_a_store_answers_with(error: StoreError, status: int, type_: str) -> None:
    async with running_service(store=FailingStore(error)) as service:
        answer = await post(service)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == f"/problems/{type_}"
        assert answer.json()["status"] == status
        assert "secret" not in answer.text
        assert ("retry-after" in answer.headers) == isinstance(error, NotWritten)


async def test_a_problem_has_exactly_the_members_of_rfc_9457() -> None:
    async with running_service() as service:
        answer = await service.http.get("/jobs/no%20such%20job?x=1")
        assert answer.json() == {
            "type": "/problems/not-found",
            "title": "Not found",
            "status": 404,
            "detail": "there is no job no such job",
            "instance": "/jobs/no%20such%20job",
        }


async def test_a_validation_problem_has_errors_too() -> None:
    async with running_service() as service:
        answer = await service.http.post("/jobs/email", json={**EMAIL, "to": 1})
        assert answer.json()["errors"] == [
            {"pointer": "#/to", "detail": "Expected `str | array`, got `int`"}
        ]


@pytest.mark.parametrize(
    "path",
    ["/nope", "/jobs/", "/livez/", "/jobs/x/", "/jobs/x/events/", "//jobs", "/jobs//events"],
)
async def test_404_for_a_path_that_is_not_there(path: str) -> None:
    async with running_service() as service:
        answer = await service.http.get(f"http://localhost{path}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["instance"] == path


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/jobs", "GET, HEAD"),
        ("PUT", "/jobs/email", "GET, HEAD, POST"),
        ("DELETE", "/jobs/x", "GET, HEAD, POST"),
        ("PATCH", "/jobs/x/events", "GET, HEAD"),
        ("GET", "/jobs/x/cancel", "POST"),
        ("HEAD", "/jobs/x/retry", "POST"),
        ("OPTIONS", "/jobs", "GET, HEAD"),
        ("TRACE", "/livez", "GET, HEAD"),
        ("BREW", "/readyz", "GET, HEAD"),
        ("get", "/livez", "GET, HEAD"),
    ],
)
async def test_405_with_every_method_of_the_path(method: str, path: str, allow: str) -> None:
    async with running_service() as service:
        answer = await call(service, method, path)
        assert answer["status"] == 405
        assert answer["headers"]["allow"] == allow
        assert answer["headers"]["content-type"] == "application/problem+json"


async def call(service: RunningService, method: str, path: str) -> dict[str, Any]:
    """A request as the server would pass it on, without a client that knows better."""
    said: dict[str, Any] = {"body": b""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            said["status"] = message["status"]
            said["headers"] = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            said["body"] += message["body"]

    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    await service.app({**scope, "query_string": b""}, receive, send)
    return said


class Broken(Health):
    def checks(self) -> dict[str, str | None]:
        raise RuntimeError("the secret is 1234")


async def test_an_unexpected_error_is_500_without_its_words_and_logged_with_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running_service(health=Broken()) as service:
        answer = await service.http.get("/readyz", headers={"X-Request-Id": "r-1"})
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"] == "r-1"
        assert answer.json()["type"] == "/problems/internal"
        assert "1234" not in answer.text
        assert "Traceback" not in answer.text
    [record] = caplog.records
    assert (record.levelno, record.name) == (logging.ERROR, "joblog.web")
    assert "r-1" in record.getMessage()
    assert record.exc_info is not None
    assert "1234" in str(record.exc_info[1])


@pytest.mark.parametrize("path", ["/\ud800", "/jobs/\ud800", "/jobs/\udcff/events", "*", ""])
async def test_no_path_is_too_strange_for_a_problem(path: str) -> None:
    async with running_service() as service:
        answer = await call(service, "GET", path)
        assert answer["status"] == 404
        answer["body"].decode("ascii")
