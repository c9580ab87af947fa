"""Charts: points in, an altair chart of one panel out. Names of models and genres are data, never code."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, TypeAlias

from sprec.report.figures.style import (
    GROUND,
    HEIGHT,
    INK,
    LINE_CHARACTERS,
    LINE_HEIGHT,
    MUTED,
    NAMES_WIDTH,
    VERDICTS,
    WIDTH,
    ModelStyle,
    axis_domain,
    style_scale,
)

Chart: TypeAlias = Any
Point: TypeAlias = Mapping[str, Any]

# Marked ranks.
RANKS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
# The items that ORRatio counts.
TOP = 3


def unchecked() -> AbstractContextManager[None]:
    """Return a context in which altair checks no chart against its schema, which takes half of all time."""
    context: AbstractContextManager[None] = import_module("altair.utils.schemapi").debug_mode(False)
    return context


def iteration_chart(
    points: Sequence[Point], level: float | None, styles: Sequence[ModelStyle], *, title: str, subtitle: str
) -> Chart:
    """Return a metric over iterations, with a dotted line at a level where there is one.

    Args:
        points: each with `arm`, `iteration`, `value`, `low` and `high`.
        level: the initial SFT's value.
        styles: of the arms.
        title: the metric.
        subtitle: which direction is better.

    """
    alt = _altair()
    last = max((round(point["iteration"]) for point in points), default=0)
    x = alt.X(
        "iteration:Q",
        title="iteration",
        axis=alt.Axis(values=list(range(last + 1)), format="d", grid=False),
        scale=alt.Scale(domain=[-0.3, last + 0.3], nice=False),
    )
    # The axis title would stand upright; the metric is the panel's title, which reads without turning.
    domain = axis_domain(point[end] for point in points for end in ("low", "high"))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=domain, nice=False))
    base = _chart(points).encode(x=x, color=_styled("color", styles))
    levels = [] if level is None else [{"value": level}]
    layers = [
        _chart(levels).mark_rule(strokeDash=[2, 3], color=MUTED).encode(y=y),
        base.mark_rule(strokeWidth=1.5, opacity=0.65).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y, strokeDash=_styled("dash", styles)),
        base.mark_point(filled=True, size=46, opacity=1).encode(y=y, shape=_styled("shape", styles)),
    ]
    return _with_title(alt.layer(*layers), title, subtitle)


def break_name(name: str) -> list[str]:
    """Return a name's lines: on one, a long name would leave no room for the plot on a phone.

    It breaks after its method, then wherever a line is full.

    >>> break_name("SPRec, own best catalogue titles (beam search)")
    ['SPRec', 'own best catalogue titles', '(beam search)']
    """
    method, _, rest = name.partition(", ")
    return [*textwrap.wrap(method, LINE_CHARACTERS), *textwrap.wrap(rest, LINE_CHARACTERS)]


def difference_chart(points: Sequence[Point], names: Sequence[str], *, title: str, subtitle: str) -> Chart:
    """Return dots with intervals about a line at 0, a row for each arm.

    Points have `arm` and `value`; single seeds have a `low` of None, others `low`, `high` and `verdict`.
    """
    alt = _altair()
    means = [point for point in points if point["low"] is not None]
    seeds = [point for point in points if point["low"] is None]
    ends = [0.0, *(point[end] for point in means for end in ("low", "high"))]
    domain = axis_domain([*ends, *(point["value"] for point in points)])
    lines = {name: break_name(name) for name in names}
    row_height = LINE_HEIGHT * max(2, *map(len, lines.values()))
    size = {"width": WIDTH - NAMES_WIDTH // 2, "height": row_height * len(names)}
    label = f"{json.dumps(lines)}[datum.label]"
    axis = alt.Axis(labelExpr=label, labelLimit=NAMES_WIDTH, grid=False, labelColor=INK)
    y = alt.Y("arm:N", sort=list(names), title=None, axis=axis, scale=alt.Scale(domain=list(names)))
    ticks = alt.Axis(tickCount=3, labelOverlap=True, labelSeparation=6)
    x = alt.X("value:Q", title="difference", scale=alt.Scale(domain=domain, nice=False), axis=ticks)
    color = _styled("color", list(VERDICTS.values()), "verdict")
    shape = _styled("shape", list(VERDICTS.values()), "verdict")
    base = _chart(means, **size).encode(y=y)
    zero = _chart([{"value": 0}], **size).mark_rule(strokeDash=[2, 3], color=MUTED).encode(x=x)
    layers = [
        zero,
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", color=color),
        # Below the interval, which would hide them.
        _chart(seeds, **size)
        .mark_point(size=14, filled=True, opacity=0.7, color=MUTED, yOffset=8)
        .encode(x=x, y=y),
        base.mark_point(size=70, filled=True, opacity=1).encode(x=x, color=color, shape=shape),
    ]
    return _with_title(alt.layer(*layers), title, subtitle)


def plane_chart(
    paths: Sequence[Point], single: Sequence[Point], styles: Sequence[ModelStyle], *, across: str, up: str
) -> Chart:
    """Return paths and single points in a plane.

    Args:
        paths: points of the arms: `arm`, `iteration`, `x`, `y`, and whether it is `start` or `last`.
        single: points of the baselines.
        styles: of both.
        across: the label of the x axis.
        up: the label of the y axis.

    """
    alt = _altair()
    domains = {axis: axis_domain(point[axis] for point in (*paths, *single)) for axis in "xy"}
    x = alt.X("x:Q", title=across, scale=alt.Scale(domain=domains["x"], nice=False))
    y = alt.Y("y:Q", title=None, scale=alt.Scale(domain=domains["y"], nice=False))

    def colored(points: Sequence[Point]) -> Any:
        return _chart(points).encode(x=x, y=y, color=_styled("color", styles))

    def marked(points: Sequence[Point], size: int) -> Any:
        marks = colored(points).mark_point(filled=True, size=size, opacity=1)
        return marks.encode(shape=_styled("shape", styles))

    start = _chart([point for point in paths if point["start"]]).encode(x=x, y=y)
    moved = [point for point in paths if not point["start"]]
    # The last layer is on top: large end marks must not disappear below paths.
    layers = [
        colored(paths).mark_line(strokeWidth=1.75).encode(order="iteration:O"),
        start.mark_point(shape="circle", size=90, strokeWidth=2, opacity=1, stroke=MUTED, fill=GROUND),
        marked([point for point in moved if not point["last"]], 34),
        marked([point for point in moved if point["last"]], 120),
        marked(single, 80),
    ]
    subtitle = "ring: initial SFT; up and right is better"
    return _with_title(alt.layer(*layers), f"{up} against {across}", subtitle)


def exposure_chart(points: Sequence[Point], styles: Sequence[ModelStyle], *, title: str) -> Chart:
    """Return cumulative shares over ranks, `TOP` marked: points have `arm`, `rank` and `share`."""
    alt = _altair()
    # Ranks are on a log scale, since the first few items decide.
    axis = alt.Axis(grid=False, format="~s", labelOverlap=True, values=list(RANKS))
    x = alt.X(
        "rank:Q", title="items, most recommended first", scale=alt.Scale(type="log", nice=False), axis=axis
    )
    y = alt.Y("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    rule = _chart([{"rank": TOP}]).mark_rule(strokeDash=[2, 3], color=MUTED).encode(x="rank:Q")
    lines = _chart(points).mark_line(strokeWidth=2).encode(x=x, y=y, **_line_style(styles))
    return _with_title(alt.layer(rule, lines), title, "share of recommendations, cumulated")


def genre_chart(
    history: Mapping[str, float], points: Sequence[Point], styles: Sequence[ModelStyle], *, title: str
) -> Chart:
    """Return genre shares beside those of histories: points have `arm`, `genre` and `share`."""
    alt = _altair()
    order, names = list(history), [style.name for style in styles]
    band = min(9.0, 54 / len(styles)) * len(styles) + 8
    size = {"width": WIDTH - 50, "height": round(band * len(order))}
    y = alt.Y(
        "genre:N",
        sort=order,
        title=None,
        axis=alt.Axis(labelLimit=96, grid=False, labelColor=INK),
        scale=alt.Scale(paddingInner=0.2, paddingOuter=0.1),
    )
    x = alt.X("share:Q", title=None, axis=alt.Axis(format="%", orient="bottom", tickCount=4))
    lines = [{"genre": genre, "share": share} for genre, share in history.items()]
    ticks = _chart(lines, **size).mark_tick(thickness=2.5, size=band - 4, color=INK, opacity=1)
    marks = _chart(points, **size).mark_point(filled=True, size=44, opacity=1)
    channels = {
        "yOffset": alt.YOffset("arm:N", sort=names, scale=alt.Scale(domain=names)),
        "color": _styled("color", styles),
        "shape": _styled("shape", styles),
    }
    layers = [ticks.encode(x=x, y=y), marks.encode(x=x, y=y, **channels)]
    return _with_title(alt.layer(*layers), title, "share of each genre")


def training_chart(
    points: Sequence[Point], styles: Sequence[ModelStyle], *, title: str, subtitle: str
) -> Chart:
    """Return a stage's curves, iteration after iteration: points have `arm`, `iteration`, `x` and `y`."""
    alt = _altair()
    last = max(point["iteration"] for point in points)
    once = last == 1
    axis = alt.Axis(format="%", tickCount=4) if once else alt.Axis(values=list(range(last + 1)), format="d")
    name = "share of the stage" if once else "iterations"
    x = alt.X("x:Q", title=name, axis=axis, scale=alt.Scale(nice=False))
    y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=False))
    lines = _chart(points).mark_line(strokeWidth=1.75)
    return _with_title(lines.encode(x=x, y=y, detail="iteration:N", **_line_style(styles)), title, subtitle)


