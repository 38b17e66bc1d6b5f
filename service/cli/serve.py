"""`serve`: the whole service in this process, until it is told to stop.

Options become `Settings`, and everything else is `service.server`'s. A start that is refused says
who holds the log, where it is damaged, or which setting is wrong, in one line; a failure that
nobody foresaw keeps its traceback.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from eventstore.file.directory import read_log_id
from eventstore.file.disk import SystemDisk
from service.cli.failure import Failure, Misuse
from service.cli.logs import log_to_stderr
from service.cli.options import Seconds, command, files_only, option
from service.cli.place import Place
from service.server import CannotListenError, serve
from service.settings import HOST, PORT, Settings
from service.version import VERSION
from service.wiring import CannotServeError

_DEFAULT = Settings()

logger = logging.getLogger("joblog.serve")


@command(
    "serve",
    "joblog serve",
    "joblog serve --data /var/lib/joblog --port 9000 --processors mypackage.jobs",
)
@option("--host", metavar="ADDRESS", default=HOST, help="The address to listen on.")
@option("--port", type=click.IntRange(0, 65535), default=PORT, help="0: any that is free.")
@option(
    "--concurrency", type=click.IntRange(1), default=_DEFAULT.concurrency,
    help="Attempts at a time.",
)  # fmt: skip
@option("--processors", metavar="MODULE", help="A module whose processors are added.")
@option("--no-worker", is_flag=True, show_default=False, help="Take jobs, but run none.")
@option(
    "--log-format", type=click.Choice(["text", "json"]), default="text",
    help="Of the lines on stderr.",
)  # fmt: skip
@option(
    "--lease", metavar="SECONDS", type=Seconds(0, min_open=True),
    default=_DEFAULT.lease_s, help="How long a claim lasts unless renewed.",
)  # fmt: skip
@option(
    "--drain", metavar="SECONDS", type=Seconds(0), default=_DEFAULT.drain_s,
    help="How long attempts may go on after SIGTERM.",
)  # fmt: skip
@option(
    "--backoff-base", metavar="SECONDS", type=Seconds(0),
    default=_DEFAULT.backoff_base_s, help="The longest wait after a first failure.",
)  # fmt: skip
@option(
    "--allow-host", metavar="NAME", multiple=True,
    help="A name that others call this server by; may be given again.",
)  # fmt: skip
@option("--insecure", is_flag=True, show_default=False, help="Listen where others reach it.")
@option("--seed", type=int, help="Of all dice, for repeatable trials.")
@option(
    "--email-failure-rate", type=click.FloatRange(0, 1), default=_DEFAULT.email_failure_rate,
    help="The share of simulated attempts that fail.",
)  # fmt: skip
@option(
    "--email-latency", metavar="SECONDS", type=Seconds(0),
    default=_DEFAULT.email_latency_s, help="How long a simulated attempt takes.",
)  # fmt: skip
@files_only
def serve_jobs(*, place: Place, log_format: str, **given: Any) -> None:
    """Take jobs over HTTP and run them."""
    log_to_stderr(log_format)
    try:
        asyncio.run(_serve(place, _settings(place, given)))
    except CannotServeError as error:
        raise Misuse(str(error)) from error
    except CannotListenError as error:
        raise Failure(str(error)) from error


async def _serve(place: Place, settings: Settings) -> None:
    if settings.processors is not None:
        sys.path.insert(0, str(Path.cwd()))  # which a console script does not do by itself
    if not await serve(settings, started=lambda url: _announce(place, url)):
        logger.warning("a processor does not stop and is abandoned; all that matters is recorded")
        logging.shutdown()
        os._exit(0)


def _settings(place: Place, given: dict[str, Any]) -> Settings:
    return Settings(
        store=place.store,
        host=given["host"],
        port=given["port"],
        concurrency=given["concurrency"],
        work=not given["no_worker"],
        processors=given["processors"],
        lease_s=given["lease"],
        drain_s=given["drain"],
        allowed_hosts=given["allow_host"],
        insecure=given["insecure"],
        backoff_base_s=given["backoff_base"],
        email_failure_rate=given["email_failure_rate"],
        email_latency_s=given["email_latency"],
        seed=given["seed"],
    )


def _announce(place: Place, url: str) -> None:
    """The one line that says it is up."""
    where = f"store {place.store}"
    if place.root is not None:
        where = f"data {place.root}, log {read_log_id(SystemDisk(), place.root)}"
    click.echo(f"joblog {VERSION} serving {url} ({where})", err=True)
