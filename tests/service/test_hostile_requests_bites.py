"""The level `hostile requests` finds what it is there for: each bug is planted, in the product.

The server here is real, so these run on the real clock, within a second or two.
"""

import json
import re
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from service.http import Limited, Turn
from service.web import body, gate, headers, jobs, problems, query, strictjson
from service.web.jobs import JobsResource
from service.web.problems import Invalid
from tests.service import hostile_bytes
from tests.service.hostile_bytes import try_bytes
from tests.service.web.hostile_requests import try_requests

Plant = Callable[[pytest.MonkeyPatch], None]


def python_s_own_json_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(raw: bytes) -> Any:
        try:
            return json.loads(raw)
        except ValueError as error:
            raise strictjson.NotStrictJsonError(str(error), 0) from error

    monkeypatch.setattr(strictjson, "parse", parse)


def deep_nesting_is_not_thought_of(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = strictjson._explained

    def explained(said: str, raw: bytes) -> strictjson.NotStrictJsonError:
        if "recursion" in said:
            raise RecursionError(said)
        return honest(said, raw)

    monkeypatch.setattr(strictjson, "_explained", explained)


def a_header_is_taken_for_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    def given(scope: Any, name: bytes) -> list[str]:
        return [value.decode() for other, value in scope["headers"] if other == name]

    for module in (headers, gate, body):
        monkeypatch.setattr(module, "given", given)


def a_date_that_there_is_not_is_not_thought_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "time", lambda name, text: query.parse(text))
    monkeypatch.setattr(jobs, "time", lambda name, text: query.parse(text))


def errors_are_plain_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "MEDIA_TYPE", "application/json")


def the_traceback_is_told_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = gate.answer

    def answer(problem: problems.ProblemError, scope: Any) -> Any:
        problem.detail = f"Traceback (most recent call last): {problem.detail}"
        return honest(problem, scope)

    monkeypatch.setattr(gate, "answer", answer)


def a_job_is_made_before_all_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = JobsResource.create

    async def create(self: JobsResource, request: Any) -> Any:
        answer = await honest(self, request)
        if headers.given(request.scope, b"if-match"):
            raise problems.invalid(Invalid("", "there is nothing to match"))
        return answer

    monkeypatch.setattr(JobsResource, "create", create)


def of_two_lengths_the_chunked_one_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a server that never sees the Content-Length."""
    honest = Limited.data_received

    def data_received(self: Limited, data: bytes) -> None:
        if b"\nTransfer-Encoding: chunked\r\n" in data:
            data = re.sub(rb"(?i)\r\ncontent-length: [0-9]+", b"", data, count=1)
        honest(self, data)

    monkeypatch.setattr(Limited, "data_received", data_received)


def what_is_no_http_is_answered_by_uvicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Limited, kind: problems.Kind) -> None:
        self.send_400_response("Invalid HTTP request received.")

    monkeypatch.setattr(Limited, "_refuse", refuse)


def a_header_has_all_the_time_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Limited._turn

    def turn(self: Limited) -> Turn:
        found = honest(self)
        return Turn.OURS if found is Turn.HEADER else found

    monkeypatch.setattr(Limited, "_turn", turn)


def what_comes_behind_a_request_is_refused_before_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: Limited, kind: problems.Kind) -> None:
        self.transport.write(self._refusal(kind))
        self.transport.close()

    monkeypatch.setattr(Limited, "_refuse", refuse)


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (python_s_own_json_is_good_enough, "unforeseen|500|out"),
        (deep_nesting_is_not_thought_of, "500: "),
        (a_header_is_taken_for_utf_8, "500: "),
        (a_date_that_there_is_not_is_not_thought_of, "500: "),
        (errors_are_plain_json, "is no problem document"),
        (the_traceback_is_told_to_the_client, "a traceback is told"),
        (a_job_is_made_before_all_was_looked_at, "refused with 422, and a job is there"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_a_planted_bug_is_found_in_process(
    plant: Plant, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=says):
        try_requests(1, 2_000)


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (of_two_lengths_the_chunked_one_holds, "a hidden request was heard"),
        (what_is_no_http_is_answered_by_uvicorn, "400 is no problem document"),
        (a_header_has_all_the_time_it_wants, "the connection does not end"),
        (what_comes_behind_a_request_is_refused_before_its_answer, "there and not acknowledged"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_a_planted_bug_is_found_on_sockets(
    plant: Plant, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with patch.object(hostile_bytes, "SOON_S", 2.0), pytest.raises(AssertionError, match=says):
        try_bytes(1, 200)
