"""What clients were told by a server, kept outside of it: the oracle of the trials.

A promise is whatever an answer said: this job is there, this key means that job, it is cancelled,
that outcome is recorded. Nothing that a server says later, or that its log holds in the end, may
contradict one. A request without an answer promised nothing: its effect is there once or nowhere.

Clients write from several threads. Whether a log is sound in itself is `rawlog`'s matter.
"""

import threading
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.rawlog import Life
from tests.support.server import Answer


class Asked(NamedTuple):
    """A request to make jobs, and its idempotency key."""

    path: str
    body: Any
    key: str

    @property
    def tags(self) -> list[str]:
        """What its jobs are known by, in order."""
        items = self.body if isinstance(self.body, list) else [self.body]
        return [item.get("tag") or item["subject"] for item in items]


class Promises:
    """Everything that was acknowledged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, str] = {}  # id -> tag
        self._answers: list[tuple[Asked, Answer]] = []
        self._cancels: dict[str, str] = {}  # id -> the event that was promised
        self._outcomes: dict[tuple[str, int], str] = {}  # (id, token) -> the event
        self._refused: set[tuple[str, int]] = set()
        self._position = 0

    def __len__(self) -> int:
        """How many acknowledgements there were."""
        return len(self._jobs) + len(self._cancels) + len(self._outcomes)

    @property
    def jobs(self) -> list[str]:
        """The ids that were promised, oldest first."""
        with self._lock:
            return list(self._jobs)

    @property
    def answers(self) -> list[tuple[Asked, Answer]]:
        """What requests with a key were answered first."""
        with self._lock:
            return list(self._answers)

    def made(self, tags: list[str], answer: Answer, asked: Asked | None = None) -> None:
        """A 202: these jobs are there."""
        ids = answer.json["ids"] if "ids" in answer.json else [answer.json["id"]]
        assert len(ids) == len(tags), f"{len(ids)} ids for {len(tags)} items"
        with self._lock:
            self._jobs.update(zip(ids, tags, strict=True))
            self._position = max(self._position, int(answer.headers.get("log-position", 0)))
            if asked is not None:
                self._answers.append((asked, answer))

    def cancelled(self, job_id: str, answer: Answer) -> None:
        """A 200 or a 202 to a cancellation."""
        with self._lock:
            self._cancels[job_id] = "JobCancelled" if answer.status == 200 else "CancelRequested"

    def ended(self, job_id: str, token: int, type_: str) -> None:
        """A 200: the outcome of this attempt is recorded."""
        with self._lock:
            self._outcomes[job_id, token] = type_

    def refused(self, job_id: str, token: int) -> None:
        """A 409: this attempt is not ours any more, and what it came to is not recorded."""
        with self._lock:
            self._refused.add((job_id, token))

    def require_kept(self, found: dict[str, Life], head: int) -> None:
        """Raise AssertionError unless all of it is in a log that ends at `head`."""
        assert head >= self._position, f"{self._position} was acknowledged, the log ends at {head}"
        lost = [job_id for job_id in self._jobs if job_id not in found]
        assert not lost, f"{len(lost)} acknowledged jobs are lost: {lost[:3]}"
        for job_id, tag in self._jobs.items():
            assert found[job_id].tag == tag, f"job {job_id} is {found[job_id].tag}, not {tag}"
        for job_id, type_ in self._cancels.items():
            types = found[job_id].types
            assert type_ in types, f"{type_} of {job_id} was acknowledged: {types}"
        for (job_id, token), type_ in self._outcomes.items():
            outcome = _outcome(found[job_id], token)
            assert outcome == type_, f"{type_} of {job_id}, {token} is {outcome}"
        for job_id, token in self._refused - self._outcomes.keys():
            outcome = _outcome(found[job_id], token)
            assert outcome != "JobCompleted", f"what {job_id}, {token} came to was refused"
        _require_once(found)

    def require_repeated(self, asked: Asked, first: Answer, again: Answer) -> None:
        """Raise AssertionError unless a repeat was answered as the first one was."""
        names = ("location", "etag")
        one, other = ((it.status, it.json, [it.headers.get(n) for n in names])
                      for it in (first, again))  # fmt: skip
        assert one == other, f"key {asked.key} was answered {one}, and later {other}"
        assert again.headers.get("idempotency-replayed") == "true", f"{asked.key}: {again}"


def require_ran(found: dict[str, Life], ran: Path) -> None:
    """Raise AssertionError unless what processors wrote when they began fits the log: each attempt
    was recorded before it ran, ran at most once, and who completed a job did run.
    """
    runs: set[tuple[str, int, int]] = set()
    for line in ran.read_text().splitlines():
        job_id, number, token = line.split()
        run = (job_id, int(number), int(token))
        assert run not in runs, f"attempt {number} of {job_id} ran twice"
        runs.add(run)
    recorded = {(job_id, each.number, each.token) for job_id, life in found.items()
                for each in life.tries}  # fmt: skip
    assert runs <= recorded, f"ran, and nothing in the log says so: {list(runs - recorded)[:3]}"
    for job_id, life in found.items():
        if life.state == "completed" and life.kind == "near":
            last = life.tries[-1]
            assert (job_id, last.number, last.token) in runs, f"{job_id} is complete and never ran"


def _require_once(found: dict[str, Life]) -> None:
    tags: dict[str, str] = {}
    for job_id, life in found.items():
        if life.tag is not None:
            other = tags.setdefault(life.tag, job_id)
            assert other == job_id, f"{job_id} and {other} are both {life.tag}"


def _outcome(life: Life, token: int) -> str | None:
    for each in life.tries:
        if each.token == token:
            return each.outcome.type if each.outcome else None
    raise AssertionError(f"the attempt of token {token} is lost: {life}")
