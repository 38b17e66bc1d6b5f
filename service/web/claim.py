"""What is said about claims over HTTP: requests for them, claims as told, outcomes.

The types are the validation and the API's description at once. Names, patterns and limits are those
of the log: what passes here can be recorded, but for its size. The calls themselves are `claims`'s.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from eventstore.event import Json
from eventstore.timestamp import Timestamp
from projections.events import Doubt
from service.claims import Claim
from service.commands import DELAY_S_MAX, Ending, cut
from service.outcome import CLASS_CHARACTERS_MAX
from service.processors import KIND
from service.web import samples
from service.web.document import JobDocument, document
from service.web.headers import WAIT_S_MAX

CLAIMS_MAX = 100  # in one answer
KINDS_MAX = 100
PARTS_MAX = 1_000  # of a job that consists of parts
TEXT_CHARACTERS_MAX = 100_000  # of an error's words; the log keeps the first 8 KiB

Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)]
Token = Annotated[int, Meta(ge=1, description="The token of the claim.")]
Parts = Annotated[list[Annotated[int, Meta(ge=0, le=PARTS_MAX)]], Meta(max_length=PARTS_MAX)]
KindName = Annotated[str, Meta(pattern=f"^{KIND.pattern}$")]


class ClaimRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs to take: of these kinds, at most `max`, waiting at most `wait` seconds for the
    first. `worker` is a name for people, and for the history.
    """

    kinds: Annotated[
        list[KindName],
        Meta(min_length=1, max_length=KINDS_MAX, description="What you can work on."),
    ]
    worker: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9._:@-]{1,64}$",
            description="Your name, for people and for the history.",
        ),
    ]
    max: Annotated[
        int, Meta(ge=1, le=CLAIMS_MAX, description="How many jobs you would take at once.")
    ] = 1
    wait: Annotated[
        float,
        Meta(ge=0, le=WAIT_S_MAX, description="How long to wait for the first, in seconds."),
    ] = 0


class ClaimDocument(msgspec.Struct, frozen=True):
    """A job to work on. Parts in `accepted` and `refused` are settled: leave them alone."""

    job: JobDocument
    attempt: int
    token: int
    lease_s: float
    lease_until: Timestamp
    timeout_s: float
    deadline: Timestamp
    facts: Json
    accepted: tuple[int, ...]
    refused: tuple[int, ...]


SAMPLE: Final = ClaimDocument(
    job=samples.RUNNING,
    attempt=1,
    token=4,
    lease_s=30,
    lease_until="2026-11-24T04:17:37.373682Z",
    timeout_s=60,
    deadline="2026-11-24T04:18:07.373682Z",
    facts={},
    accepted=(),
    refused=(),
)


class ClaimPage(msgspec.Struct, frozen=True):
    """What was claimed, and how long after the request's arrival."""

    claims: list[ClaimDocument]
    waited_s: float


class Renewal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Still at it."""

    token: Token


class Renewed(msgspec.Struct, frozen=True):
    """The lease as it is now; whether somebody wants the attempt to stop."""

    lease_s: float
    lease_until: Timestamp
    cancel_requested: bool


class Completion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Done; `result` is any JSON."""

    token: Token
    result: Annotated[Any, Meta(description="What came of it: any JSON.")] = None


class Error(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What went wrong. `class` is a name to group by, the others are its words."""

    class_: Annotated[
        str,
        Meta(min_length=1, max_length=CLASS_CHARACTERS_MAX, description="A name to group by."),
    ] = msgspec.field(name="class")
    message: Annotated[Text, Meta(description="Its own words.")] = ""
    traceback: Annotated[Text | None, Meta(description="Where in the code it was.")] = None


class Failing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Not done. `reason`: `error` and `timeout` count as an attempt, `unknown` too (it may have
    been done: `then` says what to make of it), `config` pauses the kind, `released` gives the job
    back, `cancelled` obeys a cancellation. `facts` go into the log in clear.
    """

    token: Token
    error: Annotated[Error, Meta(description="What went wrong.")]
    reason: Annotated[
        Literal["error", "timeout", "unknown", "config", "released", "cancelled"],
        Meta(
            description="`error`, `timeout`: it counts as an attempt. `unknown`: it may have been"
            " done; it counts. `config`: the settings are wrong; it counts not, and the kind is"
            " paused. `released`: given back, uncounted. `cancelled`: stopped, as was asked."
        ),
    ] = "error"
    permanent: Annotated[
        bool, Meta(description="Another attempt would end the same way: the job fails at once.")
    ] = False
    retry_after_s: Annotated[
        Annotated[float, Meta(ge=0, le=DELAY_S_MAX)] | None,
        Meta(description="When to try again, in seconds from now; else after the backoff."),
    ] = None
    then: Annotated[
        Doubt,
        Meta(
            description="With reason `unknown`: try again (it may be done twice), hold it until a"
            " person decides, or fail it."
        ),
    ] = "retry"
    facts: Annotated[
        Json | None, Meta(description="A few short members about it, in the log in clear.")
    ] = None
    accepted: Annotated[
        Parts,
        Meta(
            description="Parts that are done, by index, and are left alone by the next attempt. Of"
            " an e-mail: its recipients, `to`, then `cc`, then `bcc`."
        ),
    ] = []
    refused: Annotated[
        Parts, Meta(description="Parts refused for good, by index: nor are they tried again.")
    ] = []


def claim_document(claim: Claim) -> ClaimDocument:
    """A claim as told to who has it."""
    assert claim.known is not None
    assert claim.known.lease is not None
    return ClaimDocument(
        job=document(claim.known),
        attempt=claim.attempt,
        token=claim.token,
        lease_s=claim.lease_s,
        lease_until=claim.known.lease.lease_until,
        timeout_s=claim.timeout_s,
        deadline=claim.deadline,
        facts=claim.facts,
        accepted=claim.accepted,
        refused=claim.refused,
    )


def ending_of(said: Failing) -> Ending:
    """How the attempt failed, in the service's own terms."""
    return Ending(
        said.reason,
        cut(said.error.class_),
        said.error.message,
        said.error.traceback,
        permanent=said.permanent,
        then=said.then,
        facts=said.facts,
        accepted=tuple(said.accepted),
        refused=tuple(said.refused),
    )
