"""The options of a process that runs jobs, `serve` or `worker`, and how such a process ends.

What is here is said once for both: how many attempts at a time, whose processors, how the built-in
kinds are set up, how long attempts may go on after SIGTERM. A processor that does not stop is left
behind with its process: all that matters is recorded by then, or its lease will end.
"""

import logging
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click
import uvloop

from service.cli.email import email_options, email_settings
from service.cli.failure import Misuse
from service.cli.logs import log_to_stderr
from service.cli.options import Command, Seconds, option, several
from service.cli.webhook import webhook_options, webhook_settings
from service.settings import CannotServeError, Settings

_DEFAULT = Settings()
_OPTIONS = [
    option(
        "--concurrency", type=click.IntRange(1), default=_DEFAULT.concurrency,
        help="Attempts at a time.",
    ),
    option("--processors", metavar="MODULE", help="A module whose processors are added."),
    option(
        "--drain", metavar="SECONDS", type=Seconds(0), default=_DEFAULT.drain_s,
        help="How long attempts may go on after SIGTERM.",
    ),
    option(
        "--log-format", type=click.Choice(["text", "json"]), default="text",
        help="Of the lines on stderr.",
    ),
    email_options,
    webhook_options,
]  # fmt: skip

logger = logging.getLogger("joblog.worker")


def working_options(command: Command) -> Command:
    """Give a command the options."""
    return several(command, _OPTIONS)


def working_settings(given: dict[str, Any], **more: Any) -> Settings:
    """What they say, and what a command adds of its own."""
    return Settings(
        concurrency=given["concurrency"],
        processors=given["processors"],
        drain_s=given["drain"],
        email=email_settings(given),
        webhook=webhook_settings(given),
        **more,
    )


def run_to_the_end(work: Coroutine[Any, Any, bool], settings: Settings, log_format: str) -> None:
    """Run what returns whether everything has stopped. Raises Misuse for unfit settings."""
    log_to_stderr(log_format)
    if settings.processors is not None:
        sys.path.insert(0, str(Path.cwd()))  # which a console script does not do by itself
    try:
        uvloop.run(_ended(work))
    except CannotServeError as error:
        raise Misuse(str(error)) from error


async def _ended(work: Coroutine[Any, Any, bool]) -> None:
    """Here and not after the loop, which would wait for whoever does not stop."""
    if not await work:
        logger.warning("a processor does not stop and is abandoned; all that matters is recorded")
        logging.shutdown()
        os._exit(0)
