"""`verify`: every line of the log checked, and every claim of its events; all damage listed.

The checks are `eventstore.file.verify`'s (lines and files) and `projections.verify`'s (what events
mean), run in one pass. Here they are joined, and the caches asked for what they have witnessed: one
that has seen more than the log holds proves that the log's end is gone. They are asked first, for a
server may be writing meanwhile.

The last line sums up and is made to be quoted. Its digest is the SHA-256 of all lines in their
canonical form: not that of `replay`, which is about jobs. Nothing is repaired.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from eventstore.file.segment import Line, file_name, segment_of
from eventstore.file.verify import Problem, verify, without_framing
from projections.verify import LifeCycles
from service.cli.failure import Damage
from service.cli.files import ReadOnlyDisk, no_log
from service.cli.options import command, files_only, json_too
from service.cli.output import as_table, print_json, print_text
from service.cli.place import Place
from service.cli.progress import Advance, progress
from service.cli.witness import witnessed

HINT = (
    "nothing was changed. Stop the server, keep a copy of the directory, and restore the damaged"
    " files from a backup"
)


@command("verify", "joblog verify", "joblog verify --data /backup/joblog-data --json")
@files_only
@json_too
def verify_log(*, place: Place, as_json: bool) -> None:
    """Check every line of the log."""
    root = place.require_root()
    checked = Verification(root)
    with progress(_size(root), "verifying the log") as advance:
        for problem in checked.problems(advance):
            _print(problem, as_json=as_json)
    _print_sum(checked, as_json=as_json)
    if checked.counts["problem"]:
        raise Damage(f"the log is damaged: {HINT}")


class Verification:
    """One pass over a log, and what came of it."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._stories = LifeCycles()
        self._sha = hashlib.sha256()
        self._segments: set[int] = set()
        self._end = 0
        self.log_id: str | None = None
        self.counts = Counter[str]()

    def problems(self, advance: Advance) -> Iterator[Problem]:
        """Problems and notes, as they are found. Raises Failure when there is no log."""
        seen = witnessed(self._root)
        for problem in self._found(advance, acknowledged=max(seen.values())):
            self.counts["note" if problem.is_note else "problem"] += 1
            yield problem
        for name, position in seen.items():
            if position > self._end:
                self.counts["problem"] += 1
                lost = f"it has seen position {position}, but the log ends at {self._end}"
                yield Problem(f"{self._root}/{name}", f"{lost}: acknowledged events are gone")

    def sum(self) -> str:
        """The line to be quoted."""
        events, segments = self.counts["event"], len(self._segments)
        found = (
            _counted(self.counts["problem"], "problem") if self.counts["problem"] else "no damage"
        )
        notes = f", {_counted(self.counts['note'], 'note')}" if self.counts["note"] else ""
        return (
            f"verified {_counted(events, 'event')} in {_counted(segments, 'segment')},"
            f" log {self.log_id or 'unknown'}: {found}{notes} (digest {self.digest})"
        )

    @property
    def digest(self) -> str:
        """Of all good lines."""
        return self._sha.hexdigest()

    @property
    def segments(self) -> int:
        """How many hold a good line."""
        return len(self._segments)

    def _found(self, advance: Advance, *, acknowledged: int) -> Iterator[Problem]:
        try:
            for found in verify(ReadOnlyDisk(), self._root, acknowledged=acknowledged):
                if isinstance(found, Line):
                    advance(len(found.event.line) + 1)
                    yield from self._event(found)
                else:
                    if found.gap_in is not None:
                        self._stories.set_aside(found.gap_in)
                    yield found
        except FileNotFoundError as error:
            raise no_log(self._root) from error

    def _event(self, line: Line) -> Iterator[Problem]:
        """Count a good line in, and say what is wrong with what it claims."""
        event = line.event
        first = segment_of(event.pos)
        self.counts["event"] += 1
        self._segments.add(first)
        self._sha.update(without_framing(line) + b"\n")
        self._end = event.pos
        if event.pos == 1:
            self.log_id = event.data.get("log_id")
        path = f"{self._root}/log/{file_name(first)}"
        for found, is_note in self._stories.check(event):
            yield Problem(path, found, event.pos - first + 1, line.offset, is_note)


def _size(root: str) -> int:
    """Bytes of all segments."""
    log = Path(root) / "log"
    return sum(entry.stat().st_size for entry in os.scandir(log)) if log.exists() else 0


def _print(problem: Problem, *, as_json: bool) -> None:
    if as_table(as_json=as_json):
        at = f"{problem.file}, line {problem.line}, byte {problem.byte}"
        note = "note: " if problem.is_note else ""
        print_text(f"{note}{at if problem.line else problem.file}: {problem.found}")
        return
    told: dict[str, Any] = {"note" if problem.is_note else "problem": problem.found}
    place = {"line": problem.line, "byte": problem.byte} if problem.line else {}
    print_json(told | {"file": problem.file} | place)


def _print_sum(checked: Verification, *, as_json: bool) -> None:
    """The quotable line is the last one: on stdout for people, on stderr beside data."""
    if as_table(as_json=as_json):
        print_text(checked.sum())
        return
    print_json(
        {
            "events": checked.counts["event"],
            "segments": checked.segments,
            "log_id": checked.log_id,
            "problems": checked.counts["problem"],
            "notes": checked.counts["note"],
            "digest": checked.digest,
        }
    )
    click.echo(checked.sum(), err=True)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
