"""The level `zombies`: remote workers that sleep through their leases, and wake to say how it went.

A worker's process stops itself in the middle of an attempt, with SIGSTOP, as a machine does that is
suspended. When its lease is over another worker takes the job. Then the first one is woken, while
the other is still at it or when it is done: it has its result in its hands, knows of nothing, and
offers it. It must be refused, and nothing of what it says may be in the log; and it must be of use
again.
"""

import os
import select
import signal
import subprocess
import time
from random import Random

from tests.e2e.trial import LEASE_S, Trial, trial
from tests.support.rawlog import Life
from tests.trials.level import Figures, Level

ZOMBIES = 3
WAIT_S = 30


def one_round(seed: int, zombies: int = ZOMBIES, bug: str | None = None) -> Figures:
    """So many workers fall asleep at once."""
    began = time.monotonic()
    with trial(Random(seed), bug) as stage:
        stage.start()
        sleepers = [stage.add_worker("--concurrency", "1") for _ in range(zombies)]
        ids = [_post(stage, f"z{n}", freeze=True, later_s=n % 2) for n in range(zombies)]
        for sleeper in sleepers:
            _, status = os.waitpid(sleeper.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), f"a worker ended with {status}"
        stage.add_worker()
        for job_id in ids:
            _taken_over(stage, job_id)
        for sleeper in sleepers:
            sleeper.send_signal(signal.SIGCONT)
            _read_until(sleeper, b"refused")
        later = [_post(stage, f"later{n}", takes_s=LEASE_S / 2) for n in range(2 * zombies)]
        for job_id in later:
            _completed(stage, job_id)
        found = stage.settle()
        for job_id in ids:
            _require_fenced(found[job_id])
        return {
            "zombies": zombies,
            "promises": len(stage.promises),
            "seconds": round(time.monotonic() - began),
        }


def _post(stage: Trial, tag: str, **payload: object) -> str:
    assert stage.server is not None
    answer = stage.server.ask("POST", "/jobs/far", {"tag": tag, **payload})
    assert answer.status == 202, answer
    stage.promises.made([tag], answer)
    return str(answer.json["id"])


def _taken_over(stage: Trial, job_id: str) -> None:
    """Another worker does what the sleeper does not."""
    assert stage.server is not None
    until = time.monotonic() + WAIT_S
    job = stage.server.ask("GET", f"/jobs/{job_id}").json
    while len(job["attempt_log"]) < 2 and time.monotonic() < until:
        held = {"If-None-Match": f'"{job["rev"]}"', "Prefer": f"wait={WAIT_S}"}
        answer = stage.server.ask("GET", f"/jobs/{job_id}", headers=held)
        job = answer.json if answer.status == 200 else job
    assert len(job["attempt_log"]) >= 2, f"nobody took it over: {job}"


def _completed(stage: Trial, job_id: str) -> None:
    assert stage.server is not None
    job = stage.server.finished(job_id, within_s=WAIT_S)
    assert job["status"] == "completed", f"it does not work again: {job}"


def _read_until(worker: "subprocess.Popen[bytes]", word: bytes) -> None:
    """What it says, up to this word: it has been answered 409."""
    assert worker.stderr is not None
    said, until = b"", time.monotonic() + WAIT_S
    while word not in said:
        left_s = max(0, until - time.monotonic())
        readable, _, _ = select.select([worker.stderr], [], [], left_s)
        more = os.read(worker.stderr.fileno(), 10_000) if readable else b""
        assert more, f"it was not refused: {said!r}"
        assert left_s, f"it speaks of other things: {said!r}"
        said += more


def _require_fenced(life: Life) -> None:
    """The sleeper's attempt ended without its word, and somebody else's is the one that counts."""
    outcomes = [each.outcome for each in life.tries if each.outcome is not None]
    first, last = outcomes[0], outcomes[-1]
    assert first.data.get("reason") == "lease_expired", f"a zombie was believed: {first}"
    assert last.type == "JobCompleted", last
    said = last.private["result"]["attempt"]
    assert said == life.tries[-1].number, f"the word of attempt {said} was taken: {last}"


LEVEL = Level(
    name="zombies",
    breaks="remote workers stopped (SIGSTOP) for more than their lease, and woken with a result",
    proves="who took over decides; the late one is refused, and works on",
    leaves="what a zombie did in the world: only its word can be refused",
    round=one_round,
    short=1,
    least={"zombies": 3},
    alone=True,
)
