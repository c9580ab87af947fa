"""A table as HTML: a fragment to paste into any page, or a part of the report's own page."""

from collections.abc import Iterator
from html import escape

from sprec.report.tables import Cell, Spread, Table

SLIGHT = 4
"""Decimals of a number."""


def html(table: Table) -> str:
    """Return the table as an HTML fragment of ASCII characters alone: any page's encoding shows it right."""
    return fragment(table).encode("ascii", "xmlcharrefreplace").decode("ascii")


def fragment(table: Table, *, decimals: int = SLIGHT) -> str:
    """Return the table as HTML; its names scroll with it, its caption and notes belong to it.

    Heads of columns and names of rows say so to a screen reader. What does not fit scrolls inside a
    region that the keyboard reaches, so that a page around it never scrolls sideways.
    """
    head = "".join(_head(table, place) for place in range(len(table.columns)))
    body = "\n".join(f"<tr>{''.join(_row(table, row, decimals))}</tr>" for row in table.rows)
    notes = "".join(f'\n<p class="note">{_isolated(note)}</p>' for note in table.notes)
    title = escape(_line(table.title))
    return (
        f'<div class="scroll" role="group" aria-label="{title}" tabindex="0">\n<table>\n'
        f"<caption>{_isolated(table.title)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>{notes}\n"
    )


def _head(table: Table, place: int) -> str:
    kind = "" if place < table.names else ' class="number"'
    return f'<th scope="col"{kind}>{_isolated(table.columns[place])}</th>'


def _row(table: Table, row: tuple[Cell, ...], decimals: int) -> Iterator[str]:
    for place, cell in enumerate(row):
        text = _isolated(_text(cell, decimals))
        if place == 0:
            yield f'<th scope="row">{text}</th>'
        else:
            yield f"<td>{text}</td>" if place < table.names else f'<td class="number">{text}</td>'


def _text(cell: Cell, decimals: int) -> str:
    match cell:
        case None:
            return "–"
        case Spread(mean, deviation):
            return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"
        case float():
            return f"{cell:.{decimals}f}"
        case _:
            return str(cell)


def _isolated(text: str) -> str:
    """Return escaped text whose writing direction does not reach its neighbours."""
    line = escape(_line(text))
    return line if line.isascii() else f"<bdi>{line}</bdi>"


def _line(text: str) -> str:
    return " ".join(text.split())
