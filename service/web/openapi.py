"""The OpenAPI 3.1 document: what the `Operation`s say, in the words that other programs read.

Paths, parameters and answers come from the operations, schemas from the types that validate, kinds
from the registry, headers from `fields`, problems from `problems`. What every call may answer
besides its own is added here and nowhere else.

A call that takes the payload of the kind in its path, `POST /jobs/{kind}`, is described once for
each kind, at `/jobs/email`, with that kind's own schema and example. There is no general form
beside them: OpenAPI takes `/jobs/{kind}` and `/jobs/{id}` for the same path, and a generated client
gets a function for each kind whose argument has a type, where a general one would take anything.

Nothing is served here; `contract` does.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from service.processors import Registry
from service.version import VERSION
from service.web import fields, problems
from service.web.curl import curl
from service.web.document import JobDocument
from service.web.operation import JSON, NDJSON, Body, Operation, Reply
from service.web.per_kind import per_kind
from service.web.problems import MEDIA_TYPE, Kind, Problem, type_of
from service.web.schemas import Schemas

EVERY_CALL: Final = (
    problems.MALFORMED,
    problems.URI_TOO_LONG,
    problems.WRONG_HOST,
    problems.CROSS_SITE,
    problems.HEADER_TOO_LARGE,
    problems.INTERNAL,
    problems.STOPPING,
)
WITH_TOKENS: Final = (problems.UNAUTHENTICATED, problems.INSUFFICIENT_SCOPE)

_ABOUT = """\
Background jobs whose every state change is on the record.

