"""The long form: `python -m tests.trials`, from the top of a clone.

python -m tests.trials                         ten minutes of each level
python -m tests.trials --minutes 480 --record  a night, kept in figures.json for the README
python -m tests.trials --only 'crash points' --seed 4294967311 --minutes 0
                                               one round again
"""

import subprocess
import sys
from pathlib import Path

import click
import orjson

from tests.trials.level import LONG, Figures
from tests.trials.levels import LEVELS
from tests.trials.report import README, put_into
from tests.trials.run import BrokenPromiseError, document, named, try_level

FIGURES = Path(__file__).with_name("figures.json")
PROCESSES = 2


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="For each level.")
@click.option("--only", multiple=True, type=click.Choice([level.name for level in LEVELS]))
@click.option("--seed", default=LONG, help="Of the first round.")
@click.option("--processes", default=PROCESSES, show_default=True, help="Rounds side by side.")
@click.option("--record", is_flag=True, help="Keep the figures, and put them into README.md.")
def main(minutes: float, only: tuple[str, ...], seed: int, processes: int, record: bool) -> None:
    """Try to make joblog break a promise, for as long as you have time."""
    tried = {}
    for level in named(*only):
        try:
            tried[level.name] = try_level(
                level, seed=seed, seconds=60 * minutes, processes=processes, told=_tell
            )
        except BrokenPromiseError as broken:
            click.echo(f"\nBROKEN: {broken}", err=True)
            sys.exit(1)
        click.echo()
    found = document(_commit(), tried)
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if record:
        FIGURES.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
        README.write_text(put_into(README.read_text(), found))


def _tell(name: str, figures: Figures) -> None:
    told = ", ".join(f"{number:,} {what}" for what, number in figures.items())
    click.echo(f"\r{name}: {told}", nl=False, err=True)


def _commit() -> str:
    """The commit that is tried; one with changes is named as such."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return told.stdout.strip()


if __name__ == "__main__":
    main()
