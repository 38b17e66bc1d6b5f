"""The server against its own document, by requests that schemathesis makes up from it.

It knows nothing but the document: it sends examples, values on and beyond every bound, random
bodies, forbidden methods, and chains of calls along the links; and whatever comes back must be
documented: status, media type, schema, headers. The seed is fixed, so a failure is there again.

Checks that are left out, and why:

- `positive_data_acceptance`: what a schema allows may still be refused, because a schema cannot say
  that `run_at` and `delay` exclude each other, or that a cursor is one that was given out. Refusals
  must be documented like any other answer.
- `not_a_server_error`, for 503: "not now" is an answer like any other, and must be documented.
- `unsupported_method` and `allow_header_conformance`, where a path has the shape of `/jobs/{id}`:
  `/jobs/email` is a job's path to whoever asks with GET, so `Allow` names GET there.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventstore.event import STREAM
from service.backoff import DEFAULT
from service.ids import keyed_job_id
from service.processors import Registry
from service.processors.email import email_processor
from service.processors.email.simulated import SimulatedTransport
from service.web.operation import NDJSON
from tests.support.inprocess import URL, serving, session
from tests.support.service import EMAIL

MAIL = SimulatedTransport(seed=1, failure_rate=0.3, latency_s=0.05)
REGISTRY = Registry(email_processor(MAIL, backoff=DEFAULT))
with serving(REGISTRY) as (_service, _loop):
    _document = session(_service.app, _loop).get(f"{URL}/openapi.json").json()
SCHEMA = schemathesis.openapi.from_dict(_document)
MADE_UP = hypothesis.settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    stateful_step_count=6,
    suppress_health_check=[
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
    ],
)
KEYS = {"ended": "", "tomorrow": "?delay=86400"}
JOBS = [keyed_job_id("-", "email", key) for key in KEYS]
OF_TRANSPORT = {"content-type", "content-length", "cache-control", "vary", "connection"}
OF_BROWSERS = {"referrer-policy", "x-content-type-options"}


class UndocumentedHeader(Failure):
    """An answer has a header that its description does not have."""


def no_undocumented_headers(_: Any, response: schemathesis.Response, case: Any) -> None:
    """Every header of an answer is described, but for those that any answer of HTTP may have."""
    described = case.operation.responses.find_by_status_code(response.status_code)
    if described is None:  # another check's matter
        return
    known = {name.lower() for name, _ in described.headers.items()} | OF_TRANSPORT | OF_BROWSERS
    for name in response.headers:
        if name not in known:
            raise UndocumentedHeader(
                operation=case.operation.label, title="Undocumented header", message=name
            )


def require_documented(case: Any, response: Any, client: requests.Session) -> None:
    """Raise FailureGroup for an answer that the document does not have."""
    left_out = [checks.positive_data_acceptance]
    if re.fullmatch("/jobs/[^/]+", case.path):
        left_out += [checks.unsupported_method, checks.allow_header_conformance]
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        left_out.append(not_a_server_error)
    case.validate_response(
        response,
        additional_checks=[no_undocumented_headers],
        excluded_checks=left_out,
        transport_kwargs={"session": client, "base_url": URL},
    )


@schemathesis.serializer(NDJSON)
def as_it_is(context: Any, value: Any) -> bytes:
    """Lines are any text to the document, and sent as they are made up."""
    return str(value).encode()


@SCHEMA.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Made-up ids are never those of jobs: every other one that could be an id becomes so."""
    made_up = str((path_parameters or {}).get("id", ""))
    if STREAM.fullmatch(made_up) and len(made_up) % 2:
        return {**path_parameters, "id": JOBS[len(made_up) % len(JOBS)]}
    return path_parameters


@SCHEMA.hook
def map_body(context: Any, body: Any) -> Any:
    """Made-up addresses are hardly ever such: every other message is one that can be sent."""
    if isinstance(body, dict) and "subject" in body and len(body["subject"]) % 2:
        return dict(EMAIL)
    return body


