"""`show`, `list`, `history`: looking at jobs, through a server or in the files.

They change nothing, and print the documents that the HTTP API returns. Where they look is told by
`place`, from whom they have it by `source`.
"""

from collections.abc import Iterable
from typing import Any

import click

from projections.job import Status
from service.cli.options import command, json_too, option, server_or_files
from service.cli.output import as_table, print_json, print_lines, print_members, print_table
from service.cli.place import Place
from service.cli.source import document_as_of, source_of
from service.cli.words import attempt, words

LIST_LIMIT = 20


@command(
    "show",
    "joblog show 0199c2f4-…",
    "joblog show 0199c2f4-… --as-of 2026-11-23T23:40:00Z",
)
@click.argument("job_id", metavar="ID")
@option("--as-of", metavar="TIME|POS", help="As it was then: at a time, or a position of the log.")
@server_or_files
@json_too
def show_job(*, place: Place, job_id: str, as_of: str | None, as_json: bool) -> None:
    """Show a job, as it is or as it was."""
    source = source_of(place)
    found = document_as_of(source.history(job_id), as_of) if as_of else source.job(job_id)
    if as_table(as_json=as_json):
        _print_job(found)
    else:
        print_json(found)


@command(
    "list",
    "joblog list --status failed --search ada@example.com",
    "joblog list --limit 1000 | jq -r .id",
)
@option("--status", type=click.Choice([each.value for each in Status]), help="Only in this state.")
@option("--kind", metavar="KIND", help="Only jobs of this kind.")
@option("--search", metavar="WORDS", help="Only with these in id, kind, payload or last error.")
@option("--held", is_flag=True, show_default=False, help="Only those that wait for a person.")
@option("--limit", type=click.IntRange(1), default=LIST_LIMIT, help="So many at most.")
@server_or_files
@json_too
def list_jobs(
    *, place: Place, status: str | None, kind: str | None, search: str | None, held: bool,
    limit: int, as_json: bool,
) -> None:  # fmt: skip
    """List jobs, the newest first."""
    found = source_of(place).jobs(status=status, kind=kind, q=search, held=held, limit=limit)
    print_jobs(found, as_json=as_json)


@command(
    "history",
    "joblog history 0199c2f4-…",
    "joblog history 0199c2f4-… | jq .type",
)
@click.argument("job_id", metavar="ID")
@server_or_files
@json_too
def show_history(*, place: Place, job_id: str, as_json: bool) -> None:
    """Show all that happened to a job."""
    events = source_of(place).history(job_id)
    if as_table(as_json=as_json):
        print_table(
            ("position", "time", "type", "attempt", "words"),
            [(each.pos, each.time, each.type, attempt(each), words(each)) for each in events],
        )
    else:
        print_lines(event.line for event in events)


def print_jobs(documents: Iterable[Any], *, as_json: bool) -> None:
    """Documents of jobs, as a table or as lines."""
    if not as_table(as_json=as_json):
        for each in documents:
            print_json(each)
        return
    print_table(("id", "kind", "status", "attempts", "created", "about"), map(_row, documents))


def _row(job: Any) -> tuple[Any, ...]:
    attempts = f"{job['attempts']}/{job['max_attempts']}"
    return job["id"], job["kind"], job["status"], attempts, job["created_at"], _about(job)


def _about(job: Any) -> str:
    """What one wants to know of a job in this state."""
    error = job["last_error"]
    said = f"{error['class']}: {error['message']}" if error else ""
    if job["held_at"] is not None:
        return f"held since {job['held_at']} {said}"
    if job["status"] == Status.PENDING:
        return f"due {job['next_attempt_at']} {said}"
    if job["status"] == Status.FAILED:
        return f"{job['failed_because']} {said}".rstrip()
    if job["status"] == Status.COMPLETED:
        return f"ran {job['ran_s']:g} s"
    return said


def _print_job(job: Any) -> None:
    """Its members, its attempts below."""
    apart = ("attempt_log", "links", "last_error")
    print_members((name, value) for name, value in job.items() if name not in apart)
    if job["last_error"] is not None:
        print_members([("last_error", job["last_error"]["message"])])
    if not job["attempt_log"]:
        return
    click.echo()
    print_table(
        ("attempt", "worker", "started", "ended", "outcome", "error"),
        [
            (each["attempt"], each["worker"], each["started_at"], each["ended_at"],
             each["outcome"], each["error"] and each["error"]["message"])
            for each in job["attempt_log"]
        ],
    )  # fmt: skip