Bodies are JSON in UTF-8; times are RFC 3339, in UTC. A success that creates or changes something
means that it is on disk. Every error of a well-formed request is `application/problem+json`
(RFC 9457): programs decide by its `type`, and its path explains it. A path that does not exist
answers 404, another method 405 with `Allow`; `HEAD` is answered wherever `GET` is. Every answer
carries `X-Request-Id`."""

_HEALTH: Final = ("Health", "What a supervisor asks.")
_CONTRACT: Final = ("This contract", "The API described, for programs and for people.")
_TAGS: Final = {  # the first step of a path -> what its calls are about
    "": _CONTRACT,
    "jobs": ("Jobs", "Post work, look at it, wait for it, change its course."),
    "actions": ("Many jobs at once", "Cancel or retry whatever fits a filter."),
    "events": ("Log", "What happened, in order, to read or to follow."),
    "stats": ("Numbers", "How many there are, and how they fare."),
    "kinds": ("Kinds", "Pause a kind of job, limit it, let it go on."),
    "claims": ("Remote workers", "Take jobs and report on them, in any language."),
    "livez": _HEALTH,
    "readyz": _HEALTH,
    "openapi.json": _CONTRACT,
    "docs": _CONTRACT,
    "problems": _CONTRACT,
}


_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": (
        "A token, where the server was given any; without tokens nobody needs one. A token has"
        " scopes: `jobs:read` to look, `jobs:write` to post and change jobs, `work` to be a worker,"
        " `admin` for everything; each call says which it needs."
    ),
}


def build_document(operations: Sequence[Operation], registry: Registry) -> dict[str, Any]:
    """The document of these calls."""
    calls = [call for each in operations for call in per_kind(each, registry)]
    return _Writer(calls).document()


class _Writer:
    """Writes one document. What several calls share becomes a component, by `_shared`."""

    def __init__(self, calls: Sequence[Operation]) -> None:
        self._calls = calls
        self._on_a_job = [call for call in calls if call.path.startswith("/jobs/{id}")]
        self._schemas = Schemas()
        self._components: dict[str, dict[str, Any]] = {"securitySchemes": {"bearer": _BEARER}}

    def document(self) -> dict[str, Any]:
        """The whole of it."""
        paths: dict[str, Any] = {}
        for call in self._calls:
            paths.setdefault(call.path, {})[call.method.lower()] = self._call(call)
        self._components["schemas"] = self._schemas.finish()
        return {
            "openapi": "3.1.1",
            "info": {
                "title": "joblog",
                "version": VERSION,
                "summary": "Background jobs whose every state change is on the record.",
                "description": _ABOUT,
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/", "description": "The server that this document is from."}],
            "tags": _tags(self._calls),
            "paths": paths,
            "components": self._components,
        }

    def _call(self, call: Operation) -> dict[str, Any]:
        written: dict[str, Any] = {
            "operationId": call.name,
            "tags": [_tag(call)[0]],
            "summary": call.summary,
            "description": _described(call),
            "parameters": self._parameters(call),
            "responses": {
                **{str(reply.status): self._answer(reply) for reply in call.replies},
                **self._problems(_endings(call)),
            },
            "x-codeSamples": [{"lang": "Shell", "label": "curl", "source": curl(call)}],
            "security": [] if call.scope is None else [{"bearer": [str(call.scope)]}, {}],
        }
        if call.body is not None:
            written["requestBody"] = {
                "required": call.body.required,
                "content": self._content(call.body),
            }
        return written

    def _parameters(self, call: Operation) -> list[dict[str, Any]]:
        steps = [step[1:-1] for step in call.path.split("/") if step.startswith("{")]
        query = self._schemas.query(call.query)
        for parameter in query:
            if parameter["name"] in call.sample:
                parameter["example"] = call.sample[parameter["name"]]
        return [
            *(self._parameter("path", name) for name in steps),
            *query,
            *(self._parameter("header", name) for name in (*call.headers, "X-Request-Id")),
        ]

    def _parameter(self, place: str, name: str) -> dict[str, Any]:
        found = fields.field(fields.PATH if place == "path" else fields.REQUEST, name)
        written = {
            "name": name,
            "in": place,
            "description": found.about,
            "required": place == "path",
            "schema": found.schema,
            "example": found.example,
        }
        return self._shared("parameters", name, written)

    def _answer(self, reply: Reply) -> dict[str, Any]:
        written: dict[str, Any] = {
            "description": reply.about,
            "headers": self._headers(reply.headers),
        }
        if reply.type is not None:
            written["content"] = self._content(reply)
        if reply.type is JobDocument:
            written["links"] = {call.name: self._link(call) for call in self._on_a_job}
        return written

    def _link(self, call: Operation) -> dict[str, Any]:
        """From an answer that is a job to a call that takes its id."""
        written = {
            "operationId": call.name,
            "description": call.summary,
            "parameters": {"id": "$response.body#/id"},
        }
        return self._shared("links", call.name, written)

    def _headers(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: self._header(name) for name in (*names, "X-Request-Id")}

    def _header(self, name: str) -> dict[str, Any]:
        found = fields.field(fields.ANSWER, name)
        written = {
            "description": found.about,
            "required": found.always,
            "schema": found.schema,
            "example": found.example,
        }
        return self._shared("headers", name, written)

    def _content(self, what: Body | Reply) -> dict[str, Any]:
        """Each media type. One that is JSON as a whole has the type's schema, another is a text."""
        content: dict[str, Any] = {}
        for media in what.media:
            typed = media == JSON or media in what.types
            type_ = what.types.get(media, what.type) if typed else str
            content[media] = {"schema": self._schemas.of(type_)}
            example = what.examples.get(media, _in_media(what.example, media))
            if example is not None:
                content[media]["example"] = example
        return content

    def _problems(self, kinds: Iterable[Kind]) -> dict[str, Any]:
        """What a call may end in, grouped by status."""
        by_status: dict[int, list[Kind]] = {}
        for kind in dict.fromkeys(kinds):
            by_status.setdefault(kind.status, []).append(kind)
        return {str(status): self._group(status, by_status[status]) for status in sorted(by_status)}

    def _group(self, status: int, kinds: list[Kind]) -> dict[str, Any]:
        names = sorted(kind.name for kind in kinds)
        schema = {
            "allOf": [self._schemas.of(Problem)],
            "properties": {
                "type": {"enum": [type_of(kind) for kind in kinds]},
                "status": {"const": status},
            },
        }
        examples = {kind.name: self._problem_example(kind) for kind in kinds}
        headers = [name for kind in kinds for name in kind.headers]
        written = {
            "description": "\n".join(f"- `{type_of(kind)}`: {kind.title}." for kind in kinds),
            "headers": self._headers(dict.fromkeys(headers)),
            "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
        }
        return self._shared("responses", f"{status}.{'.'.join(names)}", written)

    def _problem_example(self, kind: Kind) -> dict[str, Any]:
        value = {
            "type": type_of(kind),
            "title": kind.title,
            "status": kind.status,
            "detail": kind.about.partition(". ")[0],
            "instance": f"/jobs/{fields.JOB_ID}",
        }
        if kind is problems.INVALID:
            value["errors"] = [{"pointer": "#/to", "detail": "Expected `str`, got `int`"}]
        return self._shared("examples", kind.name, {"summary": kind.title, "value": value})

    def _shared(self, section: str, name: str, written: dict[str, Any]) -> dict[str, Any]:
        """Make it a component, once. Returns the reference to it."""
        self._components.setdefault(section, {}).setdefault(name, written)
        return {"$ref": f"#/components/{section}/{name}"}


def _endings(call: Operation) -> tuple[Kind, ...]:
    """The problems of a call: its own, and those of every call."""
    return (*call.problems, *EVERY_CALL, *(WITH_TOKENS if call.scope else ()))


def _tag(call: Operation) -> tuple[str, str]:
    """What a call belongs to, and what that is about."""
    step = call.path.split("/")[1]
    return _TAGS.get(step, (step, ""))


def _tags(calls: Sequence[Operation]) -> list[dict[str, Any]]:
    tags = dict.fromkeys(_tag(call) for call in calls)
    return [{"name": name, "description": about} for name, about in tags]


def _described(call: Operation) -> str:
    """What is to be known of a call, and what a token must be good for."""
    needs = f"Needs scope `{call.scope}` where tokens are in use."
    return "\n\n".join(filter(None, [call.about, needs if call.scope else ""]))


def _in_media(example: Any, media: str) -> Any:
    """An example as a media type writes it: in ndjson, the items of its list as lines."""
    value = msgspec.to_builtins(example)
    if media != NDJSON or value is None:
        return value
    lists = value.values() if isinstance(value, dict) else [value]
    items = next(each for each in lists if isinstance(each, list))
    return "".join(msgspec.json.encode(item).decode() + "\n" for item in items)
