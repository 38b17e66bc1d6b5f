"""The level `faults of the system`: the calls of a real server to a real kernel fail.

    strace     one call of one sort, on the log's own files, fails with an errno, or kills
    limits     files may grow no more (short writes, then EFBIG), no more may be open (EMFILE)

Each life of the server has one fault, at work or in the recovery that begins it; so each start is
also the restart after the fault before. A fault that leaves the disk in doubt (any failed sync, an
EIO) ends the process, and nothing is acknowledged after it; lack of room is a 503, reading works,
and it goes on when there is room again. Whatever happens, what was acknowledged is in the log.

An injected error loses nothing by itself: the kernel has the bytes. `power_cuts` has a true one,
and `full_disks` disks that are really full.
"""

import resource
import shutil
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.e2e import small
from tests.e2e.load import Away
from tests.e2e.one_client import OneClient
from tests.e2e.trial import Trial, trial
from tests.trials.level import CannotRunError, Figures, Level


class Fault(NamedTuple):
    """`what` happens to `call` on `where`, at its `when`th time in a life. `then` is what follows:
    the process `exits`, does not `start`, is `killed`, has no `room`, or is `unmoved`.
    """

    call: str
    what: str
    where: str
    when: str
    then: str


def _faults(dice: Random) -> list[Fault]:
    """Every call that the log makes, with every error that means something else."""
    n = dice.randint(2, 6)
    write = [Fault("write", f"error={e}", "segment", str(n), "exits") for e in ("EIO", "EROFS")]
    full = [
        Fault("write", f"error={e}", "segment", f"{n}+", "room")
        for e in ("ENOSPC", "EDQUOT", "EFBIG")
    ]
    sync = [
        Fault("fdatasync", f"error={e}", "segment", str(n + 1), "exits")
        for e in ("EIO", "ENOSPC", "EDQUOT", "EROFS")
    ]
    killed = [
        Fault(call, "signal=KILL", where, when, "killed")
        for call, where, when in (
            ("write", "segment", str(n)), ("fdatasync", "segment", str(n)),
            ("openat", "next", "1"), ("fsync", "log", "2"),
        )
    ]  # fmt: skip
    roll_over = [
        Fault("openat", "error=EIO", "next", "1", "exits"),
        Fault("openat", "error=ENOSPC", "next", "1", "unmoved"),  # the reserve is given up for it
        Fault("openat", "error=EMFILE", "next", "1+", "room"),
        Fault("fsync", "error=EIO", "log", "2", "exits"),
    ]
    recovery = [
        Fault("openat", "error=EMFILE", "copy", "1", "start"),
        Fault("write", "error=EIO", "copy", "1", "start"),
        Fault("fdatasync", "error=EIO", "copy", "1", "start"),
        Fault("fdatasync", "signal=KILL", "copy", "1", "start"),
        Fault("rename", "error=EROFS", "copy", "1", "start"),
        Fault("rename", "signal=KILL", "copy", "1", "start"),
        Fault("fsync", "error=EIO", "log", "1", "start"),
    ]
    once = [Fault("write", "error=ENOSPC", "segment", str(n), "unmoved")]
    cut = [Fault("write,ftruncate", "error=ENOSPC", "segment", f"{n}+", "exits")]
    found = [*write, *full, *sync, *killed, *roll_over, *recovery, *once, *cut]
    dice.shuffle(found)
    return found


def one_round(seed: int, only: str | None = None, bug: str | None = None) -> Figures:
    """Every fault once; with `only`, those of this name."""
    _require_strace()
    began = time.monotonic()
    dice = Random(seed)
    injected: Counter[str] = Counter()
    with trial(dice, bug) as stage:
        OneClient(stage).work(10)  # a log to begin with
        stage.kill()
        for fault in _faults(dice):
            if only in {None, fault.call}:
                _one_fault(stage, fault)
                injected[fault.call] += 1
        for name, limit in _LIMITS.items():
            if only in {None, name}:
                limit(stage)
                injected[name] += 1
        stage.settle()
        return {
            "faults": injected.total(),
            **{f"faults of {call}": number for call, number in sorted(injected.items())},
            "promises": len(stage.promises),
            "seconds": round(time.monotonic() - began),
        }


def _require_strace() -> None:
    if shutil.which("strace") is None:
        raise CannotRunError("there is no strace here")
    tried = subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        raise CannotRunError(f"strace is not permitted here: {tried.stderr.strip()}")


