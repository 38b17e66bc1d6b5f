"""The document against the standard, against the routes, and against its own schemas.

What it says of answers is held against answers by `test_schemathesis`. Here: nothing is served that
is not described, nothing described that is not served, and nobody is left without an example.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import jsonschema
import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType
from openapi_spec_validator import validate
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from service.backoff import DEFAULT
from service.processors import Attempt, Processor, Registry, processor, remote_kind
from service.processors.webhook import Courier, webhook_processor
from service.settings import WebhookSettings
from service.web.openapi import EVERY_CALL, WITH_TOKENS, build_document
from service.web.operation import JSON, NDJSON, SSE, Operation, Reply, Scope
from service.web.outline import Outline
from service.web.problems import KINDS
from tests.support.service import running_service


class Report(msgspec.Struct, forbid_unknown_fields=True):
    month: Annotated[int, Meta(ge=1, le=12)]


@processor("report", max_attempts=5, timeout=90, example=Report(7))
async def report(payload: Report, attempt: Attempt) -> None:
    """Write a report.

    Of one month.
    """


KINDS_BESIDE = (report, remote_kind("far-away"))


async def document(*processors: Any) -> dict[str, Any]:
    async with running_service(*processors) as service:
        answer = await service.http.get("/openapi.json")
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found


def calls(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in found["paths"].items():
        for method, said in item.items():
            yield path, method.upper(), said


def resolved(found: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    _, _, section, name = part["$ref"].split("/")
    return resolved(found, found["components"][section][name])


def contents(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every place where a body is described, and what it is called."""
    for path, method, said in calls(found):
        place = f"{method} {path} ({said['operationId']})"
        for media, part in said.get("requestBody", {}).get("content", {}).items():
            yield f"{place}: the body of the request, in {media}", part
        for status, reference in said["responses"].items():
            for media, part in resolved(found, reference).get("content", {}).items():
                yield f"{place}: the answer {status}, in {media}", part


def examples(part: dict[str, Any]) -> list[Any]:
    named = part.get("examples", {}).values()
    return [part["example"]] if "example" in part else list(named)


def without_example(found: dict[str, Any]) -> list[str]:
    """What lacks an example. Give one where the call is declared: `Body(example=)`,
    `Reply(example=)`, and for a kind `Processor(example=)`.
    """
    return [place for place, part in contents(found) if not examples(part)]


def wrong_examples(found: dict[str, Any]) -> list[str]:
    """Examples that are not as their own schemas say."""
    wrong = []
    for place, part in contents(found):
        schema = {**part["schema"], "components": found["components"]}
        for example in examples(part):
            value = resolved(found, example)["value"] if "examples" in part else example
            wrong += [f"{place}: {error}" for error in faults(value, schema)]
    for place, part in described_values(found):
        schema = {**part["schema"], "components": found["components"]}
        wrong += [f"{place}: {error}" for error in faults(part["example"], schema)]
    return wrong


def faults(value: Any, schema: dict[str, Any]) -> list[str]:
    formats = jsonschema.FormatChecker()
    validator = jsonschema.Draft202012Validator(schema, format_checker=formats)
    return [error.message for error in validator.iter_errors(value)]


