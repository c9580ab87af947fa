"""A table as a LaTeX float with booktabs: plain cells that an author can edit."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from sprec.report.labels import Label
from sprec.report.tables.latex_text import escape_latex
from sprec.report.tables.table import Table

# Characters of a line up to which a table is one panel: at 7 points they fill a page of two columns.
PANEL_CHARACTERS = 175
# Beyond so many a table takes both columns of a page.
COLUMN_CHARACTERS = 62


def latex(table: Table) -> str:
    """Return the table as a float that needs the packages booktabs and graphicx, and fontenc with T1.

    Groups of columns have a head of their own. A table that is too wide for any page is set as panels of
    whole groups, one below the other, with the row names repeated. A panel that is still wider than the text
    is scaled down to it. Notes are comments: a paper has its own words for them.
    """
    panels = _panels(table)
    star = "*" if _characters(table, panels[0]) > COLUMN_CHARACTERS else ""
    notes = [f"% {' '.join(note.split())}" for note in table.notes]
    label = [rf"\label{{{table.label}}}"] if table.label else []
    body = "\n\\par\\medskip\n".join(_panel(table, columns) for columns in panels)
    return "\n".join(
        [
            rf"\begin{{table{star}}}[t]",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{escape_latex(table.title)}}}",
            *label,
            body,
            rf"\end{{table{star}}}",
            *notes,
            "",
        ]
    )


def with_unique_labels(tables: Sequence[Table]) -> list[Table]:
    """Return the tables of one document; of equal labels all but the first get a number, as `tab:main-2`."""
    unique: list[Table] = []
    for place, table in enumerate(tables):
        number = 1 + sum(other.label == table.label for other in tables[:place])
        label = f"{table.label}-{number}" if table.label and number > 1 else table.label
        unique.append(replace(table, label=label))
    return unique


def _panels(table: Table) -> list[list[int]]:
    """Return the columns of each panel: those that name a row stand in each, others with their groups."""
    names = [column for column in range(len(table.columns)) if column < table.names]
    panels = [names]
    numbers = range(table.names, len(table.columns))
    for group, members in groupby(numbers, key=lambda column: table.groups[column] if table.groups else ""):
        columns = list(members)
        full = _characters(table, [*panels[-1], *columns]) > PANEL_CHARACTERS
        if group and full and len(panels[-1]) > len(names) + 3:
            panels.append(names)
        panels[-1] = [*panels[-1], *columns]
    return panels


def _characters(table: Table, columns: Sequence[int]) -> int:
    """Return how many characters the widest cells of these columns have together."""
    widths = [
        max([len(_head(table, column)), *(len(table.text(row, column)) for row in range(len(table.rows)))])
        for column in columns
    ]
    return sum(widths) + 2 * len(widths)


def _panel(table: Table, columns: Sequence[int]) -> str:
    rows: list[str] = []
    for number in range(len(table.rows)):
        rows += [r"\midrule"] if number in table.rules else []
        if head := table.row_heads.get(number):
            rows.append(rf"\multicolumn{{{len(columns)}}}{{l}}{{\textit{{{escape_latex(head)}}}}} \\")
        rows.append(_row(table, number, columns))
    names = sum(column < table.names for column in columns)
    # Only LaTeX knows how wide a panel is, so that it decides there whether to scale it.
    return "\n".join(
        [
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{'l' * names}{'r' * (len(columns) - names)}}}",
            r"\toprule",
            *_group_heads(table, columns),
            _join(escape_latex(_head(table, column)) for column in columns),
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
        ]
    )


def _group_heads(table: Table, columns: Sequence[int]) -> list[str]:
    """Return the line of group heads and the rules below them, nothing where there are no groups."""
    if not any(table.groups):
        return []
    cells, rules, start = [], [], 1
    for group, members in groupby(columns, key=lambda column: table.groups[column]):
        width = len(list(members))
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(group)}}}")
        rules += [rf"\cmidrule(lr){{{start}-{start + width - 1}}}"] if group else []
        start += width
    return [_join(cells), " ".join(rules)]


def _head(table: Table, column: int) -> str:
    head, arrow = table.columns[column], table.arrows.get(table.columns[column])
    # A reader's own LaTeX for a metric has the list length and the arrow added, as its text has.
    own = head.latex if isinstance(head, Label) else ""
    # The head of a group "K = 5" says the list length already.
    if table.groups and table.groups[column].startswith("K = "):
        head, own = head.rpartition("@")[0] or head, own.rpartition("@")[0] or own
    if arrow:
        head, own = f"{head} {arrow}", f"{own} {escape_latex(arrow)}" if own else ""
    return Label(head, own)


def _row(table: Table, number: int, columns: Sequence[int]) -> str:
    wraps = {None: "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
    cells = []
    for column in columns:
        cell = table.rows[number][column]
        text = escape_latex(cell if isinstance(cell, Label) else table.text(number, column))
        cells.append(wraps[table.marks.get((number, column))].format(text))
    return _join(cells)


def _join(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
