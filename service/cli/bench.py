"""`bench`: joblog measured on this machine, each row beside a floor and a target.

The work is `service.bench`'s. Here it is told how much, where, and which rows; and what comes out
is printed. A target that is missed is marked, and no failure: the exit code says only whether all
of it could be measured.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import orjson

from eventstore.errors import StoreError
from service.bench.ground import Advance
from service.bench.measured import MeasurementError
from service.bench.plan import Plan
from service.bench.run import measure
from service.bench.table import ROWS
from service.cli.failure import Failure
from service.cli.options import command, json_too, option
from service.cli.output import print_text
from service.cli.progress import progress

JOBS_MIN = 100  # a tenth of them, the short queue, must be some

_DEFAULT = Plan()


@command(
    "bench",
    "joblog bench",
    "joblog bench --only intake --only latency",
    "joblog bench --jobs 1000000 --data /var/lib",
)
@option(
    "--jobs", metavar="N", type=click.IntRange(JOBS_MIN), default=_DEFAULT.jobs,
    help="Finished or pending jobs, in rows where their number is the point.",
)  # fmt: skip
@option(
    "--only", metavar="ROW", type=click.Choice(list(ROWS)), multiple=True,
    help=f"Measure this row; may be given again. {', '.join(ROWS)}.",
)  # fmt: skip
@option(
    "--data", metavar="DIR", default=".", type=click.Path(exists=True, file_okay=False),
    help="Where to make a directory for all data; it is removed at the end.",
)  # fmt: skip
@json_too
def measure_all(*, jobs: int, only: tuple[str, ...], data: str, as_json: bool) -> None:
    """Measure joblog on this machine."""
    plan = Plan(jobs=jobs)
    try:
        report = measure(only, plan, Path(data), _silent if as_json else progress)
    except (MeasurementError, StoreError) as error:
        raise Failure(f"this could not be measured: {error}") from error
    if as_json:
        click.echo(orjson.dumps(report.document(), option=orjson.OPT_INDENT_2))
    else:
        for line in report.lines():
            print_text(line)


@contextmanager
def _silent(length: int, label: str) -> Iterator[Advance]:
    del length, label
    yield lambda _: None
