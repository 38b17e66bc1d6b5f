"""The options of `enqueue` that spell an e-mail, and the message that they make.

They are sent as they were typed, by the names of the API: what is valid is the server's to say.
Tags, headers and whatever else a message may have are given with `--payload`.
"""

from typing import Any

import click

from service.cli.options import Command, option


class _Addresses(click.types.StringParamType):
    """In a variable, one a line: a name may hold spaces and commas."""

    envvar_list_splitter = "\n"


_ONE = {
    "subject": option("--subject", metavar="TEXT", help="Of an e-mail."),
    "body": option("--body", metavar="TEXT", help="Of an e-mail: plain text."),
    "html": option("--html", metavar="TEXT", help="Of an e-mail: the same as HTML."),
    "from": option("--from", metavar="ADDRESS", help="Of an e-mail: not the server's own."),
}
_MANY = {
    name: option(
        f"--{name.replace('_', '-')}", metavar="ADDRESS", multiple=True, type=_Addresses(),
        help=f"Of an e-mail: {what}; may be given again.",
    )
    for name, what in {
        "to": "a recipient",
        "cc": "who gets a copy",
        "bcc": "who gets one unseen",
        "reply_to": "where answers go",
    }.items()
}  # fmt: skip


def message_options(command: Command) -> Command:
    """Give a command the options."""
    for each in reversed([*_MANY.values(), *_ONE.values()]):
        command = each(command)
    return command


def message_of(given: dict[str, Any]) -> dict[str, Any]:
    """The message that they spell, taken out of what was given; empty when they spell none."""
    message: dict[str, Any] = {}
    for name in _MANY:
        if addresses := given.pop(name):
            message[name] = addresses[0] if len(addresses) == 1 else list(addresses)
    for name in _ONE:
        if (value := given.pop(name)) is not None:
            message[name] = value
    return message
