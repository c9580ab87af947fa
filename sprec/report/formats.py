"""A table as Markdown, CSV, LaTeX, or on a terminal. Names in it are escaped for each."""

import re
from collections.abc import Callable, Iterator, Sequence
from csv import writer
from io import StringIO
from typing import TYPE_CHECKING

from sprec.report.tables import Cell, Spread, Table

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

LATEX = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}"}
    | {"±": r"$\pm$", "×": r"$\times$", "–": "--", "\n": " "}
)


def markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown, title above and notes below."""
    lines = [table.columns, ["---"] * table.names + ["---:"] * _numbers(table), *_texts(table)]
    cells = [_marked(line) if place != 1 else line for place, line in enumerate(lines)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in cells)
    notes = "".join(f"\n{note}\n" for note in _marked(table.notes))
    return f"**{_marked([table.title])[0]}**\n\n{body}\n{notes}"


def csv(table: Table) -> str:
    """Return the table as CSV with every digit; title and notes are lines that begin with `#`.

    A column with a spread over seeds becomes two: its mean, and its standard deviation under `… sd`.
    """
    spread = [
        any(isinstance(row[place], Spread) for row in table.rows) for place in range(len(table.columns))
    ]
    heads = zip(table.columns, spread, strict=True)
    out = StringIO()
    lines = writer(out, lineterminator="\n")
    out.write(f"# {_line(table.title)}\n")
    lines.writerow(name for head, wide in heads for name in ([head, f"{head} sd"] if wide else [head]))
    for row in table.rows:
        pairs = zip(row, spread, strict=True)
        lines.writerow(value for cell, wide in pairs for value in _exact(cell, wide=wide))
    out.writelines(f"# {_line(note)}\n" for note in table.notes)
    return out.getvalue()


def latex(table: Table) -> str:
    """Return the table as a LaTeX float that needs the package booktabs."""
    head, *rows = [
        " & ".join(text.translate(LATEX) for text in line) + r" \\"
        for line in [table.columns, *_texts(table)]
    ]
    notes = [rf"\par\footnotesize {note.translate(LATEX)}" for note in table.notes]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{table.title.translate(LATEX)}}}",
            rf"\begin{{tabular}}{{{'l' * table.names + 'r' * _numbers(table)}}}",
            *(r"\toprule", head, r"\midrule", *rows, r"\bottomrule"),
            r"\end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )


def show(table: Table, console: "Console") -> None:
    """Print the table on a terminal; what is too wide goes below, with the row names repeated."""
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    texts = list(_texts(table))
    console.print(Text(table.title, style="bold"), soft_wrap=True)
    for places in _blocks(table, console.width):
        grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
        for place in places:
            justify: JustifyMethod = "left" if place < table.names else "right"
            grid.add_column(Text(table.columns[place]), justify=justify, no_wrap=True)
        for row in texts:
            grid.add_row(*(Text(row[place]) for place in places))
        console.print(grid)
    for note in table.notes:
        console.print(Text(note, style="dim"), soft_wrap=True)


FORMATS: dict[str, Callable[[Table], str]] = {"md": markdown, "csv": csv, "latex": latex}
"""The writer of each format name."""


def _blocks(table: Table, width: int) -> list[list[int]]:
    """Return which columns stand beside each other so that each block fits `width` characters."""
    sizes = [max(map(len, column)) + 3 for column in zip(table.columns, *_texts(table), strict=True)]
    names = list(range(table.names))
    blocks = [names]
    for place in range(table.names, len(sizes)):
        if blocks[-1] != names and sum(sizes[each] for each in [*blocks[-1], place]) > width + 1:
            blocks.append(names)
        blocks[-1] = [*blocks[-1], place]
    return blocks


def _texts(table: Table) -> Iterator[list[str]]:
    """Yield each row as texts with four decimals."""
    for row in table.rows:
        yield [_text(cell) for cell in row]


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return "–"
        case Spread(mean, deviation):
            return f"{mean:.4f} ± {deviation:.4f}"
        case float():
            return f"{cell:.4f}"
        case _:
            return str(cell)


def _exact(cell: Cell, *, wide: bool) -> list[str | int | float | None]:
    """Return a cell as one CSV value, or as mean and deviation in a wide column."""
    if isinstance(cell, Spread):
        return [cell.mean, cell.deviation]
    return [cell, None] if wide else [cell]


def _numbers(table: Table) -> int:
    """Return how many columns follow those that name a row; they are set flush right."""
    return len(table.columns) - table.names


def _marked(texts: Sequence[str]) -> list[str]:
    """Return texts in which no character means anything to Markdown."""
    return [re.sub(r"([\\`*_|<>\[\]&~])", r"\\\1", _line(text)) for text in texts]


def _line(text: str) -> str:
    return " ".join(text.split())
