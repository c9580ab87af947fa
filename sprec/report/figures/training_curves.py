"""Figures of training: loss and margin of each kind of stage."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sprec.report.figures import charts
from sprec.report.figures.charts import Point
from sprec.report.figures.figure_kinds import Absent, Figure, Panel, Scene, told
from sprec.report.figures.series import Trace
from sprec.report.figures.style import Look
from sprec.report.tables.table import Cell, Table

POINTS = 60
"""Points of a stage's curve that are drawn."""
SMOOTH = 0.1
"""The share of a stage over which a curve is averaged: the loss of one batch says little."""
MEANING = {
    "loss": "lower is better",
    "margin": "chosen over rejected, nats",
}


class Stage(NamedTuple):
    """What was trained, and what is drawn of it."""

    kind: str
    value: str


def curves(scene: Scene) -> list[Figure | Absent]:
    """Return loss and margin of every kind of stage, iteration after iteration."""
    title = "Training"
    found: dict[Stage, list[dict[str, Any]]] = defaultdict(list)
    for trace in scene.traces:
        for stage, points in _points(trace):
            found[stage].extend(points)
    if not found:
        return [Absent(title, "the records hold no curves: nothing was trained, or they are of schema 1")]
    return [
        Figure(
            "curves",
            title,
            f"Means over seeds, averaged over {SMOOTH:.0%} of a stage; a stage fills one unit of the axis, "
            "whatever its number of steps.",
            tuple(_panel(stage, points, scene.looks) for stage, points in sorted(found.items(), key=_order)),
            _table(found),
            scene.looks,
            "line",
        )
    ]


def _order(entry: tuple[Stage, object]) -> tuple[bool, bool, Stage]:
    stage = entry[0]
    return not stage.kind.startswith("initial"), not stage.kind.startswith("sft"), stage


def _points(trace: Trace) -> Iterator[tuple[Stage, list[dict[str, Any]]]]:
    """Yield each stage's curve, averaged over the arm's runs."""
    labels = dict.fromkeys(label for run in trace.runs for label in run.curves)
    for label in labels:
        own = [run.curves[label] for run in trace.runs if label in run.curves]
        kind, iteration = _parted(label)
        for value in dict.fromkeys(name for each in own for name in each):
            drawn = mean_curve([each[value] for each in own if each.get(value)])
            xs = np.linspace(iteration - 1, iteration, len(drawn))
            yield (
                Stage(kind, value),
                [
                    {"arm": trace.name, "iteration": iteration, "x": float(x), "y": float(y)}
                    for x, y in zip(xs, drawn, strict=True)
                ],
            )


def _parted(label: str) -> tuple[str, int]:
    """Return a stage label's kind and iteration, 1 where it is done once.

    >>> _parted("dpo 2"), _parted("initial sft")
    (('dpo', 2), ('initial sft', 1))
    """
    match = re.fullmatch(r"(.+) (\d+)", label)
    return (match[1], int(match[2])) if match else (label, 1)


def mean_curve(runs: Sequence[Sequence[float]]) -> list[float]:
    """Return the curves' mean at `POINTS` places of the stage, each smoothed over `SMOOTH` of it before.

    Near its ends a curve is averaged over what there is, so that it neither bends nor stops short. Values
    that are not finite are left out.
    """
    grid = np.linspace(0, 1, POINTS)
    return (
        np.mean([_smooth(np.asarray(run, dtype=float), grid) for run in runs], axis=0).tolist()
        if runs
        else []
    )


def _smooth(values: Any, grid: Any) -> Any:
    places = np.linspace(0, 1, len(values))
    near = np.abs(places[None, :] - places[:, None]) <= SMOOTH / 2
    weight = near & np.isfinite(values)
    means = (weight @ np.where(np.isfinite(values), values, 0.0)) / np.maximum(weight.sum(axis=1), 1)
    return np.interp(grid, places, means)


def _panel(stage: Stage, points: Sequence[Point], looks: Sequence[Look]) -> Panel:
    name = f"{_spoken(stage.kind)}, {stage.value}"
    arms = dict.fromkeys(point["arm"] for point in points)
    ends = [
        told(arm, [own[0]["y"], own[-1]["y"]])
        for arm in arms
        if (own := [point for point in points if point["arm"] == arm])
    ]
    alternative = f"{name}, first and last value. {'; '.join(ends)}."
    return Panel(charts.curves(points, looks, title=name, subtitle=MEANING.get(stage.value, "")), alternative)


def _spoken(kind: str) -> str:
    """Return a stage's name with its abbreviations in capitals.

    >>> _spoken("initial sft")
    'initial SFT'
    """
    return re.sub(r"\b(sft|s?dpo)\b", lambda match: match[0].upper(), kind)


def _table(found: Mapping[Stage, Sequence[Point]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for stage, points in sorted(found.items(), key=_order):
        for arm, iteration in dict.fromkeys((point["arm"], point["iteration"]) for point in points):
            own = [p["y"] for p in points if (p["arm"], p["iteration"]) == (arm, iteration)]
            rows.append((arm, f"{_spoken(stage.kind)} {stage.value}", iteration, own[0], own[-1]))
    heads = ("model", "stage", "iteration", "first", "last")
    return Table("First and last values, smoothed", heads, tuple(rows), names=3)
