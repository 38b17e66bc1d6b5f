"""The kinds of jobs that a process knows: the built-in ones as the settings have them, those of a
module of the user's, and those that only remote workers run.

The built-in kinds keep things open between jobs (connections to a mail server, to the receivers of
webhooks), so a catalogue is opened and closed: after its end nothing of it may run. The server and
a remote worker open the same one. Kinds that cannot work as they are set up are refused here,
before a job is taken.
"""

import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from projections.events import BackoffPolicy
from service import backoff
from service.processors import Processor, Registry, remote_kind
from service.processors.email import email_processor
from service.processors.email.configured import stationery_of, transport_of
from service.processors.webhook import Courier, webhook_processor
from service.settings import CannotServeError, Settings

BUILT_IN = frozenset({"email", "webhook"})


@asynccontextmanager
async def catalogue(settings: Settings) -> AsyncIterator[Registry]:
    """The kinds, for the length of a `with`. Raises CannotServeError."""
    with _refusing("e-mail"):
        transport = transport_of(settings.email, seed=settings.seed or 0)
        stationery = stationery_of(settings.email)
    with _refusing("webhooks"):
        courier = Courier(settings.webhook)
    policy = BackoffPolicy({**backoff.DEFAULT, "base_s": settings.backoff_base_s})
    registry = Registry(
        email_processor(transport, backoff=policy, stationery=stationery),
        webhook_processor(courier, backoff=policy),
    )
    _add_own(registry, settings.processors, policy)
    _add_remote(registry, settings.remote_kinds, policy)
    try:
        yield registry
    finally:
        await courier.aclose()
        await transport.aclose()


def _add_own(registry: Registry, module_name: str | None, policy: BackoffPolicy) -> None:
    """The processors of a module; each once, whatever its names there. One that does not say how
    long to wait between attempts waits as the settings say.
    """
    if module_name is None:
        return
    try:
        module = importlib.import_module(module_name)
        found = {id(each): each for each in vars(module).values() if isinstance(each, Processor)}
        for each in found.values():
            unsaid = each.backoff is backoff.DEFAULT
            registry.add(replace(each, backoff=policy) if unsaid else each)
    except Exception as error:
        name = type(error).__name__
        raise CannotServeError(f"--processors {module_name}: {name}: {error}") from error


def _add_remote(registry: Registry, kinds: tuple[str, ...], policy: BackoffPolicy) -> None:
    for kind in kinds:
        with _refusing(f"--remote-kind {kind}"):
            registry.add(replace(remote_kind(kind), backoff=policy))


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """A setting that cannot work is the operator's to mend."""
    try:
        yield
    except ValueError as error:
        raise CannotServeError(f"{what}: {error}") from error