def join_panels(charts: Sequence[dict[str, Any]], *, columns: int) -> dict[str, Any]:
    """Return the specification of panels side by side."""
    return {"concat": list(charts), "columns": columns, "spacing": {"row": 14, "column": 10}, "align": "each"}


def _altair() -> Any:
    """Return altair: importing it takes a second, and its generated types fit no real call."""
    return import_module("altair")


def _chart(points: Sequence[Point], *, width: float = WIDTH, height: float = HEIGHT) -> Any:
    alt = _altair()
    return alt.Chart(alt.Data(values=list(points)), width=width, height=height)


def _styled(attribute: str, styles: Sequence[ModelStyle], field: str = "arm") -> Any:
    """Return the channel that tells models apart by this attribute of their styles."""
    alt = _altair()
    channel = {"color": alt.Color, "shape": alt.Shape, "dash": alt.StrokeDash}[attribute]
    return channel(f"{field}:N", scale=alt.Scale(**style_scale(styles, attribute)))


def _line_style(styles: Sequence[ModelStyle]) -> dict[str, Any]:
    return {"color": _styled("color", styles), "strokeDash": _styled("dash", styles)}


def _with_title(chart: Any, title: str, subtitle: str) -> Chart:
    return chart.properties(title=_altair().Title(title, **({"subtitle": subtitle} if subtitle else {})))
