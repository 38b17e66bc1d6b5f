"""The example commands: each sends what its call requires, and nothing that is only made up.

That they work as they stand is tried in `test_docs`.
"""

import re

import pytest

from service.processors import Processor, remote_kind
from service.web.curl import curl
from service.web.fields import JOB_ID
from service.web.operation import Body, Operation
from tests.support.service import running_service

KINDS_BESIDE = (
    Processor(kind="untold", payload=dict[str, int], handler=None),  # without an example
    remote_kind("far-away"),
)


async def described() -> list[tuple[str, dict[str, object], str]]:
    """Each call: its path, its OpenAPI operation, its command."""
    async with running_service(*KINDS_BESIDE) as service:
        document = (await service.http.get("/openapi.json")).json()
    return [
        (path, said, said["x-codeSamples"][0]["source"])
        for path, item in document["paths"].items()
        for said in item.values()
    ]


def sends_a_body(command: str) -> bool:
    return re.search(r"-H 'Content-Type: [^']+' .*-d '[^']+'", command, re.DOTALL) is not None


async def test_a_command_sends_the_body_that_its_call_requires():
    requiring = [
        command
        for _, said, command in await described()
        if isinstance(body := said.get("requestBody"), dict) and body["required"]
    ]
    assert len(requiring) >= 10
    assert [command for command in requiring if not sends_a_body(command)] == []


def test_a_command_without_a_body_is_noticed():
    assert not sends_a_body("curl -s -X POST \"$JOBLOG/jobs/far-away\" -H 'Idempotency-Key: a'")
    assert not sends_a_body("curl -s \"$JOBLOG/jobs/far-away\" -d '{}'")


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (Body(type=dict, example={"a": 1}), "-d '{\"a\": 1}'"),
        (Body(type=dict), "-d '{}'"),
        (Body(type=list[dict]), "-d '[{}]'"),
        (Body(type=dict, example={}, required=False), "-d '{}'"),
        (Body(type=dict, required=False), 'curl -s -X POST "$JOBLOG/planted"'),
        (None, 'curl -s -X POST "$JOBLOG/planted"'),
    ],
)
def test_a_body_is_the_example_or_else_an_empty_one_where_there_must_be_one(body, end):
    assert curl(planted(body)).endswith(end)


def planted(body: Body | None) -> Operation:
    async def nothing(_):
        raise AssertionError

    return Operation(
        name="planted",
        method="POST",
        path="/planted",
        endpoint=nothing,
        summary="Planted.",
        scope=None,
        replies=(),
        body=body,
    )


async def test_a_command_has_nothing_that_only_the_examples_know():
    for path, _, command in await described():
        assert JOB_ID not in command
        assert "If-Match" not in command
        assert ("$ID" in command) == ("{id}" in path)
