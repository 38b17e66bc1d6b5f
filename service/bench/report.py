"""What a run found out, told twice: as lines for people, and as one document for programs.

Both say the same. The lines end in a table, so that they can be pasted as they are; in the document
every figure has its unit in its name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from service.bench.measured import Measured
from service.bench.table import ROWS, Form, Row

GAP = "  "
HEADERS: Final = (
    "", "measured", "floor", "score", "target", "", "aim", "commits/s", "bytes/job", "more",
)  # fmt: skip
OWN_COLUMNS: Final = ("commits_per_s", "bytes_per_job")
LEFT: Final = frozenset({0, 5, 9})  # columns that begin together; the others end together


@dataclass(frozen=True, slots=True)
class Report:
    """Measured rows by name, in order; `took_s` is how long all of it took."""

    machine: Mapping[str, Any]
    jobs: int
    took_s: float
    measured: Mapping[str, Measured]
    warnings: Sequence[str]

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "machine": dict(self.machine),
            "jobs": self.jobs,
            "took_s": round(self.took_s, 1),
            "rows": [_member(ROWS[name], found) for name, found in self.measured.items()],
            "warnings": self._warnings(),
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        yield from _about(self.machine)
        yield f"sizes     {self.jobs:,} jobs where their number is the point"
        yield f"took      {self.took_s:.0f} s"
        yield ""
        yield from _aligned([HEADERS, *(_cells(ROWS[n], m) for n, m in self.measured.items())])
        for warning in self._warnings():
            yield f"warning: {warning}"

    def _warnings(self) -> list[str]:
        ours = [f"{name}: {each}" for name, row in self.measured.items() for each in row.warnings]
        return [*self.warnings, *ours]


def figure(value: float) -> str:
    """A number with three digits that matter, or all of those before the point."""
    if abs(value) >= 100:  # noqa: PLR2004  three digits
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _about(machine: Mapping[str, Any]) -> Iterator[str]:
    software = machine["versions"]
    syncs = f"{figure(machine['sync_p50_ms'])} ms, p99 {figure(machine['sync_p99_ms'])} ms"
    yield f"machine   {machine['cores']} cores of {machine['cpu']}, {machine['system']}"
    yield f"disk      {machine['filesystem'] or 'unknown'}; append and sync: p50 {syncs}"
    yield f"software  {', '.join(f'{name} {version}' for name, version in software.items())}"


def _member(row: Row, found: Measured) -> dict[str, Any]:
    unit = row.unit.replace("/", "_per_").replace("µ", "u").lower()
    score = row.score(found.value, found.floor)
    bound = "min" if row.form is Form.SHARE else "max"
    ratio = row.form in (Form.SHARE, Form.TIMES)
    bound = bound if ratio else f"{bound}_{unit}"
    member = {"name": row.name, f"measured_{unit}": _rounded(found.value)}
    if found.floor is not None:
        member[f"floor_{unit}"] = _rounded(found.floor)
    member["ratio" if ratio else f"score_{unit}"] = _rounded(score)
    member[f"target_{bound}"] = row.target
    member["holds"] = row.holds(score)
    if row.aim is not None:
        member[f"aim_{bound}"] = row.aim
    return member | {name: _rounded(value) for name, value in found.more.items()}


def _rounded(value: float) -> float:
    """To what can be told apart."""
    return float(f"{value:.4g}")


def _cells(row: Row, found: Measured) -> list[str]:
    score = row.score(found.value, found.floor)
    more = {name: value for name, value in found.more.items() if name not in OWN_COLUMNS}
    own = [figure(found.more[name]) if name in found.more else "" for name in OWN_COLUMNS]
    plus = "+" if row.form is Form.MORE and score >= 0 else ""
    return [
        row.name,
        f"{figure(found.value)} {row.unit}",
        "" if found.floor is None else f"{figure(found.floor)} {row.unit}",
        f"{plus}{figure(score)}",
        row.wanted,
        "" if row.holds(score) else "MISSED",
        row.wished,
        *own,
        ", ".join(_told(name, value) for name, value in more.items()),
    ]


def _told(name: str, value: float) -> str:
    """`p99_ms` 12.3 as `p99 12.3 ms`."""
    words = name.split("_")
    *what, unit = [*words[:-3], f"{words[-3]}/{words[-1]}"] if "per" in words else words
    return " ".join([*what, figure(value), unit])


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place in LEFT else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield GAP.join(cells).rstrip()
