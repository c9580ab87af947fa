"""A table as HTML: for a page of one's own, or for pasting into another."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from sprec.report.tables.table import Mark, Table

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 1.5rem; max-width: 110rem }
figure { margin: 0 0 2.5rem; overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; border-block: 2px solid }
caption { text-align: start; font-weight: 600; padding-block-end: .5rem }
th, td { padding: .2rem .6rem; text-align: end; white-space: nowrap }
.name { text-align: start; font-weight: 400 }
thead th { border-block-end: 1px solid; vertical-align: bottom }
thead th[colspan] { text-align: center }
tr.ruled > * { border-block-start: 1px solid }
.head { text-align: start; font-weight: 600; font-style: italic }
u { text-underline-offset: .2em }
figcaption { font-size: .875rem; margin-block-start: .5rem; max-width: 60rem; white-space: normal }
"""


def html(table: Table) -> str:
    """Return the table as a `figure`: caption above, notes below, heads with scopes, all text escaped."""
    body = "\n".join(_row(table, number) for number in range(len(table.rows)))
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return (
        f"<figure>\n<table>\n<caption>{escape(table.title)}</caption>\n<thead>\n{_head(table)}</thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n<figcaption>{notes}</figcaption>\n</figure>\n"
    )


def html_document(figures: Sequence[str], title: str) -> str:
    """Return a whole page of these figures, which loads nothing from elsewhere."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{''.join(figures)}</main>\n</body>\n</html>\n"
    )


def _head(table: Table) -> str:
    """Return one or two lines of heads."""
    # Scopes tell screen readers which cells a head is for.
    heads = [
        f'<th scope="col"{_name_class(place < table.names)}>{escape(head)}</th>'
        for place, head in enumerate(table.heads)
    ]
    line = f"<tr>{''.join(heads)}</tr>\n"
    if not any(table.groups):
        return line
    runs = [(group, len(list(columns))) for group, columns in groupby(table.groups)]
    above = [
        f'<th scope="colgroup" colspan="{width}">{escape(group)}</th>'
        if group
        else f'<td colspan="{width}"></td>'
        for group, width in runs
    ]
    return f"<tr>{''.join(above)}</tr>\n{line}"


def _row(table: Table, number: int) -> str:
    ruled = ' class="ruled"' if number in table.rules else ""
    cells = (_cell(table, number, place) for place in range(len(table.columns)))
    line = f"<tr{ruled}>{''.join(cells)}</tr>"
    if number not in table.row_heads:
        return line
    head = f'<th scope="rowgroup" class="head" colspan="{len(table.columns)}">'
    return f"<tr{ruled}>{head}{escape(table.row_heads[number])}</th></tr>\n{line.replace(ruled, '', 1)}"


def _cell(table: Table, number: int, place: int) -> str:
    text = escape(table.text(number, place))
    if place == 0:
        return f'<th scope="row" class="name">{text}</th>'
    if place < table.names:
        return f"<td{_name_class(True)}>{text}</td>"
    wraps: dict[Mark | None, str] = {None: "{}", "best": "<b>{}</b>", "second": "<u>{}</u>"}
    return f"<td>{wraps[table.marks.get((number, place))].format(text)}</td>"


def _name_class(names_row: bool) -> str:
    return ' class="name"' if names_row else ""