@contextmanager
def populated() -> Iterator[tuple[ASGIApp, asyncio.AbstractEventLoop]]:
    """A service with JOBS: one that has ended, and one for tomorrow."""
    with serving(REGISTRY) as (service, loop):
        client = session(service.app, loop)
        for key, query in KEYS.items():
            client.post(
                f"{URL}/jobs/email{query}",
                json=EMAIL,
                headers={"Idempotency-Key": key, "Prefer": "wait=30"},
            )
        yield service.app, loop


@pytest.fixture
def running() -> Iterator[tuple[ASGIApp, asyncio.AbstractEventLoop]]:
    with populated() as found:
        yield found


@SCHEMA.parametrize()
@MADE_UP
def test_every_answer_to_whatever_is_sent_is_documented(case, running):
    client = session(*running)
    require_documented(case, case.call(base_url=URL, session=client), client)


def test_calls_that_follow_from_one_another_are_answered_as_documented():
    seen: Counter[tuple[str, int]] = Counter()

    of_one_job = SCHEMA.include(path_regex=r"^/jobs/(email|\{id\}.*)$")

    class Chains(of_one_job.as_state_machine()):
        def setup(self):
            super().setup()
            self.service = populated()
            self.client = session(*self.service.__enter__())

        def teardown(self):
            self.service.__exit__(None, None, None)
            super().teardown()

        def get_call_kwargs(self, case):
            return {"session": self.client, "base_url": URL}

        def validate_response(self, response, case, additional_checks=None, **kwargs):
            seen[case.operation.definition.raw["operationId"], response.status_code] += 1
            require_documented(case, response, self.client)

    run_state_machine_as_test(Chains, settings=hypothesis.settings(MADE_UP, max_examples=25))
    assert {("createJob_email", 202), ("getJob", 200), ("cancelJob", 200)} <= set(seen), seen


class Planted:
    """The service with a fault in its answers: `change` makes another of what is sent."""

    def __init__(self, app: ASGIApp, change: Callable[[Message], None]) -> None:
        self._app = app
        self._change = change

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            self._change(message)
            await send(message)

        await self._app(scope, receive, changed)


def status(code: int) -> Callable[[Message], None]:
    def change(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["status"] = code

    return change


def body(text: bytes) -> Callable[[Message], None]:
    def change(message: Message) -> None:
        if message["type"] == "http.response.body":
            message["body"] = text

    return change


def header(name: bytes, value: bytes | None) -> Callable[[Message], None]:
    def change(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message["headers"] if pair[0] != name]
            message["headers"] = kept if value is None else [*kept, (name, value)]

    return change


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        (status(418), "UndefinedStatusCode"),
        (status(500), "ServerError"),
        (body(b'{"status": "undead"}'), "JsonSchemaError"),
        (body(b'{"status": '), "MalformedJson"),
        (header(b"content-type", b"text/plain"), "UndefinedContentType"),
        (header(b"x-request-id", None), "MissingHeaders"),
        (header(b"x-request-id", b"?"), "JsonSchemaError"),
        (header(b"x-secret", b"1"), "UndocumentedHeader"),
    ],
)
def test_a_planted_fault_is_found(running, change, failure):
    app, loop = running
    case = SCHEMA["/livez"]["GET"].Case()
    assert failures(case, session(app, loop)) == []
    found = failures(case, session(Planted(app, change), loop))
    assert failure in {type(each).__name__ for each in found}


def test_a_server_that_takes_anything_is_found_out():
    """What violates the schema must be refused: shown on the list of jobs, which is never wrong."""

    async def credulous(scope: Scope, receive: Receive, send: Send) -> None:
        ids = [(b"x-request-id", b"1"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": ids})
        await send({"type": "http.response.body", "body": b'{"jobs": []}'})

    loop = asyncio.new_event_loop()
    client = session(credulous, loop)
    found = []

    @MADE_UP
    @hypothesis.given(SCHEMA["/jobs"]["GET"].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def ask(case):
        found.extend(failures(case, client))

    ask()
    loop.close()
    assert {type(each).__name__ for each in found} == {"AcceptedNegativeData"}


def failures(case: Any, client: requests.Session) -> list[Exception]:
    """What is wrong with the answer to a case."""
    try:
        require_documented(case, case.call(base_url=URL, session=client), client)
    except FailureGroup as group:
        return list(group.exceptions)
    return []
