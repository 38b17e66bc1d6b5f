"""A log as its bytes say it: read and judged without a line of joblog's own code.

What a trial on real processes believes of the log must not come from the programs that it tries, so
this knows the format and the life of a job once more, from README and the design, in the simplest
words. `read_log` judges lines: checksums, positions, revisions, times, whole appends. `lives`
judges what they say: which event may follow which, how attempts are numbered and counted, that each
has one outcome and each job one end.

All of it raises AssertionError. Signs of what should be there, but is not, are `promises`' matter.
"""

import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

CRASHES = {"lease_expired", "worker_lost"}
UNCOUNTED = {"released", "config"}
ENDS = {"JobCompleted": "completed", "JobFailed": "failed", "JobCancelled": "cancelled"}

_CRC = re.compile(rb',"crc":"([0-9a-f]{8})"\}$')


class Line(NamedTuple):
    """One event, as it stands in its file."""

    pos: int
    time: str
    type: str
    stream: str
    rev: int
    data: dict[str, Any]
    private: dict[str, Any]
    more: bool
    commit: int


class Log(NamedTuple):
    """All lines of a log, and how many bytes behind the last good one were torn."""

    lines: list[Line]
    torn: int


@dataclass(slots=True)
class Try:
    """One attempt; `outcome` is the event that ended it."""

    number: int
    token: int
    outcome: Line | None = None


