"""An event told in a few words, for people: what it was about, and who did it.

The raw line says everything and is one pipe away; this says what one looks for. An event of a type
that is not known here shows its data.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from eventstore.event import Event


def words(event: Event) -> str:
    """What happened, and the actor where the event names one."""
    try:
        told = _TOLD[event.type](event, event.data) if event.type in _TOLD else _data(event)
    except (KeyError, TypeError, ValueError):  # not what its type says: verify complains of that
        told = _data(event)
    actor = event.meta.get("actor")
    return f"{told} [{actor}]".lstrip() if actor else told


def attempt(event: Event) -> str:
    """The number of the attempt that the event belongs to, if any."""
    return str(event.data.get("attempt", ""))


def _data(event: Event) -> str:
    return msgspec.json.encode(event.data).decode()  # of any integer


def _created(event: Event, data: Any) -> str:
    return f"{data['kind']}, {_due(event, data)}{data['max_attempts']} attempts"


def _retried(event: Event, data: Any) -> str:
    reason = _private(event, "reason")
    return f"{_due(event, data)}{data['max_attempts']} attempts{reason and f': {reason}'}"


def _due(event: Event, data: Any) -> str:
    return f"due {data['run_at']}, " if data["run_at"] > event.time else ""


def _failed(event: Event, data: Any) -> str:
    then = f"again at {data['retry_at']}" if data["retry_at"] else "not again by itself"
    error = _private(event, "error")
    return f"{data['reason']}, {then}; {data['error_class']}{error and f': {error}'}"


def _limited(_: Event, data: Any) -> str:
    at_a_time, rate = data["concurrency"], data["rate"]
    many = "any number" if at_a_time is None else at_a_time
    often = f", {rate['count']} in {rate['per_s']:g} s" if rate else ""
    return f"{many} at a time{often}"


def _because(event: Event, what: str) -> str:
    reason = _private(event, "reason")
    return f"{what}{reason and f': {reason}'}"


def _private(event: Event, name: str) -> str:
    return str((event.private or {}).get(name) or "")


_TOLD: Final[dict[str, Callable[[Event, Any], str]]] = {
    "JobCreated": _created,
    "AttemptStarted": lambda _, data: f"by {data['worker']}",
    "LeaseRenewed": lambda _, data: f"until {data['lease_until']}",
    "CancelRequested": lambda event, _: _private(event, "reason"),
    "AttemptFailed": _failed,
    "JobCompleted": lambda _, data: f"after {data['duration_s']:g} s",
    "JobHeld": lambda _, __: "until somebody retries or cancels it",
    "JobFailed": lambda _, data: str(data["reason"]),
    "JobCancelled": lambda event, _: _private(event, "reason"),
    "JobRetried": _retried,
    "KindPaused": lambda event, data: _because(event, str(data["cause"])),
    "KindResumed": lambda event, _: _private(event, "reason"),
    "KindLimited": _limited,
    "LogOpened": lambda _, data: f"log {data['log_id']}",
    "WriterStarted": lambda _, data: f"writer {data['epoch']}, joblog {data['version']}",
    "LogSealed": lambda _, data: f"writer {data['epoch']} stopped in good order",
}
