"""What jobs and kinds are, written a second time: a plain fold over the raw lines, which knows the
rules and complains.

It is written from the design and not from `projections`, whose faults it must not share:
dictionaries and ifs, one job an object that changes. What an event may follow, what it must say,
and when it may have been decided is all here.
"""

from datetime import datetime
from typing import Any, Final

import orjson

from eventstore.event import Append
from tests.simulation.storage import Decision

LEGAL: Final = {
    ("none", "JobCreated"): "pending",
    ("pending", "AttemptStarted"): "processing",
    ("pending", "JobCancelled"): "cancelled",
    ("pending", "JobFailed"): "failed",
    ("pending", "JobHeld"): "pending",
    ("pending", "JobRetried"): "pending",
    ("processing", "LeaseRenewed"): "processing",
    ("processing", "CancelRequested"): "processing",
    ("processing", "AttemptFailed"): "pending",
    ("processing", "JobCompleted"): "completed",
    ("failed", "JobRetried"): "pending",
    ("cancelled", "JobRetried"): "pending",
}
ENDED: Final = {"completed", "failed", "cancelled"}
LOST: Final = {"worker_lost", "lease_expired"}
FREE: Final = {"released", "config"}


class Broken(AssertionError):
    """The log says what it may not say."""


class NaiveJob:
    """A job, and its history: what it was at each revision."""

    def __init__(self, job_id: str) -> None:
        self.id = job_id
        self.status = "none"
        self.rev = self.attempts = self.crashes = self.attempt = self.token = 0
        self.due: str | None = None
        self.expires: str | None = None
        self.held = self.cancelling = False
        self.ends: dict[int, str] = {}  # attempt -> how it ended
        self.actor = ""  # who has it
        self.open_append = ""  # the append that must go on with an ending
        self.history: list[tuple[str, int]] = [("none", 0)]

    def follow(self, event: dict[str, Any], sent: Append) -> None:
        """One more event."""
        kind, data = event["type"], event["data"]
        before = self.status
        self._require((before, kind) in LEGAL, event, f"cannot follow {before}")
        self._require(event["rev"] == self.rev + 1, event, f"follows revision {self.rev}")
        if self.open_append:
            same = event["meta"]["n"] == self.open_append
            self._require(same and kind.startswith("Job"), event, "follows a last attempt")
        self.open_append = ""
        decided = sent.events[0].time
        self.rev, self.status = event["rev"], LEGAL[before, kind]
        _STEPS[kind](self, event, data, decided)
        self.history.append((self.status, self.attempts))

    @property
    def rests(self) -> bool:
        """Nothing more happens to it by itself."""
        return self.status in ENDED or self.held

    def _job_created(self, event: Any, data: Any, _: str) -> None:
        self.kind, self.due, self.expires = data["kind"], data["run_at"], data.get("expires_at")
        self.max_attempts, self.max_crashes = data["max_attempts"], data["max_crashes"]
        self.backoff, self.timeout_s = data["backoff"], data["timeout_s"]
        self.fingerprint = data.get("fingerprint")

    def _attempt_started(self, event: Any, data: Any, decided: str) -> None:
        self._require(data["attempt"] == self.attempt + 1, event, f"follows {self.attempt}")
        self._require(self.due is not None and self.due <= decided, event, f"is due {self.due}")
        late = self.expires is not None and self.expires <= decided
        self._require(not late, event, f"expired at {self.expires}")
        self._require(self.attempts < self.max_attempts, event, "is one attempt too many")
        self._require(self.crashes < self.max_crashes, event, "follows too many crashes")
        self.attempt, self.attempts = data["attempt"], self.attempts + 1
        self.token, self.due, self.actor = event["pos"], None, event["meta"].get("actor", "")

    def _lease_renewed(self, event: Any, data: Any, _: str) -> None:
        self._require_its_own(event, data)

    def _cancel_requested(self, event: Any, _: Any, __: str) -> None:
        self._require(not self.cancelling, event, "was asked for before")
        self.cancelling = True

    def _attempt_failed(self, event: Any, data: Any, decided: str) -> None:
        reason = data["reason"]
        if event["meta"].get("actor") != "system":
            self._require_its_own(event, data)
            token = (data.get("facts") or {}).get("token", self.token)
            self._require(token == self.token, event, f"is of token {token}, not {self.token}")
        self.ends[self.attempt] = reason
        self.crashes += reason in LOST
        failures = self.crashes if reason in LOST else max(1, self.attempts)
        self.attempts -= reason in LOST or reason in FREE
        self.due = data["retry_at"]
        if self.due is None:
            self.open_append = event["meta"]["n"]
            return
        self._require(not self.cancelling, event, "is tried again, though it was cancelled")
        spent = self.attempts >= self.max_attempts or self.crashes >= self.max_crashes
        self._require(not spent, event, "is tried again, though nothing is left")
        wait = _seconds(decided, self.due)
        bound = min(
            self.backoff["cap_s"],
            self.backoff["base_s"] * self.backoff["factor"] ** (failures - 1),
        )
        asked = data["error_class"] == "RetryAfter"
        most = 2.5 if asked else 0.0 if reason == "released" else bound
        self._require(0 <= wait <= most + 1e-5, event, f"waits {wait} s, not up to {most} s")
        self._require(not asked or wait == most, event, f"waits {wait} s, asked for {most} s")

    def _job_completed(self, event: Any, data: Any, _: str) -> None:
        self._require_its_own(event, data)
        result = (event.get("private") or {}).get("result") or {}
        self._require(result.get("token") == self.token, event, f"is not of token {self.token}")
        self.ends[self.attempt] = "completed"
        self.cancelling = False

    def _job_held(self, event: Any, data: Any, _: str) -> None:
        self._require(self.ends.get(self.attempt) == "unknown", event, "without a doubt")
        self.held, self.due = True, None

    def _job_failed(self, event: Any, data: Any, decided: str) -> None:
        reason, last = data["reason"], self.ends.get(self.attempt)
        holds = {
            "expired": self.expires is not None and self.expires <= decided,
            "max_attempts": self.attempts >= self.max_attempts,
            "crashes": self.crashes >= self.max_crashes and last in LOST,
            "permanent": last == "error",
            "unknown": last == "unknown",
        }
        self._require(holds[reason], event, f"for {reason}, after {last}")
        self.due, self.held = None, False

    def _job_cancelled(self, event: Any, _: Any, __: str) -> None:
        self.due, self.held, self.cancelling = None, False, False

    def _job_retried(self, event: Any, data: Any, _: str) -> None:
        if self.held or self.history[-1][0] in ENDED:
            self.attempts = self.crashes = 0
            self.expires = None
        self.held, self.due, self.max_attempts = False, data["run_at"], data["max_attempts"]

    def _require_its_own(self, event: Any, data: Any) -> None:
        self._require(data["attempt"] == self.attempt, event, f"where {self.attempt} runs")
        actor = event["meta"].get("actor", "")
        self._require(actor == self.actor, event, f"is of {actor}, but {self.actor} has it")

    def _require(self, holds: bool, event: Any, why: str) -> None:
        if not holds:
            raise Broken(f"{event['type']} at {event['pos']} of {self.id}: {why} ({event})")


