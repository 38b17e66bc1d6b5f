"""What a processor came to: a result that is JSON, or how it failed, read off what it raised.

Errors are of anybody's making: their words may not be had, their facts may not be JSON or may be
too much, their result may not fit a line. Whatever it is, it must not cost the outcome its record,
so everything here has an answer for that. Nothing here awaits or records.
"""

import logging
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any, NamedTuple

import msgspec
import orjson

from eventstore.errors import TooLarge
from eventstore.event import Json
from projections.events import FailureReason
from service import processors
from service.claims import Claim
from service.commands import Ending
from service.processors import (
    Attempt,
    AttemptError,
    Misconfigured,
    Permanent,
    RetryAfter,
    Unsure,
)

PART_MAX = 2**31  # no job has more parts
CLASS_CHARACTERS_MAX = 100
FACTS_BYTES_MAX = 4 * 1024  # of what an error says for the log: with its words they always fit

_OUR_ROOMS = ("service.attempt", processors.__name__)  # whose frames only lead to the processor

logger = logging.getLogger("joblog.worker")


class Outcome(NamedTuple):
    """What the processor came to: a failure, or else a result."""

    duration_s: float
    result: Any = None
    ending: Ending | None = None
    retry_after_s: float | None = None


def with_parts(ending: Ending, attempt: Attempt, claim: Claim) -> Ending:
    """With the parts of the job that this attempt has settled, however it ended."""
    return ending._replace(
        accepted=_parts(attempt.accepted, claim.accepted),
        refused=_parts(attempt.refused, claim.refused),
    )


def _parts(settled: Iterable[Any], known: tuple[int, ...]) -> tuple[int, ...]:
    """What is new among them. A processor may have put anything there; what is no index would make
    the log unreadable.
    """
    try:
        found = set(settled)
    except TypeError:
        found = {settled}
    indexes = {each for each in found if type(each) is int and 0 <= each <= PART_MAX}
    if len(indexes) < len(found):
        logger.warning("parts that are no indexes were left out: %d", len(found) - len(indexes))
    return tuple(sorted(indexes.difference(known)))


def ending_of(error: BaseException) -> Ending:
    """How an attempt failed whose processor raised this."""
    reason: FailureReason = "error"
    if isinstance(error, Unsure):
        reason = "unknown"
    elif isinstance(error, Misconfigured):
        reason = "config"
    return Ending(
        reason,
        type(error).__name__[:CLASS_CHARACTERS_MAX],
        _text(error),
        "".join(traceback.format_exception(type(error), error, _frames_of_the_processor(error))),
        permanent=isinstance(error, Permanent),
        then=error.then if isinstance(error, Unsure) else "retry",
        facts=_facts(error),
    )


def _facts(error: BaseException) -> Json | None:
    """What the error says for the log; None when that is nothing, no JSON, or too much."""
    if not isinstance(error, AttemptError) or not error.facts:
        return None
    try:
        line = orjson.dumps(msgspec.to_builtins(error.facts, str_keys=True))  # as the log will
        facts = msgspec.json.decode(line, type=Json)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as wrong:
        logger.warning("the facts of a %s were left out: %s", type(error).__name__, wrong)
        return None
    if len(line) > FACTS_BYTES_MAX:
        logger.warning("the facts of a %s were left out: %d bytes", type(error).__name__, len(line))
        return None
    return facts


def _frames_of_the_processor(error: BaseException) -> TracebackType | None:
    """The traceback without the frames that only led to the processor, the same for all of them."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__") in _OUR_ROOMS:
        frames = frames.tb_next
    return frames


def _text(error: BaseException) -> str:
    """What it says; an error of somebody else's making may not even be able to."""
    try:
        return str(error)
    except Exception as another:  # noqa: BLE001  whatever it is, it must not cost us the outcome
        return f"(its words could not be had: {type(another).__name__})"


def delay_asked_for(error: BaseException) -> float | None:
    """The wait that a processor asks for; None when it asks for none, or for no number."""
    seconds = error.seconds if isinstance(error, RetryAfter) else None
    return seconds if isinstance(seconds, int | float) else None


def as_json(outcome: Outcome) -> Outcome:
    """With a result that is JSON: what a Struct, a dataclass or a date stands for."""
    if outcome.result is None:
        return outcome
    try:
        return outcome._replace(result=msgspec.to_builtins(outcome.result))
    except (TypeError, ValueError, RecursionError) as error:
        return unrecordable(outcome, error)


def unrecordable(outcome: Outcome, error: Exception) -> Outcome:
    """A result that does not fit a line, or is not JSON: no further attempt would mend that. Of a
    failure it is what it says beside its words, and that is left out.
    """
    if outcome.ending is not None:
        logger.warning("what a failure said does not fit the log and was left out: %s", error)
        bare = outcome.ending._replace(permanent=True, facts=None, accepted=(), refused=())
        return outcome._replace(ending=bare)
    name = "ResultTooLarge" if isinstance(error, TooLarge) else "ResultNotJson"
    ending = Ending("error", name, str(error), permanent=True)
    return Outcome(outcome.duration_s, ending=ending)