def _one_fault(stage: Trial, fault: Fault) -> None:
    """A life with this fault, and what is left of it."""
    try:
        refusal = stage.try_to_start(before=_strace(stage, fault))
        if refusal is not None:  # the fault may come early: a start writes to the log, too
            assert fault.then != "unmoved", refusal
            assert refusal.code != 0, "it ended as if nothing had been wrong"
        else:
            assert fault.then != "start", "it started all the same"
            _ENDINGS[fault.then](OneClient(stage))
        _require_injected(stage)
        stage.require_kept()
    except AssertionError as error:
        raise AssertionError(f"{fault}: {error}") from error


def _strace(stage: Trial, fault: Fault) -> list[str]:
    """The command under which that happens. Paths are those of the log as it lies there."""
    log = stage.data / "log"
    newest = max(log.glob("*.jsonl"))
    first = int(newest.stem)
    later = [log / f"{first + n * small.SEGMENT_EVENTS:012d}.jsonl" for n in range(1, 40)]
    paths: dict[str, list[Path]] = {
        "segment": [newest, *later], "next": later, "log": [log],
        "copy": [newest.with_name(f"{newest.name}.new")],
    }  # fmt: skip
    quick = [] if fault.then == "killed" else ["--seccomp-bpf"]  # which forgets some signals
    return [
        "strace", "-f", "-qq", *quick,
        "-o", str(stage.folder / "trace"),
        *(f"--trace-path={path}" for path in paths[fault.where]),
        "-e", f"trace={fault.call}", "-e", f"inject={fault.call}:{fault.what}:when={fault.when}",
    ]  # fmt: skip


def _require_injected(stage: Trial) -> None:
    """A fault that never came proves nothing."""
    trace = (stage.folder / "trace").read_text()
    assert "INJECTED" in trace or "killed by SIGKILL" in trace, f"it never came: {trace[-300:]}"


def _exits(life: OneClient) -> None:
    with suppress(Away):  # it may be quicker than its answer
        life.until_refused()
    life.require_end()


def _killed(life: OneClient) -> None:
    try:
        life.until_refused()
    except Away:
        life.server.wait()
        life.stage.gone()
        return
    raise AssertionError("it was not killed")


def _has_no_room(life: OneClient) -> None:
    life.until_refused()
    life.require_reading()
    life.stage.kill()


def _is_unmoved(life: OneClient) -> None:
    life.work(2 * small.SEGMENT_EVENTS)
    life.stage.kill()


_ENDINGS = {
    "exits": _exits,
    "killed": _killed,
    "room": _has_no_room,
    "unmoved": _is_unmoved,
}


def _no_larger_files(stage: Trial) -> None:
    """Where the limit falls into a line, its beginning is written and the rest is not."""
    life = OneClient(stage)
    life.work(3)
    newest = max((stage.data / "log").glob("*.jsonl"))
    no_limit = resource.prlimit(life.server.pid, resource.RLIMIT_FSIZE)
    size = newest.stat().st_size + stage.dice.randrange(1, 600)
    resource.prlimit(life.server.pid, resource.RLIMIT_FSIZE, (size, no_limit[1]))
    life.until_refused()
    life.require_reading()
    resource.prlimit(life.server.pid, resource.RLIMIT_FSIZE, no_limit)
    life.until_taken()
    stage.kill()
    stage.require_kept()


def _no_more_files(stage: Trial) -> None:
    """The next segment cannot be opened."""
    life = OneClient(stage)
    life.work(3)
    pid = life.server.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (_open_files(pid), before[1]))
    life.until_refused()
    life.require_reading()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    life.until_taken()
    stage.kill()
    stage.require_kept()


_LIMITS = {"file size limit": _no_larger_files, "open files limit": _no_more_files}


def _open_files(pid: int) -> int:
    """So many that no other can be opened: numbers are given from the lowest one on."""
    used = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in range(len(used) + 1) if number not in used)


LEVEL = Level(
    name="faults of the system",
    breaks="errors and kills at the n-th call to the kernel; no more files, no larger files",
    proves="nothing acknowledged is lost or contradicted; doubt ends the process, lack of room"
    " is a 503",
    leaves="what a failed sync really loses",
    round=one_round,
    short=1,
    least={"faults": 28},
    alone=True,
)
