"""How figures look: colours that colour-blind readers can tell apart, in light and dark, shapes and dashes.

A figure is drawn in the light colours. A page that is read in the dark replaces each by its partner
with CSS (`dark_mode_css`), so that one drawing serves both and needs no script.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# Colours of arms: on a light ground, on a dark one. Found by search: hues held apart, each at 3:1 or more
# on its ground, and the smallest difference under any of the three colour blindnesses (Machado et al. 2009)
# as large as could be.
PAIRS = (
    ("#2392fa", "#59a0fe"),
    ("#9a3d0f", "#d47e5f"),
    ("#23947d", "#43fed5"),
    ("#5c2356", "#b65b9d"),
    ("#a09112", "#e2da67"),
    ("#7223b1", "#8361f1"),
)

INK, MUTED, GRID, GROUND = "#1c2127", "#59616b", "#e3e1dc", "#ffffff"
# Text, axes, grid lines and the ground: light, dark.
NEUTRALS = ((INK, "#edeff2"), (MUTED, "#aab2bd"), (GRID, "#363c46"), (GROUND, "#1b1f26"))

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3))
FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"

# By `direction_of`.
DIRECTION = {1: "higher is better", -1: "lower is better", 0: "which way is better is unknown"}

# Pixels of a panel's plot: with its axis it fits a phone that is 390 px wide.
WIDTH, HEIGHT = 236, 176
# Pixels that names of models take at most on an axis.
NAMES_WIDTH = 150
# Pixels of a line of such a name, and the characters that fit into it.
LINE_HEIGHT, LINE_CHARACTERS = 14, 26


@dataclass(frozen=True)
class ModelStyle:
    """How one model is drawn, wherever it appears."""

    name: str
    color: str
    shape: str
    dash: tuple[int, ...]


# The model that all arms start from.
INITIAL = ModelStyle("initial SFT", MUTED, "ring", (4, 3))

# What a test says of a difference; the colours are the first two of the arms'.
VERDICTS = {
    "better": ModelStyle("better", PAIRS[0][0], "circle", (1, 0)),
    "worse": ModelStyle("worse", PAIRS[1][0], "square", (1, 0)),
    "unclear": ModelStyle("unclear", MUTED, "diamond", (1, 0)),
}


def model_styles(names: Iterable[str]) -> list[ModelStyle]:
    """Return a style for each name; after six the colours repeat, with another dash and shape.

    >>> [(style.shape, style.dash) for style in model_styles("abcdefg")][::6]
    [('circle', (1, 0)), ('square', (6, 3))]
    """
    return [
        ModelStyle(
            name,
            PAIRS[place % len(PAIRS)][0],
            SHAPES[(place + place // len(PAIRS)) % len(SHAPES)],
            DASHES[place // len(PAIRS) % len(DASHES)],
        )
        for place, name in enumerate(names)
    ]


def dark_mode_css() -> str:
    """Return CSS rules that turn a drawing's light colours into the dark ones."""
    return "\n".join(
        f'.plot [{attribute}="{light}"] {{ {attribute}: {dark}; }}'
        for light, dark in (*PAIRS, *NEUTRALS)
        for attribute in ("fill", "stroke")
    )


def vega_config(*, page: bool) -> dict[str, Any]:
    """Return Vega-Lite's configuration: for a page (its ground shows, no legend), or for a paper's file."""
    small = 11 if page else 8
    axis = {
        "labelColor": MUTED, "titleColor": MUTED, "labelFontSize": small, "titleFontSize": small,
        "titleFontWeight": "normal", "gridColor": GRID, "domainColor": GRID, "tickColor": GRID,
        "domain": False, "ticks": False, "labelPadding": 6, "tickCount": 5, "labelFlush": False,
    }  # fmt: skip
    title = {
        "anchor": "start", "frame": "group", "color": INK, "fontSize": small + 2, "fontWeight": "bold",
        "subtitleColor": MUTED, "subtitleFontSize": small, "offset": small - 1, "subtitlePadding": 3,
    }  # fmt: skip
    legend = {
        "disable": page, "orient": "bottom", "title": None, "columns": 3, "labelColor": INK,
        "labelFontSize": small, "labelLimit": 400, "symbolOpacity": 1, "symbolSize": 60,
    }  # fmt: skip
    # The page's own text alternatives replace Vega's, and its legend is HTML.
    return {
        "aria": False,
        "background": None if page else GROUND,
        "font": FONT,
        "padding": 2 if page else 12,
        "view": {"stroke": None, "continuousWidth": WIDTH, "continuousHeight": HEIGHT},
        "axis": axis,
        "axisY": {"minExtent": 34},
        "title": title,
        "legend": legend,
        "concat": {"spacing": 36},
    }


def axis_domain(values: Iterable[float]) -> tuple[float, float]:
    """Return where an axis begins and ends: a little beyond these values, which need not include 0.

    It spans at least a fifth of the largest value, so that a small change does not look tall.

    >>> axis_domain([1.0, 1.0]), axis_domain([0.0, 10.0])
    ((0.9, 1.1), (-0.8, 10.8))
    """
    # Differences between models are small beside the scores, so that an axis from 0 would hide them.
    numbers = list(values) or [0.0, 1.0]
    low, high = min(numbers), max(numbers)
    smallest = 0.2 * max(abs(low), abs(high)) or 0.1  # scores are shares: around 0 a tenth is much
    margin = max(0.08 * (high - low), (smallest - (high - low)) / 2)
    return round(low - margin, 9), round(high + margin, 9)


def style_scale(styles: Sequence[ModelStyle], attribute: str) -> dict[str, list[Any]]:
    """Return domain and range of a Vega-Lite scale from names to "color", "shape" or "dash"."""
    values = [getattr(style, attribute) for style in styles]
    # Vega-Lite has no shape "ring"; charts draw the initial SFT's ring as a layer of its own.
    shapes = ["circle" if value == "ring" else value for value in values]
    return {
        "domain": [style.name for style in styles],
        "range": [list(value) if attribute == "dash" else value for value in shapes],
    }
