"""Charts: points in, an altair chart of one panel out. Names of models and genres are data, never code."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, TypeAlias

from sprec.report.figures.style import GROUND, HEIGHT, INK, MUTED, WIDTH, Look, channel, span

Chart: TypeAlias = Any
Point: TypeAlias = Mapping[str, Any]

RANKS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
"""Marked ranks."""
TOP = 3
"""The items that ORRatio counts."""


def _altair() -> Any:
    """Return altair: importing it takes a second, and its generated types fit no real call."""
    return import_module("altair")


def unchecked() -> AbstractContextManager[None]:
    """Return a context in which altair checks no chart against its schema: half of all time."""
    quiet: AbstractContextManager[None] = import_module("altair.utils.schemapi").debug_mode(False)
    return quiet


def _over(points: Sequence[Point], **size: float) -> Any:
    alt = _altair()
    size = {"width": WIDTH, "height": HEIGHT} | size
    return alt.Chart(alt.Data(values=list(points)), **size)


def _coded(kind: str, looks: Sequence[Look], part: str) -> Any:
    """Return the channel `kind` that tells models apart by this part of their looks."""
    alt = _altair()
    return getattr(alt, kind)("arm:N", scale=alt.Scale(**channel(looks, part)))


def _titled(chart: Any, title: str, subtitle: str) -> Chart:
    return chart.properties(title=_altair().Title(title, **({"subtitle": subtitle} if subtitle else {})))


def iterations(
    points: Sequence[Point], level: float | None, looks: Sequence[Look], *, title: str, subtitle: str
) -> Chart:
    """Return a metric over iterations, with a line at a level where there is one.

    Points have `arm`, `iteration`, `value`, `low` and `high`.
    """
    alt = _altair()
    last = max((round(point["iteration"]) for point in points), default=0)
    x = alt.X(
        "iteration:Q",
        title="iteration",
        axis=alt.Axis(values=list(range(last + 1)), format="d", grid=False),
        scale=alt.Scale(domain=[-0.3, last + 0.3], nice=False),
    )
    reach = span(point[end] for point in points for end in ("low", "high"))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=reach, nice=False))
    base = _over(points).encode(x=x, color=_coded("Color", looks, "color"))
    lines = [] if level is None else [{"value": level}]
    layers = [
        _over(lines).mark_rule(strokeDash=[2, 3], color=MUTED).encode(y=y),
        base.mark_rule(strokeWidth=1.5, opacity=0.65).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y, strokeDash=_coded("StrokeDash", looks, "dash")),
        base.mark_point(filled=True, size=46, opacity=1).encode(y=y, shape=_coded("Shape", looks, "shape")),
    ]
    return _titled(alt.layer(*layers), title, subtitle)


def plane(
    paths: Sequence[Point], alone: Sequence[Point], looks: Sequence[Look], *, across: str, up: str
) -> Chart:
    """Return paths and single points in a plane: points have `arm`, `iteration`, `x`, `y` and `last`."""
    alt = _altair()
    domains = {at: span(point[at] for point in (*paths, *alone)) for at in "xy"}
    x = alt.X("x:Q", title=across, scale=alt.Scale(domain=domains["x"], nice=False))
    y = alt.Y("y:Q", title=None, scale=alt.Scale(domain=domains["y"], nice=False))

    def over(points: Sequence[Point]) -> Any:
        return _over(points).encode(x=x, y=y, color=_coded("Color", looks, "color"))

    def marks(points: Sequence[Point], size: int) -> Any:
        return (
            over(points)
            .mark_point(filled=True, size=size, opacity=1)
            .encode(shape=_coded("Shape", looks, "shape"))
        )

    start = _over([point for point in paths if point["iteration"] == 0]).encode(x=x, y=y)
    moved = [point for point in paths if point["iteration"] > 0]
    layers = [
        over(paths).mark_line(strokeWidth=1.75).encode(order="iteration:O"),
        start.mark_point(shape="circle", size=90, strokeWidth=2, opacity=1, stroke=MUTED, fill=GROUND),
        marks([point for point in moved if not point["last"]], 34),
        marks([point for point in moved if point["last"]], 120),
        marks(alone, 80),
    ]
    return _titled(alt.layer(*layers), f"{up} against {across}", "ring: initial SFT; up and right is better")


def ranks(points: Sequence[Point], looks: Sequence[Look], *, title: str) -> Chart:
    """Return cumulated shares over ranks, `TOP` marked: points have `arm`, `rank` and `share`."""
    alt = _altair()
    axis = alt.Axis(grid=False, format="~s", labelOverlap=True, values=list(RANKS))
    x = alt.X(
        "rank:Q",
        title="items, most recommended first",
        scale=alt.Scale(type="log", nice=False),
        axis=axis,
    )
    y = alt.Y("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    coded = {
        "color": _coded("Color", looks, "color"),
        "strokeDash": _coded("StrokeDash", looks, "dash"),
    }
    rule = _over([{"rank": TOP}]).mark_rule(strokeDash=[2, 3], color=MUTED).encode(x="rank:Q")
    lines = _over(points).mark_line(strokeWidth=2).encode(x=x, y=y, **coded)
    return _titled(alt.layer(rule, lines), title, "share of recommendations, cumulated")


def genres(
    history: Mapping[str, float], points: Sequence[Point], looks: Sequence[Look], *, title: str
) -> Chart:
    """Return shares beside those of histories: points have `arm`, `genre` and `share`."""
    alt = _altair()
    order, names = list(history), [look.name for look in looks]
    band = min(9.0, 54 / len(looks)) * len(looks) + 8
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
    ticks = _over(lines, **size).mark_tick(thickness=2.5, size=band - 4, color=INK, opacity=1)
    marks = _over(points, **size).mark_point(filled=True, size=44, opacity=1)
    coded = {
        "yOffset": alt.YOffset("arm:N", sort=names, scale=alt.Scale(domain=names)),
        "color": _coded("Color", looks, "color"),
        "shape": _coded("Shape", looks, "shape"),
    }
    layers = [ticks.encode(x=x, y=y), marks.encode(x=x, y=y, **coded)]
    return _titled(alt.layer(*layers), title, "share of each genre")


def curves(points: Sequence[Point], looks: Sequence[Look], *, title: str, subtitle: str) -> Chart:
    """Return a stage's curves, iteration after iteration: points have `arm`, `iteration`, `x` and `y`."""
    alt = _altair()
    last = max(point["iteration"] for point in points)
    once = last == 1
    axis = alt.Axis(format="%", tickCount=4) if once else alt.Axis(values=list(range(last + 1)), format="d")
    name = "share of the stage" if once else "iterations"
    x = alt.X("x:Q", title=name, axis=axis, scale=alt.Scale(nice=False))
    y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=False))
    coded = {
        "color": _coded("Color", looks, "color"),
        "strokeDash": _coded("StrokeDash", looks, "dash"),
    }
    lines = _over(points).mark_line(strokeWidth=1.75).encode(x=x, y=y, detail="iteration:N", **coded)
    return _titled(lines, title, subtitle)


def joined(charts: Sequence[Chart], *, columns: int, title: str) -> Chart:
    """Return panels side by side under one title."""
    alt = _altair()
    head = alt.Title(title, fontSize=16, offset=18)
    return alt.concat(
        *charts, columns=columns, title=head, bounds="flush", spacing={"row": 104, "column": 72}
    )
