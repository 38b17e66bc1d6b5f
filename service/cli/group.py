"""The group of commands: loaded one at a time, and every failure told in one line.

A command's module is imported when that command is run, and `--help` knows the summaries without
importing any. So looking at a list does not wait for a web server to load.

Failures of the world end in one line on stderr that says what is so and what to do, and in an exit
code that a script can act on:

| code | means |
|------|-------|
| 0    | done; the answer is yes |
| 1    | the answer is no: no such job, no server, differences, not possible |
| 2    | usage |
| 3    | the log is damaged |
| 130  | interrupted |

What nobody foresaw keeps its traceback: it is a fault of ours. No command lives here.
"""

import errno
import os
from importlib import import_module
from typing import Any, NamedTuple

import click

from eventstore.errors import StoreCorrupt, StoreError, Unsupported
from service.cli.failure import Damage, Failure, Misuse

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Entry(NamedTuple):
    """Where a command is defined, and what it does."""

    module: str
    name: str
    summary: str


class Commands(click.Group):
    """Commands by name; see the module."""

    entries: dict[str, Entry]

    def __init__(self, entries: dict[str, Entry], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        del ctx
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(entry.module), entry.name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in `--help`."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn what the world did to it into a line and an exit code."""
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except StoreCorrupt as error:
            raise Damage(str(error)) from error
        except Unsupported as error:
            raise Misuse(str(error)) from error
        except StoreError as error:
            raise Failure(str(error)) from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.EPIPE:  # who read us has enough: click ends it silently
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"{where}{error.strerror or error}") from error
