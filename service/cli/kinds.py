"""`kinds`, `pause`, `resume`, `limit`: the queues by kind, through a running server.

A pause or a limit is an event in the log like every other change; the server decides, records and
obeys it. `kinds` shows what holds now.
"""

import re
from typing import Any
from urllib.parse import quote

import click

from service.cli.client import connect
from service.cli.failure import Misuse
from service.cli.options import command, json_too, option, server_or_files
from service.cli.output import as_table, print_json, print_table
from service.cli.place import Place

NONE = "none"
_RATE = re.compile(r"(\d+)/(\d+(?:\.\d+)?)")


@command("kinds", "joblog kinds", "joblog kinds | jq -r .kind")
@server_or_files
@json_too
def list_kinds(*, place: Place, as_json: bool) -> None:
    """List the kinds of jobs, and what holds for each."""
    found = connect(place.require_server()).get("/kinds").json()["kinds"]
    _print(found, as_json=as_json)


@command("pause", 'joblog pause email --reason "the provider is down"')
@click.argument("kind")
@option("--reason", metavar="TEXT", help="Why; it is recorded.")
@server_or_files
@json_too
def pause_kind(*, place: Place, kind: str, reason: str | None, as_json: bool) -> None:
    """Start no more jobs of a kind.

    Attempts under way go on; jobs are taken and wait.
    """
    _change(place, "POST", kind, "pause", {"reason": reason} if reason else {}, as_json=as_json)


@command("resume", "joblog resume email")
@click.argument("kind")
@option("--reason", metavar="TEXT", help="Why; it is recorded.")
@server_or_files
@json_too
def resume_kind(*, place: Place, kind: str, reason: str | None, as_json: bool) -> None:
    """Start jobs of a kind again."""
    _change(place, "POST", kind, "resume", {"reason": reason} if reason else {}, as_json=as_json)


@command(
    "limit",
    "joblog limit email --at-a-time 10 --rate 100/60",
    "joblog limit email --at-a-time none --rate none",
)
@click.argument("kind")
@option("--at-a-time", metavar="N|none", required=True, help="Attempts at the same time.")
@option("--rate", metavar="N/SECONDS|none", required=True, help="Starts in so many seconds.")
@server_or_files
@json_too
def limit_kind(*, place: Place, kind: str, at_a_time: str, rate: str, as_json: bool) -> None:
    """Limit how many jobs of a kind start."""
    limits = {"concurrency": _number(at_a_time), "rate": _rate(rate)}
    _change(place, "PUT", kind, "limits", limits, as_json=as_json)


def _change(place: Place, method: str, kind: str, what: str, body: Any, *, as_json: bool) -> None:
    path = f"/kinds/{quote(kind, safe='')}/{what}"
    client = connect(place.require_server())
    send = client.put if method == "PUT" else client.post
    _print([send(path, body).json()], as_json=as_json)


def _number(text: str) -> int | None:
    if text == NONE:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Misuse(f"--at-a-time {text}: give a number, or {NONE}")
    return int(text)


def _rate(text: str) -> Any:
    if text == NONE:
        return None
    found = _RATE.fullmatch(text)
    if found is None:
        raise Misuse(f"--rate {text}: give starts and seconds, as 100/60, or {NONE}")
    return {"count": int(found[1]), "per_s": float(found[2])}


def _print(kinds: list[Any], *, as_json: bool) -> None:
    if not as_table(as_json=as_json):
        for each in kinds:
            print_json(each)
        return
    print_table(("kind", "concurrency", "rate", "runs", "paused"), map(_row, kinds))


def _row(kind: Any) -> tuple[Any, ...]:
    limits, pause = kind["limits"], kind["paused"]
    rate = limits["rate"] and f"{limits['rate']['count']}/{limits['rate']['per_s']:g} s"
    where = "elsewhere" if kind["remote"] else "here"
    why = pause and f"since {pause['at']} by {pause['by']}: {pause['reason'] or pause['cause']}"
    return kind["kind"], limits["concurrency"] or "any", rate or "any", where, why or "no"
