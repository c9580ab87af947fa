"""A page as one HTML file that loads nothing: styles and drawings are inside, and there is no script."""

from collections.abc import Callable
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from sprec.report.figures.figure_kinds import Marks, Panel
from sprec.report.figures.style import Look, recolouring
from sprec.report.page.parts import Page
from sprec.report.tables.html_table import html
from sprec.report.tables.table import Table, signed

GLYPHS = {
    "circle": '<circle cx="14" cy="7" r="4.2" fill="{}"/>',
    "square": '<path d="M10 3h8v8h-8z" fill="{}"/>',
    "triangle-up": '<path d="M14 2.2 19 11.2H9z" fill="{}"/>',
    "triangle-down": '<path d="M14 11.8 9 2.8h10z" fill="{}"/>',
    "diamond": '<path d="M14 1.6 19 7l-5 5.4L9 7z" fill="{}"/>',
    "cross": '<path d="M12.4 2.4h3.2v3h3v3.2h-3v3h-3.2v-3h-3V5.4h3z" fill="{}"/>',
    "ring": '<circle cx="14" cy="7" r="4.2" fill="#ffffff" stroke="{}" stroke-width="2"/>',
    "stroke": '<path d="M13 0h2v14h-2z" fill="{}"/>',
}
"""What the marks look like in a legend, in a box of 28 × 14."""


def render(page: Page, drawn: Callable[[Panel], str]) -> str:
    """Return the page as HTML, in which `drawn` gives each panel as SVG.

    All text is escaped; a policy in the head forbids any loading and any script all the same.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Callable[..., Any]] = {
        "table": lambda table: Markup(_scrolling(table)),
        "plot": lambda panel: Markup(drawn(panel)),
        "signed": signed,
        "glyph": lambda look, marks: Markup(glyph(look, marks)),
    }
    environment.filters.update(filters)
    style = _asset("page.css").replace("/* recolouring */", recolouring())
    template = environment.from_string(_asset("page.html.jinja"))
    return template.render(page=page, style=Markup(style))


def glyph(look: Look, marks: Marks) -> str:
    """Return what a legend shows for a look: a line, a mark, or a mark on a line."""
    dash = " ".join(map(str, look.dash))
    line = f'<path d="M0 7h28" stroke="{look.color}" stroke-width="2" stroke-dasharray="{dash}" fill="none"/>'
    mark = GLYPHS[look.shape].format(look.color)
    parts = {"line": line, "mark": mark, "both": line + mark}[marks]
    return f'<svg class="plot" width="28" height="14" viewBox="0 0 28 14" aria-hidden="true">{parts}</svg>'


def _scrolling(table: Table) -> str:
    """Return a table in a frame of its own that scrolls, and that the keyboard reaches."""
    name = escape(table.title)
    return f'<div class="scroll" role="group" aria-label="{name}" tabindex="0">{html(table)}</div>'


@cache
def _asset(name: str) -> str:
    return files("sprec.report.page").joinpath(name).read_text(encoding="utf-8")
