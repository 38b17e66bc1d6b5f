"""How options are declared, and those that several commands share.

Every option can be given as a variable of the environment, whose name follows from the option's and
does not depend on the command: `--data` is JOBLOG_DATA everywhere. What is typed wins over what is
set. What an option's value means is its command's matter.
"""

import math
import re
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias

import click

from service.cli.failure import Misuse
from service.cli.place import Place
from service.settings import DATA

SECONDS_MAX = 365 * 86_400
TOKEN = "joblog.token"  # noqa: S105  where a command's token is in its context

_SECRET = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # as RFC 6750 has it

Command: TypeAlias = Callable[..., Any]


def command(name: str, *examples: str) -> Callable[[Command], click.Command]:
    """A command of this name; its help ends in examples."""
    shown = "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples)])
    return click.command(name, epilog=shown, context_settings={"show_default": True})


def option(name: str, *more: str, **attributes: Any) -> Callable[[Command], Command]:
    """An option that is also a variable, named in its help."""
    attributes.setdefault("envvar", "JOBLOG_" + name[2:].replace("-", "_").upper())
    return click.option(name, *more, show_envvar=True, **attributes)


def several(command: Command, options: Iterable[Callable[[Command], Command]]) -> Command:
    """Give a command these options, in this order in its help."""
    for each in reversed(list(options)):
        command = each(command)
    return command


def text_of(option: str, file: Path) -> str:
    """What is in the file that an option names. Raises Misuse, which says nothing of it."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise Misuse(f"{option} {file}: {reason}") from error


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
    return files_only(url(with_token(command)))


def with_token(command: Command) -> Command:
    """Let a command say who it is to the server: see TOKEN."""
    token = option(
        "--token", metavar="SECRET", expose_value=False, callback=_keep_token,
        help="Who you are to the server; better set than typed.",
    )  # fmt: skip
    return token(command)


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


def _keep_token(ctx: click.Context, _: click.Parameter, token: str | None) -> None:
    """For whoever connects, whichever command it is. Raises Misuse, which does not say it back."""
    if token and not _SECRET.fullmatch(token):
        raise Misuse("--token: that is no token; `joblog token` makes them")
    ctx.meta[TOKEN] = token or None


def json_too(command: Command) -> Command:
    """Give a command `as_json`."""
    json = option(
        "--json", "as_json", is_flag=True, show_default=False,
        help="Print JSON lines on a terminal too.",
    )  # fmt: skip
    return json(command)
