"""What a table is, whatever it is written as."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n − 1) over seeds."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Difference:
    """A mean difference to a baseline, its 95 % interval, and its p-value corrected for all in the table."""

    mean: float
    low: float
    high: float
    p: float

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is at most 5 % and the interval leaves 0 out."""
        return self.p <= LEVEL and not self.low <= 0 <= self.high


Cell: TypeAlias = str | int | float | Spread | Difference | None
"""A value of a table; None is a value that was not measured."""

Mark: TypeAlias = Literal["best", "second"]

LEVEL = 0.05


@dataclass(frozen=True)
class Table:
    """Rows under columns, the first `names` of which name a row.

    `notes` stand below; the last of them says where the numbers come from. `groups` are heads above
    columns, one for each or none at all, "" where a column has none; equal neighbours are one head.
    `arrows` say by column which way is better. `marks` are by row and column number, `rules` the
    numbers of rows with a line above.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    names: int = 1
    groups: tuple[str, ...] = ()
    arrows: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[tuple[int, int], Mark] = field(default_factory=dict)
    rules: tuple[int, ...] = ()


def text(cell: Cell) -> str:
    """Return a cell as people read it, with four decimals.

    >>> text(Spread(0.01, 0.002)), text(Difference(0.01, -0.002, 0.02, 0.3)), text(None)
    ('0.0100 ± 0.0020', '+0.0100 [−0.0020, +0.0200]', '–')
    """
    match cell:
        case None:
            return "–"
        case Spread(mean, deviation):
            return f"{mean:.4f} ± {deviation:.4f}"
        case Difference(mean, low, high, _):
            star = "*" if cell.significant else ""
            return f"{signed(mean)}{star} [{signed(low)}, {signed(high)}]"
        case float():
            return f"{cell:.4f}"
        case _:
            return str(cell)


def signed(value: float) -> str:
    """Return a number with its sign and four decimals; what rounds to 0 has none.

    >>> signed(-0.00123), signed(0.00001)
    ('−0.0012', '0.0000')
    """
    shown = f"{value:+.4f}".replace("-", "−")
    return shown[1:] if float(f"{value:.4f}") == 0 else shown