_STEPS: Final = {
    "JobCreated": NaiveJob._job_created,
    "AttemptStarted": NaiveJob._attempt_started,
    "LeaseRenewed": NaiveJob._lease_renewed,
    "CancelRequested": NaiveJob._cancel_requested,
    "AttemptFailed": NaiveJob._attempt_failed,
    "JobCompleted": NaiveJob._job_completed,
    "JobHeld": NaiveJob._job_held,
    "JobFailed": NaiveJob._job_failed,
    "JobCancelled": NaiveJob._job_cancelled,
    "JobRetried": NaiveJob._job_retried,
}


class NaiveKind:
    """The rules of a kind, position by position, and its starts."""

    def __init__(self) -> None:
        self.rules: list[tuple[int, bool, int | None, Any]] = [(0, False, None, None)]
        self.running: set[str] = set()
        self._starts: list[tuple[str, int]] = []  # time, known
        self._rated_at = 0

    @property
    def paused(self) -> bool:
        """Whether nothing of it may start."""
        return self.rules[-1][1]

    def follow(self, event: dict[str, Any]) -> None:
        """One more event of its stream."""
        _, paused, concurrency, rate = self.rules[-1]
        if event["type"] == "KindLimited":
            concurrency, rate = event["data"]["concurrency"], event["data"]["rate"]
        else:
            paused = event["type"] == "KindPaused"
        self.rules.append((event["pos"], paused, concurrency, rate))

    def start(self, event: dict[str, Any], decision: Decision) -> None:
        """A job of it starts: some rule of those between what was known for certain and what was
        recorded before must permit it.
        """
        known = max(n for n, rule in enumerate(self.rules) if rule[0] <= decision.known)
        rules = self.rules[known:]
        if all(paused for _, paused, _, _ in rules):
            raise Broken(f"{event} started while its kind was paused")
        most = max(10_000 if most is None else most for _, _, most, _ in rules)
        self.running.add(event["stream"])
        if len(self.running) > most:
            raise Broken(f"{event} is one of {len(self.running)}, at most {most} may run")
        self._pace(event, decision, rules)

    def end(self, job_id: str) -> None:
        """It runs no more."""
        self.running.discard(job_id)

    def _pace(self, event: dict[str, Any], decision: Decision, rules: list[Any]) -> None:
        since, _, _, rate = rules[-1]
        self._starts.append((event["time"], decision.known))
        if len(rules) > 1 or rate is None:
            return
        since = max([rule[0] for rule in self.rules if rule[3] != rate], default=-1)
        since = min((rule[0] for rule in self.rules if rule[0] > since), default=0)
        near = [
            time
            for time, known in self._starts
            if known >= since and _seconds(time, event["time"]) < rate["per_s"] - 1e-5
        ]
        if len(near) > rate["count"]:
            raise Broken(f"{event} is the {len(near)}th in {rate}: {near}")


