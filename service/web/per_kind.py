"""Calls that take the payload of a kind, described once for every kind there is.

`POST /jobs/{kind}` is one route and, in the document, as many paths as there are kinds: each has
its own body, example and defaults. `openapi` says why there is no general form beside them.

What has to do with payloads only: other paths with a `{kind}` stay as they are.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import msgspec

from service.processors import Processor, Registry
from service.web import samples
from service.web.document import JobDocument
from service.web.operation import PER_KIND, Body, Operation, Reply


def per_kind(operation: Operation, registry: Registry) -> Iterator[Operation]:
    """The call for each kind, where it takes a kind's payload; else the call itself."""
    body = operation.body
    if body is None or not _takes_payload(body.type):
        yield operation
        return
    for kind in registry.kinds():
        processor = registry.get(kind)
        assert processor is not None
        yield replace(
            operation,
            name=f"{operation.name}_{kind}",
            path=operation.path.replace("{kind}", kind),
            summary=operation.summary.replace("{kind}", kind),
            about=_about(operation, processor),
            body=_body_of(body, processor),
            replies=tuple(_reply_of(reply, processor) for reply in operation.replies),
        )


def _takes_payload(type_: Any) -> bool:
    return type_ is PER_KIND or get_args(type_) == (PER_KIND,)


def _about(operation: Operation, processor: Processor) -> str:
    defaults = (
        f"Unless the query says otherwise, a job of this kind gets {processor.max_attempts}"
        f" attempts, of at most {processor.timeout_s:g} s each."
    )
    return "\n\n".join(filter(None, (processor.about, operation.about, defaults)))


def _body_of(body: Body, processor: Processor) -> Body:
    """The body that a kind takes, alone or many at once."""
    example = None if processor.example is None else msgspec.to_builtins(processor.example)
    if body.type is PER_KIND:
        return replace(body, type=processor.payload, example=example)
    many = None if example is None else [example]
    return replace(body, type=list[processor.payload], example=many)  # type: ignore[name-defined]


def _reply_of(reply: Reply, processor: Processor) -> Reply:
    """An answer that shows a job, showing one of this kind."""
    job = reply.example
    if not isinstance(job, JobDocument) or processor.example is None:
        return reply
    payload = msgspec.to_builtins(processor.example)
    return replace(reply, example=samples.of_kind(job, processor.kind, payload))
