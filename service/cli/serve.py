"""`serve`: the whole service in this process, until it is told to stop.

Options become `Settings`, and everything else is `service.server`'s. A start that is refused says
who holds the log, where it is damaged, or which setting is wrong, in one line; a failure that
nobody foresaw keeps its traceback.
"""

from typing import Any

import click

from eventstore.file.directory import read_log_id
from eventstore.file.disk import SystemDisk
from service.cli.failure import Failure
from service.cli.options import Seconds, command, files_only, option
from service.cli.place import Place
from service.cli.working import run_to_the_end, working_options, working_settings
from service.server import CannotListenError, serve
from service.settings import HOST, PORT, Settings
from service.version import VERSION

_DEFAULT = Settings()


@command(
    "serve",
    "joblog serve",
    "joblog serve --data /var/lib/joblog --port 9000 --processors mypackage.jobs",
)
@option("--host", metavar="ADDRESS", default=HOST, help="The address to listen on.")
@option("--port", type=click.IntRange(0, 65535), default=PORT, help="0: any that is free.")
@option(
    "--remote-kind", metavar="KIND", multiple=True,
    help="A kind that only remote workers run; may be given again.",
)  # fmt: skip
@option("--no-worker", is_flag=True, show_default=False, help="Take jobs, but run none.")
@option(
    "--lease", metavar="SECONDS", type=Seconds(0, min_open=True),
    default=_DEFAULT.lease_s, help="How long a claim lasts unless renewed.",
)  # fmt: skip
@option(
    "--cancel-grace", metavar="SECONDS", type=Seconds(0), default=_DEFAULT.cancel_grace_s,
    help="For an attempt to stop once it was cancelled.",
)  # fmt: skip
@option(
    "--backoff-base", metavar="SECONDS", type=Seconds(0),
    default=_DEFAULT.backoff_base_s,
    help="The longest wait after a first failure, of kinds that do not say.",
)  # fmt: skip
@option(
    "--max-pending", type=click.IntRange(1), default=_DEFAULT.max_pending,
    help="Open jobs; intake closes for what would be more.",
)  # fmt: skip
@option(
    "--allow-host", metavar="NAME", multiple=True,
    help="A name that others call this server by; may be given again.",
)  # fmt: skip
@option(
    "--tokens-file", metavar="FILE", type=click.Path(),
    help="Who may ask what, a line each: NAME sha256:HEX SCOPE[,SCOPE…].",
)  # fmt: skip
@option("--tokens", metavar="LINES", default="", help="Such lines, separated by semicolons.")
@option(
    "--insecure", is_flag=True, show_default=False,
    help="Listen where others reach it, without tokens.",
)  # fmt: skip
@option(
    "--max-connections", type=click.IntRange(1), default=_DEFAULT.connections_max,
    help="At a time; more are closed at once.",
)  # fmt: skip
@option(
    "--max-waiting", type=click.IntRange(0), default=_DEFAULT.held_max,
    help="Requests that are held at a time: long polls, streams, claims.",
)  # fmt: skip
@option("--seed", type=int, help="Of all dice, for repeatable trials.")
@working_options
@files_only
def serve_jobs(*, place: Place, log_format: str, **given: Any) -> None:
    """Take jobs over HTTP and run them."""
    settings = _settings(place, given)
    try:
        serving = serve(settings, started=lambda url: _announce(place, url))
        run_to_the_end(serving, settings, log_format)
    except CannotListenError as error:
        raise Failure(str(error)) from error


def _settings(place: Place, given: dict[str, Any]) -> Settings:
    return working_settings(
        given,
        store=place.store,
        host=given["host"],
        port=given["port"],
        work=not given["no_worker"],
        remote_kinds=given["remote_kind"],
        lease_s=given["lease"],
        cancel_grace_s=given["cancel_grace"],
        max_pending=given["max_pending"],
        allowed_hosts=given["allow_host"],
        tokens=given["tokens"],
        tokens_file=given["tokens_file"],
        connections_max=given["max_connections"],
        held_max=given["max_waiting"],
        insecure=given["insecure"],
        backoff_base_s=given["backoff_base"],
        seed=given["seed"],
    )


def _announce(place: Place, url: str) -> None:
    """The one line that says it is up."""
    where = f"store {place.store}"
    if place.root is not None:
        where = f"data {place.root}, log {read_log_id(SystemDisk(), place.root)}"
    click.echo(f"joblog {VERSION} serving {url} ({where})", err=True)
