"""A table as Markdown, CSV, LaTeX, HTML, or on a terminal. Names in it are escaped for each."""

import re
from collections.abc import Callable, Sequence
from csv import writer
from io import StringIO
from typing import TYPE_CHECKING

from sprec.report.tables.html_table import html
from sprec.report.tables.latex_table import latex
from sprec.report.tables.table import Cell, Difference, MeanStd, Table

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod


def markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown, title above and notes below; underlining is HTML's."""
    lines = [_markdown_heads(table), ["---"] * table.names + ["---:"] * (len(table.columns) - table.names)]
    for row in range(len(table.rows)):
        if row in table.row_heads:
            lines.append([f"*{_escape([table.row_heads[row]])[0]}*", *[""] * (len(table.columns) - 1)])
        lines.append(_markdown_cells(table, row))
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "".join(f"\n{note}\n" for note in _escape(table.notes))
    return f"**{_escape([table.title])[0]}**\n\n{body}\n{notes}"


def csv(table: Table) -> str:
    """Return the table as CSV with every digit; title and notes are lines that begin with `#`.

    A column with means over seeds becomes two: its mean, and its standard deviation under `… sd`. One of
    differences becomes four: the mean, the bounds under `… low` and `… high`, the corrected `… p`.
    """
    # A column has the same number of values in every row, whatever a single cell holds.
    suffixes = [_csv_suffixes([row[place] for row in table.rows]) for place in range(len(table.columns))]
    heads = zip(_unique_heads(table), suffixes, strict=True)
    out = StringIO()
    lines = writer(out, lineterminator="\n")
    out.write(f"# {_inert_line(table.title)}\n")
    lines.writerow(_inert(f"{name} {suffix}".rstrip()) for name, own in heads for suffix in own)
    for row in _unique_rows(table):
        pairs = zip(row, suffixes, strict=True)
        lines.writerow(value for cell, own in pairs for value in _csv_values(cell, len(own)))
    out.writelines(f"# {_inert_line(note)}\n" for note in table.notes)
    return out.getvalue()


def aligned_lines(table: Table) -> str:
    """Return heads and rows in aligned columns, without title, rules and notes."""
    lines = [
        table.heads,
        *(
            [table.text(number, column) for column in range(len(row))]
            for number, row in enumerate(table.rows)
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < table.names else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def print_table(table: Table, console: "Console") -> None:
    """Print the table on a terminal; columns that do not fit go below, with the row names repeated."""
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    # Text objects throughout: in plain strings rich would read a title's brackets as markup.
    styles = {None: "", "best": "bold", "second": "underline"}
    console.print(Text(table.title, style="bold"), soft_wrap=True)
    for columns in _column_blocks(table, console.width):
        grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            justify: JustifyMethod = "left" if column < table.names else "right"
            grid.add_column(Text(table.heads[column]), justify=justify, no_wrap=True)
        for number in range(len(table.rows)):
            marks = [styles[table.marks.get((number, column))] for column in columns]
            cells = [table.text(number, column) for column in columns]
            if number in table.row_heads:
                grid.add_row(Text(table.row_heads[number], style="italic"))
            grid.add_row(
                *(Text(cell, style=style) for cell, style in zip(cells, marks, strict=True)),
                end_section=number + 1 in table.rules,
            )
        console.print(grid)
    for note in table.notes:
        console.print(Text(note, style="dim"), soft_wrap=True)


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

# The writer of each format name.
FORMATS: dict[str, Callable[[Table], str]] = {"md": markdown, "csv": csv, "latex": latex, "html": html}


def _markdown_heads(table: Table) -> list[str]:
    """Return the column heads; since Markdown has one line of them, a group's first head names the group."""
    groups = table.groups or ("",) * len(table.columns)
    firsts = [group if group != before else "" for group, before in zip(groups, ("", *groups), strict=False)]
    return [
        f"{group}: {head}" if group and not group.startswith("K = ") else head
        for group, head in zip(_escape(firsts), _escape(table.heads), strict=True)
    ]


def _unique_heads(table: Table) -> list[str]:
    """Return the column heads for CSV, with their group where another column has the same head."""
    groups = table.groups or ("",) * len(table.columns)
    return [
        f"{group} {head}" if group and table.columns.count(head) > 1 else head
        for group, head in zip(groups, table.columns, strict=True)
    ]


def _unique_rows(table: Table) -> list[tuple[Cell, ...]]:
    """Return the rows for CSV, with the head that they stand under where another row has the same names."""
    names = [row[: table.names] for row in table.rows]
    rows, head = [], ""
    for number, row in enumerate(table.rows):
        head = table.row_heads.get(number, head)
        is_ambiguous = head and names.count(names[number]) > 1
        rows.append((f"{head} {row[0]}", *row[1:]) if is_ambiguous else row)
    return rows


def _markdown_cells(table: Table, number: int) -> list[str]:
    """Return a row in Markdown, best bold and second underlined."""
    wraps = {None: "{}", "best": "**{}**", "second": "<u>{}</u>"}
    cells = _escape([table.text(number, column) for column in range(len(table.columns))])
    return [wraps[table.marks.get((number, column))].format(cell) for column, cell in enumerate(cells)]


def _column_blocks(table: Table, width: int) -> list[list[int]]:
    """Return which columns stand beside each other so that each block fits `width` characters."""
    every = range(len(table.columns))
    lines = [table.heads, *([table.text(row, column) for column in every] for row in range(len(table.rows)))]
    sizes = [max(map(len, column)) + 3 for column in zip(*lines, strict=True)]
    names = list(range(table.names))
    blocks = [names]
    for place in range(table.names, len(sizes)):
        if blocks[-1] != names and sum(sizes[other] for other in [*blocks[-1], place]) > width + 1:
            blocks.append(names)
        blocks[-1] = [*blocks[-1], place]
    return blocks


def _csv_suffixes(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return what the CSV columns of these cells are called after the head."""
    if any(isinstance(cell, Difference) for cell in cells):
        return ("", "low", "high", "p")
    return ("", "sd") if any(isinstance(cell, MeanStd) for cell in cells) else ("",)


def _csv_values(cell: Cell, columns: int) -> list[str | int | float | None]:
    """Return a cell as that many CSV values, with every digit."""
    match cell:
        case MeanStd(mean, std):
            return [mean, std]
        case Difference(mean, low, high, p):
            return [mean, low, high, p]
        case str():
            return [_inert(cell), *[None] * (columns - 1)]
        case _:
            return [cell, *[None] * (columns - 1)]


def _inert(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    >>> _inert("=1+1"), _inert("SPRec")
    ("'=1+1", 'SPRec')
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _inert_line(text: str) -> str:
    """Return a text as one line in which no part between separators begins a formula.

    >>> _inert_line("boom,=1+1; x=2")
    "boom,'=1+1; x=2"
    """
    return re.sub(r"([,;\t]\s*)(?=[=+\-@])", r"\1'", _one_line(text))


def _escape(texts: Sequence[str]) -> list[str]:
    """Return texts in which no character means anything to Markdown."""
    return [re.sub(r"([\\`*_|<>\[\]&~])", r"\\\1", _one_line(text)) for text in texts]


def _one_line(text: str) -> str:
    return " ".join(text.split())
