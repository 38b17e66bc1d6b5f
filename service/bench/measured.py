"""What a row found out, before it is compared with its target.

`value` and `floor` are in the row's unit; `more` holds figures that explain it, each with its unit
in its name. Whether the target holds is `table`'s to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


class MeasurementError(Exception):
    """Something could not be measured, so there is no report: a server that ended, say, or an
    answer that was none.
    """


@dataclass(frozen=True, slots=True)
class Measured:
    """See the module. `warnings` say what to keep in mind with these figures."""

    value: float
    floor: float | None = None
    more: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