class NaiveLog:
    """All jobs and kinds of a log, as far as it was followed."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.jobs: dict[str, NaiveJob] = {}
        self.kinds: dict[str, NaiveKind] = {}
        self.requests: set[str] = set()  # that recorded something
        self.created: dict[str, list[str]] = {}  # request -> jobs
        self._revs: dict[str, int] = {}
        self._time = ""
        self._append = ("", 0)  # the nonce of the one that is going on, how many of it came
        self.epoch = 0

    def follow(
        self, lines: list[bytes], sent: dict[str, Append], decided: dict[str, Decision]
    ) -> None:
        """The log as it is now: what was there before must be, and then comes more."""
        if lines[: len(self.lines)] != self.lines:
            raise Broken("lines that were durable have changed or are gone")
        for line in lines[len(self.lines) :]:
            self.lines.append(line)
            self._take(orjson.loads(line), sent, decided)
        nonce, came = self._append
        if nonce in sent and came < len(sent[nonce].events):
            raise Broken(f"append {nonce} is not whole: {came} of {len(sent[nonce].events)}")

    def _take(self, event: dict[str, Any], sent: dict[str, Append], decided: Any) -> None:
        self._require_place(event)
        stream = event["stream"]
        self._revs[stream], self._time = event["rev"], event["time"]
        if event["type"] == "LogOpened":
            return
        append = self._sent(event, sent)
        if "request" in event["meta"]:
            self.requests.add(event["meta"]["request"])
        if event["type"] == "JobCreated":
            self.created.setdefault(event["meta"]["request"], []).append(stream)
        if stream.startswith("kind-"):
            self.kinds.setdefault(stream[5:], NaiveKind()).follow(event)
        elif stream != "log":
            self._job(event, append, decided[append.nonce])
        elif event["type"] == "WriterStarted":
            self.epoch += 1
            if event["data"]["epoch"] != self.epoch:
                raise Broken(f"{event} is not of epoch {self.epoch}")

    def _require_place(self, event: dict[str, Any]) -> None:
        last = self._revs.get(event["stream"], 0)
        if event["pos"] != len(self.lines):
            raise Broken(f"{event} is at place {len(self.lines)}")
        if event["rev"] != last + 1:
            raise Broken(f"{event} follows revision {last}")
        if event["time"] < self._time:
            raise Broken(f"{event} is older than what was before it, {self._time}")

    def _sent(self, event: dict[str, Any], sent: dict[str, Append]) -> Append:
        """The append it came in: each event is one of those that were sent, in their order."""
        nonce = event["meta"]["n"]
        append = sent.get(nonce)
        if append is None:
            raise Broken(f"{event} was never sent")
        last, came = self._append
        if last != nonce:
            if last in sent and came < len(sent[last].events):
                raise Broken(f"append {last} is not whole: {event} follows")
            came = 0
        self._append = nonce, came + 1
        if came >= len(append.events):
            raise Broken(f"{event} was recorded twice")
        new = append.events[came]
        said = (new.type, append.stream, append.expected.rev + 1 + came, new.data)
        if said != (event["type"], event["stream"], event["rev"], event["data"]):
            raise Broken(f"{event} is not what was sent: {new}")
        return append

    def _job(self, event: dict[str, Any], append: Append, decision: Decision) -> None:
        job = self.jobs.get(event["stream"])
        if job is None:
            job = self.jobs[event["stream"]] = NaiveJob(event["stream"])
        job.follow(event, append)
        kind = self.kinds.setdefault(job.kind, NaiveKind())
        if event["type"] == "AttemptStarted":
            kind.start(event, decision)
        elif job.status != "processing":
            kind.end(job.id)


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
