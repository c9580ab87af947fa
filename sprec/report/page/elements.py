"""A page as one HTML file that loads nothing: styles and drawings are inside, and there is no script."""

from collections.abc import Callable
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from sprec.report.figures.figure_kinds import LegendMarks, Panel
from sprec.report.figures.style import ModelStyle, dark_mode_css
from sprec.report.page.parts import Page
from sprec.report.tables.html_table import html
from sprec.report.tables.table import Table, format_signed

# With more arms their cards are folded, or tables and figures would begin some screens further down.
MOST_OPEN = 6
# The marks of a legend, in a box of 28 × 14.
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


def render_html(page: Page, draw: Callable[[Panel], str]) -> str:
    """Return the page as HTML, with each panel as the SVG that `draw` returns.

    All text is escaped; in case that fails, a policy in the head forbids any loading and any script.
    """
    # Comes with the extra `report` only; `check_packages` has said so by now.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Callable[..., Any]] = {
        "table": lambda table: Markup(_scrolling_table(table)),
        "plot": lambda panel: Markup(draw(panel)),
        "signed": format_signed,
        "glyph": lambda style, marks: Markup(legend_glyph(style, marks)),
    }
    environment.filters.update(filters)
    style = _asset("page.css").replace("/* dark drawings */", dark_mode_css())
    template = environment.from_string(_asset("page.html.jinja"))
    return template.render(page=page, style=Markup(style), most_open=MOST_OPEN)


def legend_glyph(style: ModelStyle, marks: LegendMarks) -> str:
    """Return what a legend shows for a model: a line, a mark, or a mark on a line."""
    dash = " ".join(map(str, style.dash))
    line = (
        f'<path d="M0 7h28" stroke="{style.color}" stroke-width="2" stroke-dasharray="{dash}" fill="none"/>'
    )
    mark = GLYPHS[style.shape].format(style.color)
    parts = {"line": line, "mark": mark, "both": line + mark}[marks]
    return f'<svg class="plot" width="28" height="14" viewBox="0 0 28 14" aria-hidden="true">{parts}</svg>'


def _scrolling_table(table: Table) -> str:
    """Return a table in a frame of its own that scrolls, and that the keyboard reaches."""
    name = escape(table.title)
    return f'<div class="scroll" role="group" aria-label="{name}" tabindex="0">{html(table)}</div>'


@cache
def _asset(name: str) -> str:
    return files("sprec.report.page").joinpath(name).read_text(encoding="utf-8")
