"""What a table is, whatever it is written as."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from sprec.report.labels import Label
from sprec.report.tables.latex_text import escape_latex

# The level at which a corrected p-value counts.
LEVEL = 0.05


@dataclass(frozen=True)
class MeanStd:
    """Mean and sample standard deviation (n − 1) over seeds."""

    mean: float
    std: float


@dataclass(frozen=True)
class Difference:
    """A mean difference to a baseline, its 95 % interval, and its p-value corrected for all in the table.

    `seeds` are those that both have, over which it is.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: tuple[int, ...] = ()

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is at most 5 % and the interval leaves 0 out."""
        # Said so that bounds that are no numbers, of a score that nobody has, are not significant.
        return self.p <= LEVEL and (self.low > 0 or self.high < 0)


# A value of a table; None is a value that was not measured.
Cell: TypeAlias = str | int | float | MeanStd | Difference | None

Mark: TypeAlias = Literal["best", "second"]


@dataclass(frozen=True)
class Table:
    """Rows under columns, the first `names` of which name a row.

    `notes` stand below; the last one says where the numbers come from. `groups` are heads above the
    columns, one per column ("" for none), and equal neighbours share one head. `arrows` say by column which
    direction is better. `marks` are keyed by row and column number; `rules` are the numbers of rows that
    have a line above them, `row_heads` what stands above a row as the head of those that follow. `label` is
    the one that LaTeX refers to. Numbers have `digits` decimals, and no 0 before the point where `compact`.
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
    row_heads: Mapping[int, str] = field(default_factory=dict)
    label: str = ""
    digits: int = 4
    compact: bool = False

    def text(self, row: int, column: int) -> str:
        """Return a cell as people read it."""
        text = format_cell(self.rows[row][column], self.digits)
        return drop_zeros(text) if self.compact and column >= self.names else text

    @property
    def heads(self) -> list[str]:
        """The column heads, each with an arrow to the better side."""
        return [
            _with_arrow(head, self.arrows[head]) if head in self.arrows else head for head in self.columns
        ]


def format_cell(cell: Cell, digits: int = 4) -> str:
    """Return a cell as people read it; a deviation that rounds to 0 is left out.

    >>> format_cell(MeanStd(0.01, 0.002)), format_cell(Difference(0.01, -0.002, 0.02, 0.3)), format_cell(None)
    ('0.0100 ± 0.0020', '+0.0100 [−0.0020, +0.0200]', '–')
    >>> format_cell(MeanStd(0.5, 0.00001)), format_cell(0.25, digits=3)
    ('0.5000', '0.250')
    """
    match cell:
        case None:
            return "–"
        case MeanStd(mean, std):
            deviation = f"{std:.{digits}f}"
            return f"{mean:.{digits}f}" + (f" ± {deviation}" if float(deviation) else "")
        case Difference(mean, low, high, _):
            star = "*" if cell.significant else ""
            bounds = ", ".join(format_signed(bound, digits) for bound in (low, high))
            return f"{format_signed(mean, digits)}{star} [{bounds}]"
        case float():
            return f"{cell:.{digits}f}"
        case _:
            return str(cell)


def format_signed(value: float, digits: int = 4) -> str:
    """Return a number with its sign; what rounds to 0 has no sign.

    >>> format_signed(-0.00123), format_signed(0.00001)
    ('−0.0012', '0.0000')
    """
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text[1:] if float(f"{value:.{digits}f}") == 0 else text


def format_range(counts: Iterable[int]) -> str:
    """Return whole numbers as the one that they all are, or as their range.

    >>> format_range([3, 3]), format_range([2, 1, 3])
    ('3', '1 to 3')
    """
    numbers = sorted(counts)
    return f"{numbers[0]}" if numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"


def drop_zeros(text: str) -> str:
    """Return a text whose numbers have no 0 before the point.

    >>> drop_zeros("0.036 ± 0.006"), drop_zeros("−0.012 [10.5]")
    ('.036 ± .006', '−.012 [10.5]')
    """
    return re.sub(r"(?<![\d.])0(?=\.\d)", "", text)


def transpose(table: Table) -> Table:
    """Return the table with rows as columns; heads of row groups and of column groups change places."""
    groups = list(table.groups) or [""] * len(table.columns)
    # Those of no group come first: below a group they would seem to be of it.
    numbers = sorted(range(table.names, len(table.columns)), key=lambda place: groups[place] != "")
    place_of = {column: row for row, column in enumerate(numbers)}
    before = [None, *numbers]
    heads = {
        row: groups[place]
        for row, (one, place) in enumerate(zip(before, numbers, strict=False))
        if groups[place] and (one is None or groups[one] != groups[place])
    }
    above, group = [], ""
    for row in range(len(table.rows)):
        group = table.row_heads.get(row, group)
        above.append(group)
    names = [_join_names(row[: table.names]) for row in table.rows]
    return replace(
        table,
        columns=("score", *names),
        rows=tuple((table.heads[place], *(row[place] for row in table.rows)) for place in numbers),
        names=1,
        groups=("", *above) if table.row_heads else (),
        row_heads=heads,
        arrows={},
        marks={(place_of[place], row + 1): mark for (row, place), mark in table.marks.items()},
        rules=tuple(row for row in heads if row),
    )


def _with_arrow(head: str, arrow: str) -> Label:
    """Return a head with an arrow, which its own LaTeX gets as well."""
    own = head.latex if isinstance(head, Label) else ""
    return Label(f"{head} {arrow}", f"{own} {escape_latex(arrow)}" if own else "")


def _join_names(cells: Sequence[Cell]) -> Label:
    """Return the names of a row as one, with LaTeX where one of them has its own."""
    names = [cell if isinstance(cell, Label) else Label(str(cell)) for cell in cells if cell != "–"]
    own = " × ".join(names)
    return Label(
        own, r" $\times$ ".join(map(escape_latex, names)) if any(name.latex for name in names) else ""
    )
