"""What a call of the API is: one declaration from which its route, its access rule and its
description all follow.

A resource lists its `Operation`s. `app` makes routes of them, `access` asks their scope, `openapi`
describes them: nothing is said twice, so the document cannot tell another story than the server.
What every call may answer besides (a wrong host, a missing token, a fault of ours) is added in one
place, by `openapi`.

Nothing here answers a request.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.access import Scope
from service.web.problems import Kind

JSON = "application/json"
NDJSON = "application/x-ndjson"
CLOUDEVENTS = "application/cloudevents-batch+json"
SSE = "text/event-stream"
HTML = "text/html"

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There are no parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What is to be sent: a type, the media types it may be written in, an example. `PER_KIND` as
    the type, or `list[PER_KIND]`, stands for the payload of the kind in the path: the call is then
    described once for every kind, and the example is the kind's.

    Where one example does not fit all media types, `examples` has others. In ndjson an example is
    written as its lines by itself.
    """

    type: Any
    media: tuple[str, ...] = (JSON,)
    required: bool = True
    example: Any = None
    examples: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer that is no problem: its status, what that means, the type of its body (None: no
    body), the media types it may be written in, the headers it brings, an example.

    `examples` and `types` are by media type, for those whom the one example, or the one type, does
    not fit.
    """

    status: int
    about: str
    type: Any = None
    media: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()
    example: Any = None
    examples: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A call: where it is, who may make it (`scope` None: anybody), what it takes and answers.

    `headers` are the request headers it reads, `problems` those it may end in of its own. `sample`
    gives the parameters and headers of the example request, by name. In `summary` and `about` of a
    call that is described for every kind, `{kind}` becomes the kind.
    """

    name: str  # camelCase, unique: what generated clients call it
    method: str
    path: str
    endpoint: Endpoint
    summary: str
    scope: Scope | None
    replies: tuple[Reply, ...]
    problems: tuple[Kind, ...] = ()
    query: type[msgspec.Struct] = NoQuery
    body: Body | None = None
    headers: tuple[str, ...] = ()
    about: str = ""
    sample: Mapping[str, str | int] = field(default_factory=dict)


class PER_KIND:  # noqa: N801  a marker, not a class of things
    """The payload type of the kind that the path names."""
