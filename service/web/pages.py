"""Pages for people, rendered on the server: the whole API at `/docs`, a problem at its `type`.

No script, no font, no picture, nothing from elsewhere, and the policy that comes with a page says
so: of all a browser might load, it allows the one style sheet inside, by its hash. What is shown is
read out of the OpenAPI document; the prose is in the templates beside this module.

Which paths they are served at is `contract`'s matter.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from service.web import openapi, problems
from service.web.outline import Outline
from service.web.problems import MEDIA_TYPE, Kind, type_of

_STYLE = files("service.web").joinpath("templates/style.css").read_text()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_OF_EVERY_CALL: Final = (*openapi.EVERY_CALL, *openapi.WITH_TOKENS)
_CODE = re.compile(r"`([^`]+)`")


class Call(NamedTuple):
    """A call of the document: where it is, its OpenAPI operation, and of that, resolved, the
    parameters and the problems that are its own.
    """

    method: str
    path: str
    said: Mapping[str, Any]
    parameters: list[Mapping[str, Any]]
    problems: list[Kind]


@lru_cache(maxsize=1)  # it takes longer than the rest of a start, and tests start by the hundred
def docs_page(written: bytes) -> str:
    """The whole API, as an OpenAPI document describes it."""
    document = msgspec.json.decode(written)
    calls = list(_calls(document))
    by_tag = {tag["name"]: (tag, list[Call]()) for tag in document["tags"]}
    for call in calls:
        by_tag[call.said["tags"][0]][1].append(call)
    return _ENVIRONMENT.get_template("docs.html").render(
        document=document,
        tags=by_tag.values(),
        anchors={f"{call.method} {call.path}": call.said["operationId"] for call in calls},
        outline=Outline(document["components"]["schemas"]),
        sent=[each for each in _components(document, "parameters") if each["in"] == "header"],
        every_call=_OF_EVERY_CALL,
        kinds=problems.KINDS.values(),
    )


def problem_page(kind: Kind) -> str:
    """What a problem means, and who must act."""
    return _ENVIRONMENT.get_template("problem.html").render(kind=kind)


def _calls(document: Mapping[str, Any]) -> Iterator[Call]:
    for path, item in document["paths"].items():
        for method, said in item.items():
            parameters = [_resolved(document, part) for part in said["parameters"]]
            own = [part for part in parameters if part["name"] != "X-Request-Id"]
            yield Call(method.upper(), path, said, own, list(_own_problems(document, said)))


def _own_problems(document: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[Kind]:
    """What this call may end in and not every call may."""
    for reference in said["responses"].values():
        content = _resolved(document, reference).get("content", {})
        if MEDIA_TYPE in content:
            for name in content[MEDIA_TYPE]["examples"]:
                if (kind := problems.KINDS[name]) not in _OF_EVERY_CALL:
                    yield kind


def _components(document: Mapping[str, Any], section: str) -> list[Mapping[str, Any]]:
    return list(document["components"].get(section, {}).values())


def _resolved(document: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference refers to; anything else as it is."""
    if "$ref" not in part:
        return part
    _, section, name = part["$ref"].rsplit("/", 2)
    found: Mapping[str, Any] = document["components"][section][name]
    return found


def _marked(text: str) -> Markup:
    """One line of prose: what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped before


def _prose(text: str) -> Markup:
    """Paragraphs of prose."""
    return Markup("").join(
        Markup("<p>{}</p>\n").format(_marked(paragraph)) for paragraph in text.split("\n\n")
    )


def _shown(example: Any) -> str:
    """An example as it is read: a text as it is, a value as indented JSON."""
    if isinstance(example, str):
        return example
    return json.dumps(example, indent=2, ensure_ascii=False)


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("service.web", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {"marked": _marked, "prose": _prose, "shown": _shown, "type_of": type_of}
_ENVIRONMENT.globals["style"] = Markup(_STYLE)  # noqa: S704  our own file
