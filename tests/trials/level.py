"""What a level is: rounds that follow from seeds, and what their figures mean.

Not here: which levels there are (`levels`), and how many rounds somebody wants of them.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

Figures: TypeAlias = Mapping[str, int]  # what a round went through, by name
Round: TypeAlias = Callable[[int], Figures]

LONG: Final = 1 << 32  # the long form's seeds begin here: it tries nothing that CI did already


class CannotRunError(Exception):
    """What a round needs is not to be had on this machine; the reason says what."""


class Level(NamedTuple):
    """One sort of trouble.

    `round` raises AssertionError when a promise is broken and CannotRunError where it cannot be
    tried. `short` is the number of rounds in the short form, in which together each figure comes to
    at least what `least` says. Rounds of a level that is `alone` are not run side by side: they
    measure, or own something that there is one of.
    """

    name: str
    breaks: str
    proves: str
    leaves: str  # what it says nothing about
    round: Round
    short: int
    least: Figures
    alone: bool = False

    def seed(self, number: int) -> int:
        """The seed of one of the short form's rounds."""
        assert 0 <= number < self.short
        return number

    def require_enough(self, figures: Figures) -> None:
        """Raise AssertionError unless one round of the short form did its part."""
        for name, least in self.least.items():
            part = least / self.short
            assert figures[name] >= part, f"{self.name}: {figures[name]} {name}, not {part:g}"
