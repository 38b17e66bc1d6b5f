"""A server with a probe beside it: `joblog serve`, and a timer on the same event loop that measures
how late it is called.

    python -m service.bench.probed DIR SECONDS

The timer is set for a millisecond ahead, again and again, for some seconds from the start on. Its
lateness is how long the loop was busy with something else: as long as that, a request would have
waited. What it found is printed on stdout once the server was told to stop.
"""

import asyncio
import sys

import click
import orjson

from eventstore import clock
from service.bench import noop
from service.bench.quantile import quantile
from service.cli.working import run_to_the_end
from service.server import serve
from service.settings import Settings

EVERY_S = 0.001


class Probe:
    """How late its own timer is, in seconds; one value a call."""

    def __init__(self, seconds: float) -> None:
        self.late_s: list[float] = []
        self._seconds = seconds
        self._due = self._until = 0.0

    def begin(self) -> None:
        """Measure from here on."""
        self._until = clock.monotonic() + self._seconds
        self._call_soon()

    def _call_soon(self) -> None:
        self._due = clock.monotonic() + EVERY_S
        asyncio.get_running_loop().call_later(EVERY_S, self._called)

    def _called(self) -> None:
        now = clock.monotonic()
        self.late_s.append(max(0.0, now - self._due))
        if now < self._until:
            self._call_soon()


async def serve_probed(settings: Settings, probe: Probe) -> bool:
    """As `serve`; with the probe, whose findings are printed at the end."""

    def started(url: str) -> None:
        probe.begin()
        click.echo(f"serving {url}", err=True)

    ended = await serve(settings, started=started)
    late_ms = [1000 * late for late in probe.late_s]
    found = {"worst_ms": max(late_ms), "p999_ms": quantile(late_ms, 0.999)}
    click.echo(orjson.dumps(found))
    return ended


def main() -> None:
    """Serve until SIGTERM."""
    root, seconds = sys.argv[1:]
    settings = Settings(store=f"file:{root}", port=0, processors=noop.__name__)
    run_to_the_end(serve_probed(settings, Probe(float(seconds))), settings, "text")


if __name__ == "__main__":
    main()
