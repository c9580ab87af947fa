"""What a table is, whatever it is written as."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

# The level at which a corrected p-value counts.
LEVEL = 0.05


@dataclass(frozen=True)
class MeanStd:
    """Mean and sample standard deviation (n − 1) over seeds."""

    mean: float
    std: float


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


# A value of a table; None is a value that was not measured.
Cell: TypeAlias = str | int | float | MeanStd | Difference | None

Mark: TypeAlias = Literal["best", "second"]


@dataclass(frozen=True)
class Table:
    """Rows under columns, the first `names` of which name a row.

    `notes` stand below; the last one says where the numbers come from. `groups` are heads above the
    columns, one per column ("" for none), and equal neighbours share one head. `arrows` say by column which
    direction is better. `marks` are keyed by row and column number; `rules` are the numbers of rows that
    have a line above them.
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

    @property
    def heads(self) -> list[str]:
        """The column heads, each with an arrow to the better side."""
        return [f"{head} {self.arrows[head]}" if head in self.arrows else head for head in self.columns]


def format_cell(cell: Cell) -> str:
    """Return a cell as people read it, with four decimals.

    >>> format_cell(MeanStd(0.01, 0.002)), format_cell(Difference(0.01, -0.002, 0.02, 0.3)), format_cell(None)
    ('0.0100 ± 0.0020', '+0.0100 [−0.0020, +0.0200]', '–')
    """
    match cell:
        case None:
            return "–"
        case MeanStd(mean, std):
            return f"{mean:.4f} ± {std:.4f}"
        case Difference(mean, low, high, _):
            star = "*" if cell.significant else ""
            return f"{format_signed(mean)}{star} [{format_signed(low)}, {format_signed(high)}]"
        case float():
            return f"{cell:.4f}"
        case _:
            return str(cell)


def format_signed(value: float) -> str:
    """Return a number with its sign and four decimals; what rounds to 0 has no sign.

    >>> format_signed(-0.00123), format_signed(0.00001)
    ('−0.0012', '0.0000')
    """
    text = f"{value:+.4f}".replace("-", "−")
    return text[1:] if float(f"{value:.4f}") == 0 else text
