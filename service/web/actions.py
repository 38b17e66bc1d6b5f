"""`POST /actions`: cancel, or try again, all jobs that a filter finds.

    {"action": "retry", "filter": {"status": "failed", "kind": "email"},
     "reason": "the mail server is back", "dry_run": true}
    -> 200 {"action": "retry", "dry_run": true,
            "matched": 214, "changed": 214, "refused": 0, "truncated": false}

The filter is that of `GET /jobs`, so what will be met can be looked at before. One that says
nothing is refused: nobody shall cancel everything by a slip. Who means everything says so by a
status, `{"status": "pending"}`.

`refused` are jobs whose state does not permit it, or that moved in between: no error, for they are
not what the filter described any more. When there are more than one call does, `truncated` is true;
call again. How it is done is `service.actions`.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from eventstore.timestamp import Timestamp, timestamp
from projections.job import Status
from projections.search import QUERY_CHARACTERS_MAX
from projections.table import Filter
from service.access import Scope
from service.actions import Action, Name, act
from service.jobs import Jobs
from service.processors import KIND
from service.web import problems
from service.web.body import BODY_PROBLEMS, json_body
from service.web.gate import meta
from service.web.job import WRITE_PROBLEMS
from service.web.operation import JSON, Body, NoQuery, Operation, Reply
from service.web.problems import Invalid
from service.web.query import read_query

Moment = Annotated[datetime, Meta(tz=True)]


class ActionFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which jobs. `created_after` and `created_before` leave out the instant itself; at least one
    member must be there.
    """

    status: Status | UnsetType = UNSET
    kind: Annotated[str, Meta(pattern=f"^(?:{KIND.pattern})$")] | UnsetType = UNSET
    created_after: Moment | UnsetType = UNSET
    created_before: Moment | UnsetType = UNSET
    q: Annotated[str, Meta(pattern=r"\S", max_length=QUERY_CHARACTERS_MAX)] | UnsetType = UNSET
    held: Literal[True] | UnsetType = UNSET


class ActionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to do with them. A dry run only counts."""

    action: Name
    filter: ActionFilter
    reason: Annotated[str, Meta(max_length=500)] | None = None
    dry_run: bool = False


class ActionReport(msgspec.Struct, frozen=True):
    """What came of it: `matched` is `changed` and `refused`; in a dry run, what would."""

    action: Name
    dry_run: bool
    matched: int
    changed: int
    refused: int
    truncated: bool


class ActionsResource:
    """Commands on many jobs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def operations(self) -> list[Operation]:
        """What is served."""
        return [
            Operation(
                name="act",
                method="POST",
                path="/actions",
                endpoint=self.act,
                summary="Cancel or retry all jobs that a filter finds.",
                about="At most 10,000 jobs a call, each with an event of its own. A filter that"
                " says nothing is refused.",
                scope=Scope.ADMIN,
                body=Body(
                    type=ActionRequest,
                    example=ActionRequest(
                        action="retry",
                        filter=ActionFilter(status=Status.FAILED, kind="email"),
                        reason="the mail server is back",
                        dry_run=True,
                    ),
                ),
                replies=(
                    Reply(
                        status=200,
                        about="Done, or counted.",
                        type=ActionReport,
                        example=ActionReport("retry", True, 214, 214, 0, False),
                    ),
                ),
                problems=(*BODY_PROBLEMS, *WRITE_PROBLEMS, problems.NOT_REACHED),
            ),
        ]

    async def act(self, request: Request) -> Response:
        """Do it to all of them."""
        read_query(request, NoQuery)
        asked: ActionRequest = await json_body(request, ActionRequest)
        action = Action(
            name=asked.action,
            filter=_filter(asked.filter),
            meta=meta(request),
            reason=asked.reason,
            dry_run=asked.dry_run,
        )
        done = await act(self._jobs, action)
        report = ActionReport(
            action=asked.action,
            dry_run=asked.dry_run,
            matched=done.matched,
            changed=done.changed,
            refused=done.refused,
            truncated=done.truncated,
        )
        return Response(msgspec.json.encode(report), media_type=JSON)


def _filter(asked: ActionFilter) -> Filter:
    if asked == ActionFilter():
        detail = 'it says nothing; for all of them say which state, as {"status": "pending"}'
        raise problems.invalid(Invalid("#/filter", detail))
    return Filter(
        status=None if asked.status is UNSET else asked.status,
        kind=None if asked.kind is UNSET else asked.kind,
        created_after=_moment("created_after", asked.created_after),
        created_before=_moment("created_before", asked.created_before),
        q=None if asked.q is UNSET else asked.q,
        held=asked.held is True,
    )


def _moment(name: str, moment: datetime | UnsetType) -> Timestamp | None:
    if moment is UNSET:
        return None
    try:
        return timestamp(moment)
    except OverflowError:  # before the year 1, or after 9999, once moved to UTC
        raise problems.invalid(Invalid(f"#/filter/{name}", "is out of range")) from None