def described_values(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every parameter and header that has an example."""
    for path, method, said in calls(found):
        for part in said["parameters"]:
            if "example" in resolved(found, part):
                yield f"{method} {path}: {part}", resolved(found, part)
    yield from found["components"]["headers"].items()


async def test_it_is_valid_openapi():
    found = await document(*KINDS_BESIDE)
    assert found["openapi"].startswith("3.1")
    validate(found)


async def test_everything_served_is_described_and_everything_described_is_served():
    async with running_service(*KINDS_BESIDE) as service:
        found = (await service.http.get("/openapi.json")).json()
        routes = [route for route in service.app.routes if isinstance(route, Route)]
        described = {id(served_by(routes, path, method)) for path, method, _ in calls(found)}
        assert [route.path for route in routes if id(route) not in described] == []


def served_by(routes: list[Route], path: str, method: str) -> Route:
    """The route that answers a described call, by a path as described or with a kind in it."""
    scope = {"type": "http", "method": method, "path": re.sub("[{}]", "", path), "headers": []}
    found = [route for route in routes if route.matches(scope)[0] is Match.FULL]
    assert len(found) == 1, f"{method} {path} is answered by {found}"
    assert re.fullmatch(re.escape(found[0].path).replace(r"\{kind\}", "[^/]+"), path), path
    return found[0]


async def test_operations_have_names_of_their_own_and_say_what_they_do():
    found = await document(*KINDS_BESIDE)
    names = [said["operationId"] for _, _, said in calls(found)]
    assert sorted(names) == sorted(set(names))
    for _, _, said in calls(found):
        assert said["summary"].endswith("."), said["operationId"]
        assert said["description"], said["operationId"]
        assert all(resolved(found, part)["description"] for part in said["parameters"]), said


async def test_every_call_has_an_example_of_its_request_and_of_each_answer():
    assert without_example(await document(report)) == []


async def test_every_example_is_as_its_schema_says():
    assert wrong_examples(await document(report)) == []


async def test_a_call_without_an_example_is_named():
    found = await document()
    del found["paths"]["/jobs/email"]["post"]["requestBody"]["content"][JSON]["example"]
    del found["paths"]["/livez"]["get"]["responses"]["200"]["content"][JSON]["example"]
    assert without_example(found) == [
        "POST /jobs/email (createJob_email): the body of the request, in application/json",
        "GET /livez (isAlive): the answer 200, in application/json",
    ]


async def test_an_example_that_is_wrong_is_named():
    found = await document()
    alive = found["paths"]["/livez"]["get"]["responses"]["200"]["content"][JSON]
    alive["example"] = {"status": "undead"}
    found["components"]["examples"]["not-found"]["value"]["status"] = 405
    found["components"]["headers"]["ETag"]["example"] = "3"
    said = "\n".join(wrong_examples(found))
    assert "GET /livez (isAlive): the answer 200, in application/json: 'undead' is not" in said
    assert "the answer 404, in application/problem+json: 404 was expected" in said
    assert "ETag: '3' does not match" in said


async def test_each_kind_has_a_path_of_its_own_with_its_payload_its_example_and_its_defaults():
    found = await document(*KINDS_BESIDE)
    said = found["paths"]["/jobs/report"]["post"]
    body = said["requestBody"]["content"][JSON]
    assert body["schema"] == {"$ref": "#/components/schemas/Report"}
    month = found["components"]["schemas"]["Report"]["properties"]["month"]
    assert month == {"type": "integer", "minimum": 1, "maximum": 12}
    assert body["example"] == {"month": 7}
    shown = said["responses"]["202"]["content"][JSON]["example"]
    assert (shown["kind"], shown["payload"]) == ("report", {"month": 7})
    assert said["summary"] == "Post a job of kind `report`."
    assert said["description"].startswith("Write a report.\n\nOf one month.\n\n")
    assert "gets 5 attempts, of at most 90 s each" in said["description"]


async def test_a_kind_for_remote_workers_takes_any_json():
    found = await document(*KINDS_BESIDE)
    body = found["paths"]["/jobs/far-away"]["post"]["requestBody"]["content"][JSON]
    assert body == {"schema": {}, "example": {}}


async def test_a_finished_job_of_a_kind_shows_no_other_kinds_result_and_no_other_kinds_errors():
    webhook = webhook_processor(Courier(WebhookSettings()), backoff=DEFAULT)
    found = await document(webhook, *KINDS_BESIDE)
    for kind, made in (("webhook", webhook), ("report", report)):
        replies = found["paths"][f"/jobs/{kind}"]["post"]["responses"]
        shown = replies["200"]["content"][JSON]["example"]
        assert (shown["kind"], shown["status"]) == (kind, "completed")
        assert shown["payload"] == msgspec.to_builtins(made.example)
        assert (shown["result"], shown["last_error"]) == (None, None)
        assert [each["error"] for each in shown["attempt_log"]] == [None]
    mail = found["paths"]["/jobs/email"]["post"]["responses"]["200"]["content"][JSON]["example"]
    assert mail["result"]["transport"] == "smtp"


async def test_every_group_of_calls_has_a_name():
    found = await document()
    tags = [tag["name"] for tag in found["tags"]]
    assert all(tags)
    assert len(tags) == len(set(tags))
    assert found["paths"]["/"]["get"]["tags"] == found["paths"]["/docs"]["get"]["tags"]


@pytest.mark.parametrize("name", ["Email", "Webhook", "ClaimRequest", "Completion", "Failing"])
async def test_every_member_of_a_body_says_what_it_means(name):
    webhook = webhook_processor(Courier(WebhookSettings()), backoff=DEFAULT)
    found = await document(webhook)
    outline = Outline(found["components"]["schemas"])
    rows = list(outline.rows(found["components"]["schemas"][name]))
    assert rows
    assert [row.name for row in rows if not row.about] == []


async def test_no_two_paths_are_the_same_to_openapi():
    found = await document(*KINDS_BESIDE)
    shapes = [re.sub("{[^}]*}", "{}", path) for path in found["paths"]]
    assert sorted(shapes) == sorted(set(shapes))


async def test_the_fields_of_a_query_are_parameters_with_types_bounds_and_defaults():
    found = await document()
    listed = found["paths"]["/jobs"]["get"]["parameters"]
    parameters = {each["name"]: each for each in listed if "name" in each}
    limit = parameters["limit"]
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    assert not limit["required"]
    assert "default" not in parameters["status"]["schema"]
    assert all(each["description"] for each in parameters.values())


async def test_every_call_may_end_in_the_problems_of_every_call():
    found = await document()
    for _, _, said in calls(found):
        types = set(_problem_types(found, said))
        common = (*EVERY_CALL, *(WITH_TOKENS if said["security"] else ()))
        assert {f"/problems/{kind.name}" for kind in common} <= types, said["operationId"]


def _problem_types(found: dict[str, Any], said: dict[str, Any]) -> Iterator[str]:
    for status, reference in said["responses"].items():
        content = resolved(found, reference).get("content", {})
        if "application/problem+json" in content:
            schema = content["application/problem+json"]["schema"]
            assert schema["properties"]["status"] == {"const": int(status)}
            yield from schema["properties"]["type"]["enum"]


async def test_what_needs_a_scope_says_so_and_what_needs_none_does_not():
    found = await document()
    assert found["paths"]["/jobs"]["get"]["security"] == [{"bearer": ["jobs:read"]}, {}]
    assert found["paths"]["/livez"]["get"]["security"] == []
    assert "jobs:read" in found["paths"]["/jobs"]["get"]["description"]
    assert found["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_a_job_links_to_the_calls_that_take_its_id():
    found = await document()
    links = found["paths"]["/jobs/email"]["post"]["responses"]["202"]["links"]
    assert set(links) == {"getJob", "getJobEvents", "cancelJob", "retryJob"}
    assert resolved(found, links["getJob"])["parameters"] == {"id": "$response.body#/id"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_problem_says_what_it_means(kind):
    assert kind.about.endswith("."), f"{kind.name} needs an `about` in service/web/problems.py"


async def test_every_problem_that_a_call_names_is_known():
    found = await document(*KINDS_BESIDE)
    named = {each for _, _, said in calls(found) for each in _problem_types(found, said)}
    assert named <= {f"/problems/{name}" for name in KINDS}


async def test_it_is_304_for_who_has_it():
    async with running_service() as service:
        first = await service.http.get("/openapi.json")
        assert first.headers["cache-control"] == "no-cache"
        for known in (first.headers["etag"], "*", f'"other", {first.headers["etag"]}'):
            again = await service.http.get("/openapi.json", headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
        other = await service.http.get("/openapi.json", headers={"If-None-Match": '"other"'})
        assert other.status_code == 200
        wrong = await service.http.get("/openapi.json", headers={"If-None-Match": "garbled"})
        assert wrong.status_code == 400


async def _nothing(_: Request) -> Response:
    return Response()


def planted(**members: Any) -> Operation:
    said = {
        "name": "planted", "method": "GET", "path": "/planted", "endpoint": _nothing,
        "summary": "Planted.", "scope": Scope.READ, "replies": (Reply(status=204, about="Done."),),
    }  # fmt: skip
    return Operation(**{**said, **members})


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"path": "/planted/{colour}"}, "colour"),
        ({"headers": ("X-Colour",)}, "X-Colour"),
        ({"replies": (Reply(status=204, about="Done.", headers=("X-Colour",)),)}, "X-Colour"),
    ],
)
def test_what_nobody_described_fails_with_its_name_and_the_place_to_do_so(members, name):
    with pytest.raises(LookupError, match=f"'{name}' is not described in service/web/fields.py"):
        build_document([planted(**members)], Registry())


async def test_kinds_whose_types_have_the_same_name_are_told_apart():
    def kind(name: str, type_: Any) -> Processor:
        named = msgspec.defstruct("Order", [(name, type_)], module=f"shop.{name}")
        return Processor(kind=name, payload=named, handler=None)

    found = await document(kind("size", int), kind("colour", str))
    validate(found)
    for name in ("size", "colour"):
        body = found["paths"][f"/jobs/{name}"]["post"]["requestBody"]["content"][JSON]
        assert list(resolved(found, body["schema"])["properties"]) == [name]


def test_an_enum_in_a_query_is_a_component():
    class Query(msgspec.Struct):
        scope: Scope | UnsetType = UNSET

    found = build_document([planted(query=Query)], Registry())
    [parameter, _] = found["paths"]["/planted"]["get"]["parameters"]
    assert parameter["schema"] == {"$ref": "#/components/schemas/Scope"}
    assert "Scope" in found["components"]["schemas"]


def test_a_type_that_msgspec_does_not_know_may_be_anything():
    class Odd:
        pass

    reply = Reply(status=200, about="It.", type=Odd)
    found = build_document([planted(replies=(reply,))], Registry())
    content = found["paths"]["/planted"]["get"]["responses"]["200"]["content"]
    assert content == {"application/json": {"schema": {"title": "Odd"}}}


def test_examples_in_ndjson_are_lines_and_other_media_have_their_own():
    reply = Reply(
        status=200,
        about="It.",
        type=dict[str, list[int]],
        media=(JSON, NDJSON, SSE, "application/x+json"),
        example={"numbers": [1, 2]},
        examples={SSE: "data: 1\n\n", "application/x+json": [1]},
        types={"application/x+json": list[int]},
    )
    found = build_document([planted(replies=(reply,))], Registry())
    content = found["paths"]["/planted"]["get"]["responses"]["200"]["content"]
    assert content["application/json"]["example"] == {"numbers": [1, 2]}
    assert content["application/x-ndjson"] == {"schema": {"type": "string"}, "example": "1\n2\n"}
    assert content["text/event-stream"]["example"] == "data: 1\n\n"
    assert content["application/x+json"] == {
        "schema": {"type": "array", "items": {"type": "integer"}}, "example": [1],
    }  # fmt: skip
