"""What a command that cannot do its work says: one line, with the next step, and an exit code.

They are exceptions of click's, so click prints them on stderr and ends the process; nothing here
prints. Text from elsewhere (a server's words, a file's) goes through `plain`, so that it cannot
play tricks on a terminal.
"""

from typing import ClassVar

import click

from service.cli.plain import plain


class Failure(click.ClickException):
    """The answer is no. Ends the command with this line."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


class Misuse(Failure):
    """What was asked for makes no sense."""

    exit_code: ClassVar[int] = 2


class Damage(Failure):
    """The log is not what it was."""

    exit_code: ClassVar[int] = 3
