"""A table as a LaTeX float with booktabs."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from sprec.report.tables.table import Cell, Difference, MeanStd, Table, format_cell, format_signed

ESCAPES = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}", '"': r"\textquotedbl{}"}
    | {"±": r"$\pm$", "×": r"$\times$", "–": "--", "−": r"$-$", "β": r"$\beta$", "≤": r"$\leq$", "\n": " "}
    | {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "…": r"\ldots{}", "[": "{[}", "]": "{]}", "\0": "{}"}
)
# Columns of numbers up to which a table is one panel; a wider one has a panel per group.
WIDE = 9


def latex(table: Table) -> str:
    """Return the table as a float that needs the packages booktabs and graphicx, and fontenc with T1.

    Groups of columns have a head of their own. A table that is too wide for any page is set as one panel per
    group, one below the other, with the row names repeated. Standard deviations and intervals stand small
    below their values. A panel that is still wider than the text is scaled down to it.
    """
    panels = _panels(table)
    star = "*" if len(panels) > 1 or len(table.columns) > WIDE else ""
    notes = [rf"\par\smallskip\raggedright\footnotesize {escape_latex(note)}\par" for note in table.notes]
    body = "\n\\par\\medskip\n".join(_panel(table, columns) for columns in panels)
    return "\n".join(
        [
            rf"\begin{{table{star}}}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{escape_latex(table.title)}}}\smallskip",
            body,
            *notes,
            rf"\end{{table{star}}}",
            "",
        ]
    )


def escape_latex(text: str) -> str:
    """Return text in which no character means anything to LaTeX.

    >>> escape_latex("[x]–2, --k")
    '{[}x{]}--2, -{}-k'
    """
    # LaTeX joins hyphens to a dash, which would change a command's option.
    return re.sub("-(?=-)", "-\0", text).translate(ESCAPES)


def _panels(table: Table) -> list[list[int]]:
    """Return the columns of each panel: those before all groups stand in each, those after in the last."""
    every = list(range(len(table.columns)))
    names = list(dict.fromkeys(group for group in table.groups if group))
    if len(every) - table.names <= WIDE or len(names) < 2:
        return [every]
    grouped = [column for column in every if table.groups[column]]
    panels = [
        [column for column in every if column < grouped[0] or table.groups[column] == name] for name in names
    ]
    return [*panels[:-1], [*panels[-1], *every[grouped[-1] + 1 :]]]


def _panel(table: Table, columns: Sequence[int]) -> str:
    """Return one `tabular` of these columns."""
    rows = [_row(table, number, columns) for number in range(len(table.rows))]
    for number in sorted(table.rules, reverse=True):
        rows.insert(number, r"\midrule")
    names = sum(column < table.names for column in columns)
    # Only LaTeX knows how wide a panel is, so that it decides there whether to scale it.
    shape = "l" * names + "r" * (len(columns) - names)
    return "\n".join(
        [
            r"\sbox0{%",
            rf"\begin{{tabular}}{{{shape}}}",
            r"\toprule",
            *_group_heads(table, columns),
            _join(_head(table, column) for column in columns),
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}%",
            r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
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
    # The group's head says the list length already.
    name = head.partition("@")[0] if table.groups and table.groups[column] else head
    return escape_latex(f"{name} {arrow}" if arrow else name)


def _row(table: Table, number: int, columns: Sequence[int]) -> str:
    wraps = {None: "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
    row = table.rows[number]
    return _join(_cell(row[column], wraps[table.marks.get((number, column))]) for column in columns)


def _cell(cell: Cell, wrap: str) -> str:
    """Return a cell; its deviation or interval is set smaller than its value."""
    match cell:
        case MeanStd(mean, std):
            return _stack(wrap.format(f"{mean:.4f}"), f"±{_drop_zero(f'{std:.4f}')}")
        case Difference(mean, low, high, _):
            star = "*" if cell.significant else ""
            bounds = ", ".join(_drop_zero(format_signed(bound)).replace("+", "") for bound in (low, high))
            return _stack(escape_latex(format_signed(mean) + star), f"[{bounds}]")
        case _:
            return wrap.format(escape_latex(format_cell(cell)))


def _stack(value: str, below: str) -> str:
    small = rf"{{\tiny {escape_latex(below)}}}"
    return rf"\begin{{tabular}}[c]{{@{{}}r@{{}}}}{value}\\[-3pt]{small}\end{{tabular}}"


def _drop_zero(number: str) -> str:
    """Return a number without the 0 before its point.

    >>> _drop_zero("−0.0120"), _drop_zero("10.0")
    ('−.0120', '10.0')
    """
    return re.sub(r"^(\D?)0\.", r"\1.", number)


def _join(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
