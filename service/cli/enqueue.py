"""`enqueue`: giving the server work, one job by flags or many by lines.

Many are posted one after the other on one connection, each durable before the next is sent. When a
line is refused the rest is not sent, and the line is named; with `--key` every line has a key of
its own (KEY-1, KEY-2, …), so the same call again completes what was broken off and makes nothing
twice.

Payloads are sent as they were typed: what is valid is the server's to say.
"""

import sys
from typing import Any
from urllib.parse import quote, urlencode

import click
import orjson

from eventstore import clock
from eventstore.timestamp import parse
from service.cli.client import WAIT_S_MAX, Client, connect, job_path
from service.cli.failure import Failure, Misuse
from service.cli.jobs import print_jobs
from service.cli.message import message_of, message_options
from service.cli.options import command, json_too, option, server_or_files
from service.cli.output import as_table, print_json, print_text
from service.cli.place import Place
from service.cli.progress import progress

ENDED = ("completed", "failed", "cancelled")


@command(
    "enqueue",
    'joblog enqueue email --to ada@example.com --subject Hello --body "How are you?"',
    "joblog enqueue email --to ada@example.com --cc 'Bob <bob@example.com>' --subject Hello",
    "joblog enqueue report --payload '{\"month\": 11}' --delay 3600 --key report-11",
    "joblog enqueue email - <messages.jsonl",
)
@click.argument("kind")
@click.argument("lines", metavar="[-]", required=False, type=click.Choice(["-"]))
@message_options
@option("--payload", metavar="JSON", help="The payload of a job of any kind.")
@option("--key", metavar="KEY", help="The same key again makes no second job.")
@option("--delay", metavar="SECONDS", type=click.FloatRange(0), help="Not before so much later.")
@option("--run-at", metavar="TIME", help="Not before this time, RFC 3339.")
@option("--expires-at", metavar="TIME", help="Begin no attempt from then on, RFC 3339.")
@option("--priority", type=int, help="A larger one goes first; 0 when not given.")
@option("--max-attempts", type=click.IntRange(1), help="Tries before the job is given up.")
@option("--timeout", metavar="SECONDS", type=float, help="How long an attempt may take.")
@option("--wait", metavar="SECONDS", type=click.IntRange(0), help="Wait for the job to end.")
@server_or_files
@json_too
def enqueue_jobs(
    *, place: Place, kind: str, lines: str | None, key: str | None, wait: int | None,
    as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Give the server a job to do, or many: a line of JSON on stdin is the payload of each."""
    payload = _payload(given)
    many = [] if payload is not None and lines is None else _lines(asked_for=lines is not None)
    if many and payload is not None:
        raise click.UsageError("give one payload by options, or many by lines; not both")
    if many and wait is not None:
        raise click.UsageError("--wait is for one job")
    path = f"/jobs/{quote(kind, safe='')}?" + urlencode(_options(given))
    client = connect(place.require_server())
    if payload is None:
        _enqueue_lines(client, path, many, key, as_json=as_json)
    else:
        _enqueue_one(client, path, payload, key=key, wait=wait, as_json=as_json)


def _enqueue_one(
    client: Client, path: str, payload: bytes, *, key: str | None, wait: int | None, as_json: bool
) -> None:
    since = clock.monotonic()
    headers = _key_header(key)
    if wait is not None:
        headers["Prefer"] = f"wait={min(wait, WAIT_S_MAX)}"
    job = client.post(path, payload, **headers).json()
    while wait is not None and job["status"] not in ENDED:
        left = int(wait - (clock.monotonic() - since))
        if left <= 0:
            break
        prefer = {"Prefer": f"wait={min(left, WAIT_S_MAX)}"}
        job = client.get(job_path(job["id"]), **prefer).json()
    print_jobs([job], as_json=as_json)
    if wait is not None:
        _require_completed(job, wait)


def _require_completed(job: Any, wait: int) -> None:
    """Who waits asks whether it was done."""
    if job["status"] not in ENDED:
        raise Failure(f"job {job['id']} is {job['status']} after {wait} s")
    if job["status"] != "completed":
        raise Failure(f"job {job['id']} {job['status']}: see joblog history {job['id']}")


def _enqueue_lines(
    client: Client, path: str, lines: list[tuple[int, bytes]], key: str | None, *, as_json: bool
) -> None:
    """A job for each line."""
    done = 0
    with progress(len(lines), "enqueueing") as advance:
        for number, line in lines:
            try:
                job = client.post(path, line, **_key_header(key and f"{key}-{number}")).json()
            except Failure as failure:
                said = f"line {number}: {failure.message} ({done} enqueued before it)"
                raise type(failure)(said) from failure
            done += 1
            advance(1)
            if not as_table(as_json=as_json):
                print_json(job)
    if as_table(as_json=as_json):
        print_text(f"{done} enqueued")


def _lines(*, asked_for: bool) -> list[tuple[int, bytes]]:
    """The lines on stdin that are not empty, with their numbers."""
    stdin = sys.stdin.buffer
    waits = not asked_for and sys.stdin.isatty()
    stripped = enumerate([] if waits else map(bytes.strip, stdin), 1)
    lines = [(number, line) for number, line in stripped if line]
    if not lines and not asked_for:
        raise click.UsageError("give --payload JSON, or lines of JSON on stdin")
    return lines


def _payload(given: dict[str, Any]) -> bytes | None:
    """The payload that the options spell; None when they spell none."""
    message = message_of(given)
    payload = given.pop("payload")
    if payload is not None and message:
        raise click.UsageError("give --payload, or --to, --subject and so on; not both")
    if payload is not None:
        return str(payload).encode()
    return orjson.dumps(message) if message else None


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """The query that says how the job is to be run."""
    for name in ("run_at", "expires_at"):
        if given[name] is not None:
            given[name] = _time(name, given[name])
    return {name: value for name, value in given.items() if value is not None}


def _time(name: str, text: str) -> str:
    try:
        return parse(text)
    except ValueError as error:
        hint = "give a time with its zone, as 2026-11-23T23:37:42Z"
        raise Misuse(f"--{name.replace('_', '-')} {text}: {hint}") from error


def _key_header(key: str | None) -> dict[str, str]:
    """Quoted, as the header's standard has it."""
    if key is None:
        return {}
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return {"Idempotency_Key": f'"{escaped}"'}
