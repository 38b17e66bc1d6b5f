"""`worker`: runs the jobs of a server on another machine, until it is told to stop.

It claims over HTTP (`service.remote`), so all it needs is the server's address, and the processors
of the kinds that it shall run: the user's own, or those that are named. A first SIGTERM or SIGINT
stops claiming, lets attempts finish for `--drain` seconds and gives the rest back; a second ends
the process at once.
"""

import asyncio
import os
import socket
from typing import Any

import click
import httpx2

from service.catalogue import BUILT_IN, catalogue
from service.cli.client import address_of
from service.cli.failure import Failure, Misuse
from service.cli.options import TOKEN, command, option, with_token
from service.cli.working import run_to_the_end, working_options, working_settings
from service.processors import Registry
from service.remote import ANSWER_S, CannotWorkError, RemoteLedger, RemoteWorker
from service.server import stop_signals
from service.settings import Settings
from service.version import VERSION


@command(
    "worker",
    "joblog worker --url http://jobs.example:8080 --processors mypackage.jobs",
    "joblog worker --url http://jobs.example:8080 --kind report --concurrency 4",
)
@option("--url", metavar="URL", required=True, help="The server's address.")
@with_token
@option("--kind", "kinds", metavar="KIND", multiple=True, help="This one; may be given again.")
@working_options
def run_worker(*, url: str, kinds: tuple[str, ...], log_format: str, **given: Any) -> None:
    """Run a server's jobs on this machine."""
    address_of(url)
    settings = working_settings(given)
    try:
        run_to_the_end(_work(url, _token(), settings, kinds), settings, log_format)
    except CannotWorkError as error:
        raise Failure(f"{url}: {error}") from error


def _token() -> str | None:
    found = click.get_current_context().meta[TOKEN]
    return None if found is None else str(found)


def _chosen(registry: Registry, kinds: tuple[str, ...]) -> list[str]:
    """The kinds to work on: those named, or else the user's own. The built-in ones must be named:
    whoever does not say how this machine sends mail has not set it up for that.

    Raises Misuse for one that has no processor here, and for none at all.
    """
    runnable = registry.runnable()
    unknown = sorted(set(kinds) - set(runnable))
    if unknown:
        raise Misuse(f"no processor for {', '.join(unknown)} here, but for {', '.join(runnable)}")
    chosen = list(kinds) or [kind for kind in runnable if kind not in BUILT_IN]
    if not chosen:
        raise Misuse("which kinds? Give --processors MODULE for your own, or --kind")
    return chosen


async def _work(url: str, token: str | None, settings: Settings, kinds: tuple[str, ...]) -> bool:
    """Work until a signal; whether everything stopped."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        catalogue(settings) as registry,
        httpx2.AsyncClient(
            base_url=url, headers=headers, timeout=ANSWER_S, trust_env=False
        ) as client,
    ):
        chosen = _chosen(registry, kinds)
        ledger = RemoteLedger(client, worker=f"{socket.gethostname()[:40]}-{os.getpid()}")
        worker = RemoteWorker(ledger, registry, chosen, concurrency=settings.concurrency)
        click.echo(f"joblog {VERSION} working for {url} on {', '.join(chosen)}", err=True)
        await _until_told(worker, settings.drain_s)
    return worker.running == 0


async def _until_told(worker: RemoteWorker, drain_s: float) -> None:
    """Run a worker until a signal, then drain it. Raises CannotWorkError."""
    with stop_signals() as stop:
        working = asyncio.create_task(worker.run(), name="worker")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        worker.stop()
        await asyncio.wait([working])
        await worker.drain(drain_s)
        working.result()
