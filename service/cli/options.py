"""How options are declared, and those that several commands share.

Every option can be given as a variable of the environment, whose name follows from the option's and
does not depend on the command: `--data` is JOBLOG_DATA everywhere. What is typed wins over what is
set. What an option's value means is its command's matter.
"""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias

import click

from service.cli.place import Place
from service.settings import DATA

SECONDS_MAX = 365 * 86_400

Command: TypeAlias = Callable[..., Any]


def command(name: str, *examples: str) -> Callable[[Command], click.Command]:
    """A command of this name; its help ends in examples."""
    shown = "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples)])
    return click.command(name, epilog=shown, context_settings={"show_default": True})


def option(name: str, *more: str, **attributes: Any) -> Callable[[Command], Command]:
    """An option that is also a variable, named in its help."""
    attributes.setdefault("envvar", "JOBLOG_" + name[2:].replace("-", "_").upper())
    return click.option(name, *more, show_envvar=True, **attributes)


class Seconds(click.FloatRange):
    """A duration: a number, of a year at most. `nan` and `inf` are floats, but no durations."""

    def __init__(self, least: float, *, min_open: bool = False) -> None:
        super().__init__(least, SECONDS_MAX, min_open=min_open)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See click."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail("that is no duration", param, ctx)
        return seconds


def server_or_files(command: Command) -> Command:
    """Give a command its `place`: of a server, or of a log."""
    url = option("--url", metavar="URL", help="Ask the server at this address.")
    return files_only(url(command))


def files_only(command: Command) -> Command:
    """Give a command its `place`: of a log in files."""

    @wraps(command)
    def placed(data: str, store: str | None, url: str | None = None, **others: Any) -> Any:
        return command(place=Place.chosen(data=data, store=store, url=url), **others)

    of_data = option(
        "--data", metavar="DIR", default=DATA, help="The directory of the log and its server."
    )
    of_store = option("--store", metavar="URL", help="The same as a URL, file:DIR.")
    return of_data(of_store(placed))


def json_too(command: Command) -> Command:
    """Give a command `as_json`."""
    json = option(
        "--json", "as_json", is_flag=True, show_default=False,
        help="Print JSON lines on a terminal too.",
    )  # fmt: skip
    return json(command)
