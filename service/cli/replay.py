"""`replay`: all jobs computed anew from the log, with nothing but the log.

That the answers of a server can be computed again is what the log is for; this does it and proves
it. The digest is a hash of every job: the same log gives the same one, on every machine and at
every time. `--diff` compares with `jobs.sqlite`, what the server has computed on the way, field by
field: any difference is a fault of ours.

The new read model is in memory; what is compared with it is opened for reading only, at one moment
of its life, so a server may go on writing it.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import click
import msgspec

from eventstore import clock
from eventstore.errors import LOST_END_HINT
from projections.job import Job, Status
from projections.kind import Kind, stream_of
from projections.table import FOLD_VERSION, JobTable, Saved, saved
from service.cli.failure import Damage, Failure
from service.cli.files import LogFiles, replayed
from service.cli.options import command, files_only, json_too, option
from service.cli.output import as_table, print_json, print_members, print_text
from service.cli.place import Place

Counts: TypeAlias = dict[tuple[str, Status], int]

CHANGES = ("added", "removed", "changed")  # in jobs.sqlite, beside what the log makes of it


class Difference(NamedTuple):
    """A job that is not the same, or a kind, by its stream; `change` is one of CHANGES."""

    change: str
    job_id: str
    fields: dict[str, Any]  # name -> what the log makes of it, and what is there


@command(
    "replay",
    "joblog replay --digest",
    "joblog replay --diff",
    "joblog replay --to 65536",
)
@option("--to", metavar="POS", type=click.IntRange(0), envvar="JOBLOG_TO_POS", help="Up to here.")
@option("--digest", is_flag=True, show_default=False, help="Print the digest and nothing else.")
@option(
    "--diff",
    is_flag=True,
    show_default=False,
    help="Compare with jobs.sqlite.",
)
@files_only
@json_too
def replay_log(*, place: Place, to: int | None, digest: bool, diff: bool, as_json: bool) -> None:
    """Compute all jobs anew from the log."""
    if diff and (digest or to is not None):
        raise click.UsageError("--diff compares at the position of jobs.sqlite, and all of it")
    root = place.require_root()
    log = LogFiles(root)
    if diff:
        _compare(root, log, as_json=as_json)
        return
    _end_at(log, to)
    since = clock.monotonic()
    with replayed(log) as table:
        took = clock.monotonic() - since
        if digest:
            click.echo(table.digest())
        else:
            _print_summary(_summary(log, table, took), as_json=as_json)


def _end_at(log: LogFiles, to: int | None) -> None:
    if to is not None and to > log.end:
        raise Failure(f"the log ends at position {log.end}, before {to}")
    log.end = log.end if to is None else to


def _summary(log: LogFiles, table: JobTable, took: float) -> dict[str, Any]:
    counts = Counter(job.status for job in table.jobs())
    return {
        "position": log.end,
        "jobs": counts.total(),
        **{status.value: counts[status] for status in Status},
        "seconds": round(took, 3),
        "events_per_s": round(log.end / took) if took else None,
        "log_id": log.log_id,
        "digest": table.digest(),
    }


def _print_summary(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_table(as_json=as_json):
        print_members(summary.items())
    else:
        print_json(summary)


def _compare(root: str, log: LogFiles, *, as_json: bool) -> None:
    """Print what differs. Raises Failure when something does, or nothing is there to compare."""
    path = f"{root}/jobs.sqlite"
    if not Path(path).exists():
        raise Failure(f"{path} is not there: the next start of the server makes it")
    try:
        with saved(path) as there:
            _require_comparable(path, there, log)
            end, log.end = log.end, there.checkpoint
            with replayed(log) as table:
                jobs = differences(table.jobs(), there.jobs)
                kinds = differences_of_kinds(table.kinds(), there.kinds)
                numbers = differences_of_counts(table.counts(), there.counts)
                found = sorted([*jobs, *kinds, *numbers], key=_group)
    except sqlite3.Error as error:
        raise Failure(f"{path} cannot be read ({error}): delete it, it is made again") from error
    for each in found:
        _print(each, as_json=as_json)
    if found:
        groups = Counter(each.change for each in found)
        counts = ", ".join(f"{count} {change}" for change, count in groups.items())
        hint = "stop the server, delete jobs.sqlite and start it again; and tell us"
        raise Failure(
            f"{path} at position {there.checkpoint} is not what the log says: {counts}. {hint}"
        )
    behind = f"; {path} has yet to take in what follows, up to {end}" if end > log.end else ""
    click.echo(f"no differences at position {there.checkpoint}{behind}", err=True)


def _require_comparable(path: str, there: Saved, log: LogFiles) -> None:
    if there.log_id != log.log_id:
        raise Failure(f"{path} belongs to log {there.log_id}, the log here is {log.log_id}")
    if there.fold != FOLD_VERSION:
        which = f"version {there.fold}, this is {FOLD_VERSION}"
        raise Failure(f"{path} was made by another joblog ({which}): the next start makes it again")
    if there.checkpoint > log.end:
        lost = f"{path} has seen position {there.checkpoint}, but the log ends at {log.end}"
        raise Damage(f"{lost}: acknowledged events are gone. {LOST_END_HINT}")


def differences(ours: Iterator[Job], there: Iterator[Job]) -> Iterator[Difference]:
    """What is not the same, in order of creation: both sides are walked in step."""
    mine, theirs = next(ours, None), next(there, None)
    while mine or theirs:
        if mine and (theirs is None or mine.created_pos < theirs.created_pos):
            yield Difference("removed", mine.id, {})
            mine = next(ours, None)
        elif theirs and (mine is None or theirs.created_pos < mine.created_pos):
            yield Difference("added", theirs.id, {})
            theirs = next(there, None)
        elif mine and theirs:
            if mine != theirs:
                yield Difference("changed", mine.id, _fields(mine, theirs))
            mine, theirs = next(ours, None), next(there, None)


def differences_of_kinds(ours: Iterator[Kind], there: Iterator[Kind]) -> Iterator[Difference]:
    """The same for what holds for kinds, by name."""
    mine, theirs = ({kind.name: kind for kind in side} for side in (ours, there))
    for name in sorted(mine.keys() | theirs.keys()):
        if name not in theirs:
            yield Difference("removed", stream_of(name), {})
        elif name not in mine:
            yield Difference("added", stream_of(name), {})
        elif mine[name] != theirs[name]:
            yield Difference("changed", stream_of(name), _fields(mine[name], theirs[name]))


def differences_of_counts(ours: Counts, there: Counts) -> Iterator[Difference]:
    """The same for how many jobs there are of each kind in each state: a field is a state."""
    wrong = {pair for pair in ours.keys() | there.keys() if ours.get(pair) != there.get(pair)}
    for kind in sorted({kind for kind, _ in wrong}):
        fields = {
            status.value: {
                "log": ours.get((kind, status), 0),
                "table": there.get((kind, status), 0),
            }
            for status in Status
            if (kind, status) in wrong
        }
        yield Difference("changed", stream_of(kind), fields)


def _group(found: Difference) -> int:
    return CHANGES.index(found.change)


def _fields(mine: Job | Kind, theirs: Job | Kind) -> dict[str, Any]:
    ours, there = msgspec.to_builtins(mine), msgspec.to_builtins(theirs)
    return {
        name: {"log": value, "table": there[name]}
        for name, value in ours.items()
        if value != there[name]
    }


def _print(found: Difference, *, as_json: bool) -> None:
    if as_table(as_json=as_json):
        print_text(" ".join([found.change, found.job_id, *found.fields]))
    else:
        print_json(found._asdict())
