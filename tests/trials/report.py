"""README's table of the trials, made of what the last long run kept in `figures.json`.

A reader sees for each level what it breaks, what it came to, and under which commit; so the table
cannot be better than the run was. A level that could not run where the run was says why.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.trials.level import Level
from tests.trials.levels import LEVELS

README: Final = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- trials -->\n", "<!-- end of trials -->\n"
NONE_YET: Final = "*The long form has not come to its end yet; its figures will stand here.*"


def table(document: Mapping[str, Any]) -> Iterator[str]:
    """The table's lines."""
    yield f"| level | breaks | went through, at commit `{document['commit']}` |"
    yield "|---|---|---|"
    for level in LEVELS:
        yield f"| {level.name} | {level.breaks} | {_went_through(level, document['levels'])} |"


def _went_through(level: Level, levels: Mapping[str, Any]) -> str:
    found = levels.get(level.name)
    if found is None:
        return "not run"
    if "skipped" in found:
        return f"could not run: {found['skipped']}"
    return ", ".join(f"{number:,} {name}" for name, number in found["figures"].items())


def put_into(readme: str, document: Mapping[str, Any]) -> str:
    """The README with this table in the place of the one it has."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after, f"README.md has no {BEGIN.strip()} or no {END.strip()}"
    return before + BEGIN + "\n".join(table(document)) + "\n" + END + after
