"""The rows of the bench, and the targets that joblog holds: the one place where both are said.

A row compares what was measured with its floor in one of four ways; the outcome is its *score*:

| form | score | holds when |
|---|---|---|
| SHARE | measured / floor | at least the target |
| TIMES | measured / floor | at most the target |
| MORE | measured - floor | at most the target |
| ITSELF | measured; there is no floor | at most the target |

A target is the figure to hold: a change that misses it on a quiet machine made joblog slower. Where
we want more than that, the row has an *aim* too. What stands between the two is what an interpreter
takes for a job: a floor that counts jobs by the hundred thousand a second spends some 7 us on each,
in which Python can do little more than write two lines.

The table of the README is checked against this one. How a row is measured is its module's matter.
"""

from enum import Enum
from typing import Final, NamedTuple


class Form(Enum):
    """How a row's score is formed; see the module."""

    SHARE = "of the floor"
    TIMES = "times the floor"
    MORE = "more than the floor"
    ITSELF = ""


class Row(NamedTuple):
    """What is measured, against what, what is to be held, and what we are after beyond that (None:
    no more).

    `unit` is that of the measured value and the floor; `target` and `aim` are in it too where the
    form is MORE or ITSELF, else plain numbers.
    """

    name: str
    work: str
    floor: str
    unit: str
    form: Form
    target: float
    aim: float | None = None

    def score(self, measured: float, floor: float | None) -> float:
        """What is compared with the target."""
        if self.form is Form.ITSELF:
            return measured
        assert floor is not None, f"{self.name} has a floor"
        return measured - floor if self.form is Form.MORE else measured / floor

    def holds(self, score: float) -> bool:
        """Whether the target is reached."""
        return score >= self.target if self.form is Form.SHARE else score <= self.target

    @property
    def wanted(self) -> str:
        """The target in words: `>= 0.8`, `<= 64 MiB`."""
        return self._in_words(self.target)

    @property
    def wished(self) -> str:
        """The aim in such words; none for a row without."""
        return "" if self.aim is None else self._in_words(self.aim)

    def _in_words(self, figure: float) -> str:
        sign = ">=" if self.form is Form.SHARE else "<="
        plus = "+" if self.form is Form.MORE else ""
        unit = f" {self.unit}" if self.form in (Form.MORE, Form.ITSELF) else ""
        return f"{sign} {plus}{figure:g}{unit}"


ROWS: Final = {
    row.name: row
    for row in (
        Row(
            "intake", "`POST /jobs/email`, durable, 64 connections",
            "an endpoint that validates the same and stores nothing",
            "requests/s", Form.SHARE, 0.2, 0.8,
        ),
        Row(
            "batch", "`POST /jobs/{kind}/batch`, 10,000 items a request",
            "a bare loop that writes and syncs the same bytes",
            "jobs/s", Form.SHARE, 0.04, 0.4,
        ),
        Row(
            "drain", "no-op jobs run, every event durable, read model kept",
            "a bare loop that writes and syncs the same bytes, 100 jobs a sync",
            "jobs/s", Form.SHARE, 0.02, 0.4,
        ),
        Row(
            "replay", "a log folded to a fresh read model",
            "reading the file and parsing each line",
            "events/s", Form.SHARE, 0.035, 0.35,
        ),
        Row(
            "get", "`GET /jobs/{id}`, 64 connections",
            "an endpoint that answers a constant of the same size",
            "requests/s", Form.SHARE, 0.7,
        ),
        Row(
            "latency", "p99 of `POST` at half of intake's rate",
            "one sync and one request to the endpoint that stores nothing",
            "ms", Form.TIMES, 100, 5,
        ),
        Row("pickup", "p99 from due to started, idle server", "", "ms", Form.ITSELF, 5),
        Row("memory", "resident with all jobs finished", "with none", "MiB", Form.MORE, 24),
        Row("start", "start with all jobs finished", "with none", "s", Form.MORE, 1),
        Row(
            "pending", "claiming a job while all are pending",
            "while 1,000 are", "µs", Form.TIMES, 1.5,
        ),
        Row("pending-start", "start with all jobs pending", "", "s", Form.ITSELF, 3),
        Row("pending-memory", "memory of a pending job", "", "bytes", Form.ITSELF, 600),
        Row("lists", "worst p50 of lists, filters, counts, searches", "", "ms", Form.ITSELF, 50),
        Row(
            "loop", "longest block of the loop, with lists, 10 streams and intake",
            "", "ms", Form.ITSELF, 50, 10,
        ),
    )
}  # fmt: skip