@dataclass(slots=True)
class Life:
    """A job so far. `state` is new, pending, running, closing (its last attempt is over, its end
    must follow) or how it ended; `tag` is what its client knows it by, an e-mail by its subject.
    """

    state: str = "new"
    kind: str = ""
    tag: str | None = None
    due: str = ""
    allowed: int = 0
    counted: int = 0
    crashes: int = 0
    crashes_allowed: int = 0
    asked_to_stop: bool = False
    tries: list[Try] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come of itself."""
        return self.state in ENDS.values()


def read_log(root: Path, *, segment_events: int, whole: bool = False) -> Log:
    """The lines of a log whose writer is gone. `whole`: it stopped in good order, so nothing may be
    torn.
    """
    lines: list[Line] = []
    torn = 0
    files = sorted((root / "log").glob("*.jsonl"))
    if not (root / "log-id").exists():  # killed before it began one
        assert not files, f"{files} have lost their id"
        return Log(lines, torn)
    log_id = (root / "log-id").read_text().strip()
    for path in files:
        first = len(lines) + 1
        assert path.name == f"{first:012d}.jsonl", f"{path.name} follows position {first - 1}"
        good, bad = _lines_of(path.read_bytes(), zlib.crc32(f"{log_id}:{first}".encode()), first)
        assert not bad or path == files[-1], f"{path.name}: bad bytes in an old segment: {bad[:80]}"
        assert path == files[-1] or len(good) == segment_events, f"{path.name} ends early"
        lines += good
        torn = len(bad)
    while lines and lines[-1].more:
        torn += 1
        lines.pop()
    assert not (whole and torn), f"{torn} bad bytes at the end of {files[-1]}"
    _judge_order(lines)
    return Log(lines, torn)


def _lines_of(data: bytes, seed: int, first: int) -> tuple[list[Line], bytes]:
    """The good lines from the start, and the bytes from the first bad one on."""
    good: list[Line] = []
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        line = _line(data[at:end], seed)
        if line is None or line.pos != first + len(good):
            break
        good.append(line)
        at = end + 1
    return good, data[at:]


def _line(raw: bytes, seed: int) -> Line | None:
    found = _CRC.search(raw)
    if found is None or int(found[1], 16) != zlib.crc32(raw[: found.start()], seed):
        return None
    said = orjson.loads(raw)
    return Line(
        said["pos"], said["time"], said["type"], said["stream"], said["rev"], said["data"],
        said.get("private", {}), said.get("more", False), said.get("commit", said["pos"]),
    )  # fmt: skip


def _judge_order(lines: list[Line]) -> None:
    """Revisions without a gap, times that do not go back, writers one after the other."""
    revs: dict[str, int] = {}
    time, commit, epoch = "", 0, 0
    for line in lines:
        assert line.rev == revs.get(line.stream, 0) + 1, f"{line}: revision out of order"
        assert line.time >= time, f"{line}: earlier than the line before it"
        assert commit <= line.commit <= line.pos, f"{line}: of no commit that can be"
        if line.type == "WriterStarted":
            assert line.data["epoch"] == epoch + 1, f"{line}: after epoch {epoch}"
            epoch += 1
        revs[line.stream], time, commit = line.rev, line.time, line.commit


def lives(lines: list[Line]) -> dict[str, Life]:
    """What became of every job."""
    found: dict[str, Life] = {}
    for line in lines:
        if line.stream == "log" or line.stream.startswith("kind-"):
            continue
        life = found.setdefault(line.stream, Life())
        _STEPS[line.type](life, line)
        life.types.append(line.type)
    for job_id, life in found.items():
        assert life.state != "closing", f"job {job_id}: no attempt is left, and no end follows"
    return found


def _require(life: Life, line: Line, *states: str) -> None:
    assert life.state in states, f"{line} cannot follow {life.types}, {life.state}"


def _created(life: Life, line: Line) -> None:
    _require(life, line, "new")
    life.state = "pending"
    life.kind = line.data["kind"]
    payload = line.private["payload"]
    life.tag = payload.get("tag") or payload.get("subject")
    life.due = line.data["run_at"]
    life.allowed = line.data["max_attempts"]
    life.crashes_allowed = line.data["max_crashes"]


def _started(life: Life, line: Line) -> None:
    _require(life, line, "pending")
    assert line.data["attempt"] == len(life.tries) + 1, f"{line} after {len(life.tries)} attempts"
    assert line.time >= life.due, f"{line}: not due before {life.due}"
    life.state, life.asked_to_stop = "running", False
    life.tries.append(Try(line.data["attempt"], line.pos))


def _renewed(life: Life, line: Line) -> None:
    _require(life, line, "running")
    assert line.data["attempt"] == len(life.tries), f"{line} of an old attempt"


def _asked(life: Life, line: Line) -> None:
    _require(life, line, "running")
    life.asked_to_stop = True


def _over(life: Life, line: Line) -> None:
    """The running attempt has this outcome, and no other."""
    _require(life, line, "running")
    last = life.tries[-1]
    assert line.data["attempt"] == last.number, f"{line}: attempt {last.number} runs"
    assert last.outcome is None, f"{line} after {last.outcome}"
    last.outcome = line


def _failed_try(life: Life, line: Line) -> None:
    _over(life, line)
    reason, again = line.data["reason"], line.data["retry_at"]
    life.crashes += reason in CRASHES
    life.counted += reason not in CRASHES | UNCOUNTED
    spent = life.counted >= life.allowed or life.crashes >= life.crashes_allowed
    assert again is None or not (spent or life.asked_to_stop), f"{line}: not to be tried again"
    assert (again is None) == line.more, f"{line}: its end is to be in the same append"
    life.state = "pending" if again else "closing"
    life.due = again or ""


def _completed(life: Life, line: Line) -> None:
    _over(life, line)
    life.state = "completed"


def _failed(life: Life, line: Line) -> None:
    _require(life, line, "closing")
    reason = line.data["reason"]
    assert not life.asked_to_stop, f"{line}: it was to be cancelled"
    assert reason != "crashes" or life.crashes == life.crashes_allowed, f"{line}: {life.crashes}"
    assert reason != "max_attempts" or life.counted == life.allowed, f"{line}: {life.counted}"
    life.state = "failed"


def _cancelled(life: Life, line: Line) -> None:
    _require(life, line, "pending", "closing")
    life.state = "cancelled"


_STEPS = {
    "JobCreated": _created,
    "AttemptStarted": _started,
    "LeaseRenewed": _renewed,
    "CancelRequested": _asked,
    "AttemptFailed": _failed_try,
    "JobCompleted": _completed,
    "JobFailed": _failed,
    "JobCancelled": _cancelled,
}
