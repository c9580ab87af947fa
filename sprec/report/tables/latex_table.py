"""A table as a LaTeX float with booktabs."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from sprec.report.tables.table import Cell, Difference, Spread, Table, signed, text

ESCAPES = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}", '"': r"\textquotedbl{}"}
    | {"±": r"$\pm$", "×": r"$\times$", "–": "--", "−": r"$-$", "β": r"$\beta$", "≤": r"$\leq$", "\n": " "}
    | {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "…": r"\ldots{}", "[": "{[}", "]": "{]}", "\0": "{}"}
)
WIDE = 9
"""Columns of numbers up to which a table is one panel; a wider one has a panel per group."""


def latex(table: Table) -> str:
    """Return the table as a float that needs the packages booktabs and graphicx, and fontenc with T1.

    Groups of columns have a head of their own. A table that no page is wide enough for is set as one panel
    per group below each other, row names repeated. Standard deviations and intervals stand small below
    their values. What is still wider than the text is scaled down to it.
    """
    panels = _panels(table)
    star = "*" if len(panels) > 1 or len(table.columns) > WIDE else ""
    notes = [rf"\par\smallskip\raggedright\footnotesize {escaped(note)}\par" for note in table.notes]
    body = "\n\\par\\medskip\n".join(_panel(table, places) for places in panels)
    return "\n".join(
        [
            rf"\begin{{table{star}}}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{escaped(table.title)}}}\smallskip",
            body,
            *notes,
            rf"\end{{table{star}}}",
            "",
        ]
    )


def escaped(words: str) -> str:
    """Return text in which no character means anything to LaTeX.

    >>> escaped("[x]–2, --k")
    '{[}x{]}--2, -{}-k'
    """
    return re.sub("-(?=-)", "-\0", words).translate(ESCAPES)


def _panels(table: Table) -> list[list[int]]:
    """Return the columns of each panel: those before all groups stand in each, those after in the last."""
    every = list(range(len(table.columns)))
    named = list(dict.fromkeys(group for group in table.groups if group))
    if len(every) - table.names <= WIDE or len(named) < 2:
        return [every]
    grouped = [place for place in every if table.groups[place]]
    panels = [
        [place for place in every if place < grouped[0] or table.groups[place] == each] for each in named
    ]
    return [*panels[:-1], [*panels[-1], *every[grouped[-1] + 1 :]]]


def _panel(table: Table, places: Sequence[int]) -> str:
    """Return one `tabular` of these columns."""
    rows = [_line(table, number, places) for number in range(len(table.rows))]
    for number in sorted(table.rules, reverse=True):
        rows.insert(number, r"\midrule")
    names = sum(place < table.names for place in places)
    shape = "l" * names + "r" * (len(places) - names)
    lines = [*_above(table, places), _join(_head(table, place) for place in places)]
    return "\n".join(
        [
            r"\sbox0{%",
            rf"\begin{{tabular}}{{{shape}}}",
            r"\toprule",
            *lines,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}%",
            r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
        ]
    )


def _above(table: Table, places: Sequence[int]) -> list[str]:
    """Return the line of group heads and the rules below them, nothing where there are no groups."""
    if not any(table.groups):
        return []
    cells, rules, start = [], [], 1
    for group, members in groupby(places, key=lambda place: table.groups[place]):
        width = len(list(members))
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escaped(group)}}}")
        rules += [rf"\cmidrule(lr){{{start}-{start + width - 1}}}"] if group else []
        start += width
    return [_join(cells), " ".join(rules)]


def _head(table: Table, place: int) -> str:
    head = table.columns[place]
    grouped = bool(table.groups and table.groups[place])
    shown = head.partition("@")[0] if grouped else head
    arrow = table.arrows.get(head)
    return escaped(f"{shown} {arrow}" if arrow else shown)


def _line(table: Table, number: int, places: Sequence[int]) -> str:
    wraps = {None: "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
    row = table.rows[number]
    return _join(_cell(row[place], wraps[table.marks.get((number, place))]) for place in places)


def _cell(cell: Cell, wrap: str) -> str:
    """Return a cell; what tells its uncertainty is smaller than its value."""
    match cell:
        case Spread(mean, deviation):
            return _stacked(wrap.format(f"{mean:.4f}"), f"±{_short(f'{deviation:.4f}')}")
        case Difference(mean, low, high, _):
            star = "*" if cell.significant else ""
            bounds = ", ".join(_short(signed(each)).replace("+", "") for each in (low, high))
            return _stacked(escaped(signed(mean) + star), f"[{bounds}]")
        case _:
            return wrap.format(escaped(text(cell)))


def _stacked(value: str, below: str) -> str:
    small = rf"{{\tiny {escaped(below)}}}"
    return rf"\begin{{tabular}}[c]{{@{{}}r@{{}}}}{value}\\[-3pt]{small}\end{{tabular}}"


def _short(number: str) -> str:
    """Return a number without the 0 before its point.

    >>> _short("−0.0120"), _short("10.0")
    ('−.0120', '10.0')
    """
    return re.sub(r"^(\D?)0\.", r"\1.", number)


def _join(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
