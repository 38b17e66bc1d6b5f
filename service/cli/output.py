"""Printing data: tables for people on a terminal, JSON lines for programs everywhere else.

Only this module decides which, and only by where stdout leads and `--json`. Lines of the log are
written as they stand in it. On a terminal everything is made harmless first (`plain`), and the last
column of a table gives way when the terminal is narrow; data for programs is never cut.
"""

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec

from service.cli.plain import plain, plain_json

GAP = "  "
COLOURS = {
    "pending": "yellow",
    "processing": "blue",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
}


def on_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def as_table(*, as_json: bool) -> bool:
    """Whether to print for people."""
    return on_terminal() and not as_json


def print_json(value: Any) -> None:
    """A value as one line of JSON."""
    print_lines([msgspec.json.encode(value)])


def print_lines(lines: Iterable[bytes]) -> None:
    """Lines of JSON as they are; on a terminal with their controls escaped."""
    stdout = sys.stdout.buffer
    harmless = on_terminal()
    for line in lines:
        stdout.write(plain_json(line.decode()).encode() if harmless else line)
        stdout.write(b"\n")
    stdout.flush()


def print_text(text: str) -> None:
    """One line for people."""
    click.echo(plain(text))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows under headers. A column called `status` is coloured."""
    cells = [[plain("" if cell is None else str(cell)) for cell in row] for row in rows]
    columns = zip(headers, *cells, strict=True)
    widths = [max(len(cell) for cell in column) for column in columns]
    click.secho(_row(headers, widths), bold=True)
    for row in cells:
        click.echo(_row(row, widths, coloured=_index(headers, "status")))


def print_members(members: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; what is null is left out."""
    known = [(name, value) for name, value in members if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        shown = _coloured(plain(text)) if name == "status" else plain(text)
        click.echo(f"{click.style(name.ljust(width), bold=True)}{GAP}{shown}")


def _row(cells: Sequence[str], widths: Sequence[int], *, coloured: int | None = None) -> str:
    """A row's text; its last cell ends where the terminal does."""
    *first, last = cells
    padded = [cell.ljust(width) for cell, width in zip(first, widths, strict=False)]
    room = max(shutil.get_terminal_size().columns - sum(widths[:-1]) - len(GAP) * len(first), 8)
    shown = last if len(last) <= room else last[: room - 1] + "…"
    if coloured is not None:
        padded[coloured] = _coloured(padded[coloured])
    return GAP.join([*padded, shown]).rstrip()


def _coloured(status: str) -> str:
    return click.style(status, fg=COLOURS.get(status.strip()))


def _index(headers: Sequence[str], name: str) -> int | None:
    return headers.index(name) if name in headers else None
