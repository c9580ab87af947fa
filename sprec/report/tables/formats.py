"""A table as Markdown, CSV, LaTeX, HTML, or on a terminal. Names in it are escaped for each."""

import re
from collections.abc import Callable, Sequence
from csv import writer
from io import StringIO
from typing import TYPE_CHECKING

from sprec.report.tables.html_table import html
from sprec.report.tables.latex_table import latex
from sprec.report.tables.table import Cell, Difference, Spread, Table, text

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

__all__ = ["FORMATS", "csv", "html", "latex", "markdown", "show"]


def markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown, title above and notes below; underlining is HTML's."""
    heads = _marked(_heads(table))
    lines = [heads, ["---"] * table.names + ["---:"] * _numbers(table)]
    lines += [_cells(table, place) for place in range(len(table.rows))]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "".join(f"\n{note}\n" for note in _marked(table.notes))
    return f"**{_marked([table.title])[0]}**\n\n{body}\n{notes}"


def csv(table: Table) -> str:
    """Return the table as CSV with every digit; title and notes are lines that begin with `#`.

    A column with a spread over seeds becomes two: its mean, and its standard deviation under `… sd`. One of
    differences becomes four: the mean, the bounds under `… low` and `… high`, the corrected `… p`.
    """
    kinds = [_parts([row[place] for row in table.rows]) for place in range(len(table.columns))]
    heads = zip(table.columns, kinds, strict=True)
    out = StringIO()
    lines = writer(out, lineterminator="\n")
    out.write(f"# {_line(table.title)}\n")
    lines.writerow(f"{name} {part}".rstrip() for name, parts in heads for part in parts)
    for row in table.rows:
        pairs = zip(row, kinds, strict=True)
        lines.writerow(value for cell, parts in pairs for value in _exact(cell, len(parts)))
    out.writelines(f"# {_line(note)}\n" for note in table.notes)
    return out.getvalue()


def show(table: Table, console: "Console") -> None:
    """Print the table on a terminal; what is too wide goes below, with the row names repeated."""
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    styles = {None: "", "best": "bold", "second": "underline"}
    console.print(Text(table.title, style="bold"), soft_wrap=True)
    for places in _blocks(table, console.width):
        grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
        for place in places:
            justify: JustifyMethod = "left" if place < table.names else "right"
            grid.add_column(Text(_heads(table)[place]), justify=justify, no_wrap=True)
        for number, row in enumerate(table.rows):
            grid.add_row(
                *(Text(text(row[each]), style=styles[table.marks.get((number, each))]) for each in places),
                end_section=number + 1 in table.rules,
            )
        console.print(grid)
    for note in table.notes:
        console.print(Text(note, style="dim"), soft_wrap=True)


FORMATS: dict[str, Callable[[Table], str]] = {"md": markdown, "csv": csv, "latex": latex, "html": html}
"""The writer of each format name."""


def _heads(table: Table) -> list[str]:
    """Return the column heads with an arrow to the better side."""
    return [f"{head} {table.arrows[head]}" if head in table.arrows else head for head in table.columns]


def _cells(table: Table, place: int) -> list[str]:
    """Return a row in Markdown, best bold and second underlined."""
    wraps = {None: ("", ""), "best": ("**", "**"), "second": ("<u>", "</u>")}
    cells = _marked([text(cell) for cell in table.rows[place]])
    marks = [wraps[table.marks.get((place, column))] for column in range(len(cells))]
    return [f"{before}{cell}{after}" for cell, (before, after) in zip(cells, marks, strict=True)]


def _blocks(table: Table, width: int) -> list[list[int]]:
    """Return which columns stand beside each other so that each block fits `width` characters."""
    lines = [_heads(table), *([text(cell) for cell in row] for row in table.rows)]
    sizes = [max(map(len, column)) + 3 for column in zip(*lines, strict=True)]
    names = list(range(table.names))
    blocks = [names]
    for place in range(table.names, len(sizes)):
        if blocks[-1] != names and sum(sizes[each] for each in [*blocks[-1], place]) > width + 1:
            blocks.append(names)
        blocks[-1] = [*blocks[-1], place]
    return blocks


def _parts(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return what the CSV columns of these cells are called after the head."""
    if any(isinstance(cell, Difference) for cell in cells):
        return ("", "low", "high", "p")
    return ("", "sd") if any(isinstance(cell, Spread) for cell in cells) else ("",)


def _exact(cell: Cell, parts: int) -> list[str | int | float | None]:
    """Return a cell as that many CSV values."""
    match cell:
        case Spread(mean, deviation):
            return [mean, deviation]
        case Difference(mean, low, high, p):
            return [mean, low, high, p]
        case _:
            return [cell, *[None] * (parts - 1)]


def _numbers(table: Table) -> int:
    """Return how many columns follow those that name a row; they are set flush right."""
    return len(table.columns) - table.names


def _marked(texts: Sequence[str]) -> list[str]:
    """Return texts in which no character means anything to Markdown."""
    return [re.sub(r"([\\`*_|<>\[\]&~])", r"\\\1", _line(text)) for text in texts]


def _line(text: str) -> str:
    return " ".join(text.split())
