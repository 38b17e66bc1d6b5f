"""Many jobs of one kind by one request: ids in the order of the items, all of them durable at the
answer, in as few commits as the log's limits permit.

Each item is a job with a stream of its own, so the batch as a whole is not atomic: a crash, or a
disk that fills up, between two commits leaves a part of it. What that means depends on the key.

| | with an idempotency key | without |
|---|---|---|
| id of item i       | from owner, kind, key and i | a new one |
| request again      | makes what is missing, and no duplicate | makes all of it again |
| what comes first   | item 0 alone: who records it has the key | everything at once |

Every item carries the fingerprint of the whole request, but item 0 decides: of two requests with
one key, only that whose fingerprint item 0 has goes on, so no item of the other is ever recorded.
That costs a batch with a key one commit more.

An item that its kind does not take, or that fits no event, is found before anything is recorded.
The steps are in the order in which `Jobs.create_all` takes them; validation by type, and how a
batch is written down, are the web's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import msgspec

from eventstore.errors import Conflict, StoreError, TooLarge
from eventstore.event import NEW, Append, Head, Json, NewEvent
from eventstore.log import EventLog
from eventstore.pace import Pace
from eventstore.store import Result
from eventstore.timestamp import Timestamp
from projections.projector import Projector
from service import commands
from service.commands import Options
from service.ids import keyed_job_id, new_job_id
from service.processors import Prepare, UnfitPayloadError, prepared


class ItemTooLargeError(Exception):
    """An item fits no event; nothing was recorded."""

    def __init__(self, item: int, why: TooLarge) -> None:
        super().__init__(f"item {item}: {why}")
        self.item = item
        self.why = why


class UnfitItemError(Exception):
    """The kind does not take an item; nothing was recorded."""

    def __init__(self, item: int, why: UnfitPayloadError) -> None:
        super().__init__(f"item {item}: {why}")
        self.item = item
        self.why = why


class PartlyCreatedError(Exception):
    """Some of the jobs are recorded, and others are not, or perhaps not."""

    def __init__(self, recorded: int, number: int, error: StoreError) -> None:
        super().__init__(f"{recorded} of the {number} jobs are recorded, then: {error}")
        self.recorded = recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is asked for. `payloads` are of the kind's type; the options are those of every item."""

    kind: str
    payloads: Sequence[Any]
    options: Options
    now: Timestamp
    meta: Json
    prepare: Prepare | None = None
    owner: str = "-"
    key: str | None = None
    fingerprint: str | None = None


class CreatedAll(NamedTuple):
    """The ids in order, the position of the last creation; `replayed` when every job was there."""

    ids: list[str]
    pos: int
    replayed: bool


class BatchCreation:
    """One batch on its way into the log."""

    def __init__(self, batch: Batch, log: EventLog, projector: Projector, *, dice: Random) -> None:
        self._batch = batch
        self._log = log
        self._projector = projector
        self._dice = dice
        self._appends: list[Append] = []
        self._created_pos: dict[int, int] = {}  # item -> position of its creation
        self._new = 0

    @property
    def job_ids(self) -> list[str]:
        """Of the items, in order."""
        return [append.stream for append in self._appends]

    async def prepare(self) -> None:
        """Encode all of it. Raises UnfitItemError, ItemTooLargeError."""
        fresh = self._batch.key is None
        prepared_all = await self._log.prepare_all(self._wanted(), fresh=fresh)
        for item, append in enumerate(prepared_all):
            if isinstance(append, TooLarge):
                raise ItemTooLargeError(item, append) from append
            self._appends.append(append)

    async def claim(self) -> bool:
        """Record item 0, and with it that the key is ours; False when it was recorded before."""
        [result] = await self._log.append_all(self._appends[:1])
        if isinstance(result, Conflict):
            await self._projector.reached(result.actual.pos)
            return False
        if isinstance(result, StoreError):
            raise result
        self._created_pos[0] = result[0].pos
        self._new = 1
        return True

    async def recall(self) -> None:
        """Find the items that are there already."""
        pace = Pace()
        for item, append in enumerate(self._appends):
            if item not in self._created_pos:
                job = self._projector.get(append.stream)
                if job is not None:
                    assert job.fingerprint == self._batch.fingerprint, "item 0 decides"
                    self._created_pos[item] = job.created_pos
            await pace.breathe()

    async def complete(self) -> CreatedAll:
        """Record the items that are missing. Raises PartlyCreatedError, or the log's errors when
        nothing of the batch is recorded.
        """
        missing = [item for item in range(len(self._appends)) if item not in self._created_pos]
        errors: list[StoreError] = []
        seen = 0  # what a repeat of this request, going on beside us, recorded first
        pace = Pace()
        for item, result in zip(missing, await self._append(missing), strict=True):
            if isinstance(result, list):
                self._created_pos[item] = result[0].pos
                self._new += 1
            elif isinstance(result, Conflict):
                assert self._batch.key is not None, "a fresh id cannot be taken"
                seen = max(seen, result.actual.pos)
            else:
                errors.append(result)
            await pace.breathe()
        if seen:
            await self._projector.reached(seen)
            await self.recall()
        if errors:
            self._give_up(errors[0])
        return CreatedAll(self.job_ids, max(self._created_pos.values()), self._new == 0)

    async def _append(self, items: list[int]) -> list[Result]:
        try:
            return await self._log.append_all([self._appends[item] for item in items])
        except StoreError as error:  # closed: nothing of this was sent
            return [error] * len(items)

    def _wanted(self) -> Iterator[tuple[str, Head, list[NewEvent]]]:
        batch = self._batch
        for item, payload in enumerate(batch.payloads):
            job_id = self._job_id(item)
            try:
                kept = prepared(batch.prepare, payload, job_id, batch.now)
            except UnfitPayloadError as error:
                raise UnfitItemError(item, error) from error
            events = commands.create(
                kind=batch.kind,
                payload=msgspec.to_builtins(kept.payload),
                options=batch.options,
                now=batch.now,
                meta=batch.meta,
                fingerprint=batch.fingerprint,
                facts=kept.facts,
            )
            yield job_id, NEW, events

    def _job_id(self, item: int) -> str:
        batch = self._batch
        if batch.key is None:
            return new_job_id(batch.now, self._dice)
        return keyed_job_id(batch.owner, batch.kind, batch.key, str(item))

    def _give_up(self, error: StoreError) -> None:
        if not self._created_pos:
            raise error
        raise PartlyCreatedError(len(self._created_pos), len(self._appends), error) from error
