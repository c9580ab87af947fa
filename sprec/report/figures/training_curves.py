"""Figures of training: loss and margin of each kind of stage."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from sprec.report.figures import charts
from sprec.report.figures.charts import Point
from sprec.report.figures.figure_kinds import Figure, FigureData, MissingPart, Panel, describe_series
from sprec.report.figures.series import ArmSeries
from sprec.report.figures.style import ModelStyle
from sprec.report.tables.table import Cell, Table

# Points of a stage's curve that are plotted.
POINTS = 60
# The share of a stage over which a curve is averaged: the loss of one batch says little.
SMOOTHING = 0.1
# What people call a value of a curve, and its unit or meaning: a panel's title and subtitle.
QUANTITIES = {
    "loss": ("loss", "nats, lower is better"),
    "margin": ("margin", "chosen less rejected, nats"),  # of records before rewards were recorded
    "rewards/margins": ("margin of rewards", "chosen less rejected, nats"),
    "rewards/accuracies": ("accuracy of rewards", "share of pairs ranked rightly"),
    "grad_norm": ("gradient norm", "before clipping"),
}


class CurveKind(NamedTuple):
    """A kind of stage that was trained, and the value of it that a panel shows."""

    stage: str
    value: str

    @property
    def order(self) -> tuple[bool, bool, str, str]:
        """The sort key: the initial SFT first, then other SFT."""
        return not self.stage.startswith("initial"), not self.stage.startswith("sft"), *self


Curves = Mapping[CurveKind, Sequence[Point]]


def training_figure(data: FigureData) -> list[Figure | MissingPart]:
    """Return loss and margin of every kind of stage, iteration after iteration."""
    title = "Training"
    by_kind: dict[CurveKind, list[Point]] = defaultdict(list)
    for arm in data.series:
        for kind, points in _arm_curves(arm):
            by_kind[kind].extend(points)
    if not by_kind:
        reason = "the records hold no curves: nothing was trained, or they are of schema 1"
        return [MissingPart(title, reason)]
    curves = {kind: by_kind[kind] for kind in sorted(by_kind, key=lambda kind: kind.order)}
    return [
        Figure(
            "curves",
            title,
            f"Means over seeds, averaged over {SMOOTHING:.0%} of a stage; a stage fills one unit of the "
            "axis, whatever its number of steps.",
            tuple(_panel(kind, points, data.styles) for kind, points in curves.items()),
            _table(curves),
            data.styles,
            "line",
        )
    ]


def _arm_curves(arm: ArmSeries) -> Iterator[tuple[CurveKind, list[Point]]]:
    """Yield each stage's curve, averaged over the arm's runs."""
    for label in dict.fromkeys(label for run in arm.runs for label in run.curves):
        runs = [run.curves[label] for run in arm.runs if label in run.curves]
        stage, iteration = split_label(label)
        for value in dict.fromkeys(name for curves in runs for name in curves if name in QUANTITIES):
            curve = mean_curve([curves[value] for curves in runs if curves.get(value)])
            xs = np.linspace(iteration - 1, iteration, len(curve))
            yield (
                CurveKind(stage, value),
                [
                    {"arm": arm.name, "iteration": iteration, "x": float(x), "y": float(y)}
                    for x, y in zip(xs, curve, strict=True)
                ],
            )


def split_label(label: str) -> tuple[str, int]:
    """Return a stage label's kind and iteration, 1 where the stage runs once.

    >>> split_label("dpo 2"), split_label("initial sft")
    (('dpo', 2), ('initial sft', 1))
    """
    match = re.fullmatch(r"(.+) (\d+)", label)
    return (match[1], int(match[2])) if match else (label, 1)


def mean_curve(runs: Sequence[Sequence[float]]) -> list[float]:
    """Return the curves' mean at `POINTS` places of the stage, each smoothed over `SMOOTHING` of it.

    Values that are not finite are left out.
    """
    grid = np.linspace(0, 1, POINTS)
    smoothed = [_smooth(np.asarray(run, dtype=float), grid) for run in runs]
    return np.mean(smoothed, axis=0).tolist() if runs else []


def _smooth(values: Float[np.ndarray, " steps"], grid: Float[np.ndarray, " points"]) -> Any:
    # Near its ends a curve is averaged over what there is, so that it neither bends nor stops short.
    places = np.linspace(0, 1, len(values))
    near = np.abs(places[None, :] - places[:, None]) <= SMOOTHING / 2
    weight = near & np.isfinite(values)
    means = (weight @ np.where(np.isfinite(values), values, 0.0)) / np.maximum(weight.sum(axis=1), 1)
    return np.interp(grid, places, means)


def _panel(kind: CurveKind, points: Sequence[Point], styles: Sequence[ModelStyle]) -> Panel:
    name = _curve_name(kind)
    curves: dict[str, list[float]] = defaultdict(list)
    for point in points:
        curves[point["arm"]].append(point["y"])
    ends = "; ".join(describe_series(arm, [curve[0], curve[-1]]) for arm, curve in curves.items())
    chart = charts.training_chart(points, styles, title=name, subtitle=QUANTITIES[kind.value][1])
    return Panel(chart, f"{name}, first and last value. {ends}.")


def _curve_name(kind: CurveKind) -> str:
    return f"{_stage_name(kind.stage)}, {QUANTITIES[kind.value][0]}"


def _stage_name(stage: str) -> str:
    """Return a stage's name with its abbreviations in capitals.

    >>> _stage_name("initial sft")
    'initial SFT'
    """
    return re.sub(r"\b(sft|s?dpo)\b", lambda match: match[0].upper(), stage)


def _table(curves: Curves) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind, points in curves.items():
        by_iteration: dict[tuple[str, int], list[float]] = defaultdict(list)
        for point in points:
            by_iteration[point["arm"], point["iteration"]].append(point["y"])
        for (arm, iteration), values in by_iteration.items():
            rows.append((arm, _curve_name(kind), iteration, values[0], values[-1]))
    heads = ("model", "stage", "iteration", "first", "last")
    return Table("First and last values, smoothed", heads, tuple(rows), names=3)
