"""`POST /jobs/{kind}/batch`: many jobs of one kind by one request, taken whole or refused whole.

    [{"to": "ada@example.com", …}, {"to": "bob@example.com", …}]   ->   202 {"ids": ["01a2…", …]}

The items come as a JSON array or as lines (`application/x-ndjson`), each the body of a `POST
/jobs/{kind}`, and the options in the query are those of every item. A 202 means that every item is
durable; the ids are in the order of the items. Whatever is refused is refused before anything is
recorded: a batch with one wrong item, or one for which there is no room.

A crash in the middle may leave a part of the batch. With an `Idempotency-Key` the same request
again completes it, without one duplicate; without a key it makes all jobs again.

Reading and checking ten megabytes happens elsewhere than on the event loop. What an item may be is
`items`' matter, how they are recorded `service.batch`'s.
"""

import hashlib
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from eventstore import clock
from eventstore.offload import Offload
from service.access import Scope
from service.admission import Admission
from service.batch import Batch, CreatedAll, ItemTooLargeError, UnfitItemError
from service.jobs import Jobs
from service.processors import Registry
from service.web import problems
from service.web.access import owner
from service.web.body import BODY_PROBLEMS, body_in
from service.web.gate import meta
from service.web.headers import idempotency_key
from service.web.items import ITEMS_MAX, Items, of_item, read_items, too_large
from service.web.job import WRITE_PROBLEMS
from service.web.jobs import CreateQuery, options_of, processor_of
from service.web.operation import JSON, NDJSON, PER_KIND, Body, Operation, Reply
from service.web.query import pairs, read_query
from service.web.validation import invalid_body

BATCH_BYTES_MAX = 10 * 1024 * 1024


class Created(msgspec.Struct, frozen=True):
    """The jobs' ids, in the order of the items."""

    ids: list[str]


class BatchResource:
    """Many jobs at once."""

    def __init__(
        self, jobs: Jobs, registry: Registry, admission: Admission, *, offload: Offload
    ) -> None:
        self._jobs = jobs
        self._registry = registry
        self._admission = admission
        self._offload = offload

    def operations(self) -> list[Operation]:
        """What is served."""
        example = Created(
            ["01a20bc5-9325-75a2-b450-d27742b0db04", "01a20bc5-9325-7d11-9c3e-64b1c0a6f2de"]
        )
        return [
            Operation(
                name="createJobs",
                method="POST",
                path="/jobs/{kind}/batch",
                endpoint=self.create,
                summary="Post many jobs of one kind.",
                about=f"1 to {ITEMS_MAX} items, {BATCH_BYTES_MAX} bytes; one wrong item refuses"
                " all. Without an `Idempotency-Key` a crash may leave a part of them; with one, the"
                " same request again makes what is missing.",
                scope=Scope.WRITE,
                query=CreateQuery,
                headers=("Idempotency-Key",),
                body=Body(type=list[PER_KIND], media=(JSON, NDJSON)),
                replies=(
                    Reply(
                        status=202,
                        about="Every job is durable.",
                        type=Created,
                        headers=("Log-Position", "Idempotency-Replayed"),
                        example=example,
                    ),
                ),
                problems=(
                    *BODY_PROBLEMS, problems.INVALID_HEADER, problems.NOT_FOUND, problems.INVALID,
                    problems.KEY_REUSED, *WRITE_PROBLEMS, problems.INTAKE_CLOSED,
                ),
            ),
        ]  # fmt: skip

    async def create(self, request: Request) -> Response:
        """Make the jobs."""
        self._admission.require_room()
        processor = processor_of(request, self._registry)
        query = read_query(request, CreateQuery)
        key = idempotency_key(request)
        items = await self._items(request, processor.payload)
        now = clock.now()
        batch = Batch(
            kind=processor.kind,
            payloads=items.payloads,
            options=options_of(query, processor, now),
            now=now,
            meta=meta(request),
            prepare=processor.prepare,
            owner=owner(request),
            key=key,
            fingerprint=None if key is None else _fingerprint(items.digest, request),
        )
        try:
            with self._admission.room(len(items.payloads)):
                return _answer(await self._jobs.create_all(batch))
        except ItemTooLargeError as error:
            raise too_large(error.item, str(error.why)) from error
        except UnfitItemError as error:
            raise problems.invalid(of_item(error.item, invalid_body(error.why))) from error

    async def _items(self, request: Request, type_: Any) -> Items:
        async with body_in(request, (JSON, NDJSON), bytes_max=BATCH_BYTES_MAX) as body:
            return await self._offload.run(lambda: read_items(body, type_))


def _answer(created: CreatedAll) -> Response:
    headers = {"Log-Position": str(created.pos)}
    if created.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(msgspec.json.encode(Created(created.ids)), 202, headers, media_type=JSON)


def _fingerprint(digest: str, request: Request) -> str:
    """What tells this request from another under the same key."""
    said = [digest, sorted(pairs(request))]
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()
