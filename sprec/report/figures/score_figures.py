"""Figures of scores: metrics over iterations, and accuracy against diversity."""

from collections.abc import Iterator, Sequence

from sprec.evaluation.registry import direction_of, label_of
from sprec.records.run_record import Evaluation
from sprec.report.figures import charts
from sprec.report.figures.charts import Point
from sprec.report.figures.figure_kinds import Figure, FigureData, MissingPart, Panel, describe_series
from sprec.report.figures.series import ArmSeries, SeedMean, mean_change, mean_score
from sprec.report.figures.style import DIRECTION, INITIAL, MUTED, ModelStyle
from sprec.report.tables.columns import LIST_METRICS, OFF_CATALOG
from sprec.report.tables.table import Cell, Table, format_range

# Iterations by which the arms' marks stand apart, so that intervals do not hide each other.
OFFSET = 0.07
# Spans of the paths by which a baseline may lie outside them and still be plotted.
NEAR_SPANS = 1.0
INTERVALS = (
    "Means over {} seeds; a bar is the 95\u00a0%\u00a0t interval of the change since iteration 0, each seed "
    "compared with itself: one that leaves {} out is more than chance between seeds."
)
# The score across and the score up of a plane.
ScorePair = tuple[str, str]


def iteration_figures(data: FigureData) -> list[Figure | MissingPart]:
    """Return a figure for each list length: every metric over the iterations, with intervals over seeds."""
    if not data.series:
        return [MissingPart("Metrics over iterations", "no run iterates")]
    return [_iteration_figure(data, k) for k in data.cutoffs]


def plane_figure(data: FigureData) -> list[Figure | MissingPart]:
    """Return the plane of accuracy and diversity, a panel for each list length."""
    pairs = [(f"div_ratio@{k}", f"{'hr' if k == 1 else 'ndcg'}@{k}") for k in data.cutoffs]
    panels = [panel for pair in pairs if (panel := _plane_panel(data, pair))]
    if not panels:
        return [MissingPart("Accuracy and diversity", "no model was scored for both")]
    near = {point["arm"] for pair in pairs for point in _baseline_points(data, pair)[0]}
    return [
        Figure(
            "plane",
            "Accuracy and diversity",
            "Each path starts at the initial SFT (open mark) and ends after the last iteration (large mark); "
            "means over seeds, whose intervals the figures above show. Up and to the right is better."
            + _far_baselines(data, pairs),
            tuple(panels),
            _plane_table(data, [key for across, up in pairs for key in (up, across)]),
            (*data.styles, INITIAL, *(_baseline_style(name) for name in data.baselines if name in near)),
        )
    ]


def _iteration_figure(data: FigureData, k: int) -> Figure:
    # NDCG@1 is HR@1: a second panel would show the same points.
    keys = [metric.key(k) for metric in LIST_METRICS if not (k == 1 and metric.name == "ndcg")]
    keys += [OFF_CATALOG] if k == data.cutoffs[0] else []
    seeds = format_range(len(arm.last) for arm in data.series)
    # Arms that start from different models, or have unequal seeds, share no level.
    has_level = any(_initial_level(data, key) is not None for key in keys)
    level, start = (
        (", the dotted line its level", "the dotted line") if has_level else ("", "the arm's own start")
    )
    intervals = INTERVALS.format(seeds, start) if seeds != "1" else "One seed, so there are no intervals."
    return Figure(
        f"iterations_{k}",
        f"Metrics over iterations, lists of {k}",
        f"Iteration 0 is the initial SFT{level}. {intervals}",
        tuple(_iteration_panel(data, key) for key in keys),
        _iteration_table(data, keys, k),
        data.styles,
    )


def _iteration_panel(data: FigureData, key: str) -> Panel:
    points = list(_iteration_points(data, key))
    direction = DIRECTION[direction_of(key)]
    clauses = "; ".join(
        describe_series(arm.name, [_mean(mean_score(group, key)) for group in arm.iterations.values()])
        for arm in data.series
    )
    label, level = label_of(key), _initial_level(data, key)
    chart = charts.iteration_chart(points, level, data.styles, title=label, subtitle=direction)
    return Panel(chart, f"{label} over iterations, {direction}. {clauses}.")


def _initial_level(data: FigureData, key: str) -> float | None:
    """Return the initial SFT's mean score, None where the arms start from different ones."""
    levels = {mean_score(arm.iterations[0], key) for arm in data.series if 0 in arm.iterations}
    return _mean(levels.pop()) if len(levels) == 1 else None


def _iteration_points(data: FigureData, key: str) -> Iterator[Point]:
    middle = (len(data.series) - 1) / 2
    for place, arm in enumerate(data.series):
        for iteration, group in arm.iterations.items():
            if score := mean_score(group, key):
                below, above = _interval_lengths(arm, group, key)
                yield {
                    "arm": arm.name,
                    "iteration": iteration + (place - middle) * OFFSET,
                    "value": score.mean,
                    "low": max(score.mean - below, 0.0),
                    "high": score.mean + above,
                }


def _interval_lengths(arm: ArmSeries, group: Sequence[Evaluation], key: str) -> tuple[float, float]:
    """Return how far the interval of the change since the initial SFT reaches below and above its mean."""
    change = mean_change(arm.first, group, key)
    return (change.mean - change.low, change.high - change.mean) if change else (0.0, 0.0)


def _iteration_table(data: FigureData, keys: Sequence[str], k: int) -> Table:
    rows = tuple(
        (arm.name, iteration, len(group), *(_cell(mean_score(group, key)) for key in keys))
        for arm in data.series
        for iteration, group in arm.iterations.items()
    )
    title = f"Numbers of the figure: lists of {k}, means [95\u00a0% t interval over seeds]"
    return Table(title, ("model", "iteration", "seeds", *map(label_of, keys)), rows)


def _plane_panel(data: FigureData, pair: ScorePair) -> Panel | None:
    paths = _all_paths(data, pair)
    near, _ = _baseline_points(data, pair)
    if not paths and not near:
        return None
    across, up = map(label_of, pair)
    clauses = [
        describe_series(name, [value for p in paths if p["arm"] == name for value in (p["x"], p["y"])])
        for name in (arm.name for arm in data.series)
    ]
    clauses += [describe_series(point["arm"], [point["x"], point["y"]]) for point in near]
    styles = [*data.styles, *(_baseline_style(point["arm"]) for point in near)]
    return Panel(
        charts.plane_chart(paths, near, styles, across=across, up=up),
        f"{across} across, {up} up, in pairs from the initial SFT on. {'; '.join(clauses)}.",
    )


def _all_paths(data: FigureData, pair: ScorePair) -> list[Point]:
    return [point for arm in data.series for point in _path(arm, pair)]


def _path(arm: ArmSeries, pair: ScorePair) -> Iterator[Point]:
    for iteration, group in arm.iterations.items():
        x, y = (mean_score(group, key) for key in pair)
        if x and y:
            # A ring is the initial SFT: an arm with nothing else to show at iteration 0 ends there.
            start = iteration == 0 and arm.starts_as_others
            last = iteration == max(arm.iterations) and not start
            point = {"arm": arm.name, "iteration": iteration, "x": x.mean, "y": y.mean}
            yield {**point, "start": start, "last": last}


def _baseline_points(data: FigureData, pair: ScorePair) -> tuple[list[Point], list[Point]]:
    """Return the baselines that lie near the paths, and those that lie too far away to see both."""
    paths = _all_paths(data, pair)
    points: list[Point] = [
        {"arm": name, "iteration": 0, "x": x.mean, "y": y.mean}
        for name, group in data.baselines.items()
        if (x := mean_score(group, pair[0])) and (y := mean_score(group, pair[1]))
    ]
    near = [p for p in points if not paths or all(_is_near(p[axis], paths, axis) for axis in "xy")]
    return near, [point for point in points if point not in near]


def _is_near(value: float, paths: Sequence[Point], axis: str) -> bool:
    values: list[float] = [point[axis] for point in paths]
    low, high = min(values), max(values)
    return low - NEAR_SPANS * (high - low) <= value <= high + NEAR_SPANS * (high - low)


def _baseline_style(name: str) -> ModelStyle:
    return ModelStyle(name, MUTED, "cross", (1, 0))


def _far_baselines(data: FigureData, pairs: Sequence[ScorePair]) -> str:
    """Return the sentence that names the baselines which the panels leave out."""
    parts = [
        f"{p['arm']} ({label_of(pair[0])} {p['x']:.3f}, {label_of(pair[1])} {p['y']:.3f})"
        for pair in pairs
        for p in _baseline_points(data, pair)[1]
    ]
    return f" Far outside: {'; '.join(parts)}." if parts else ""


def _plane_table(data: FigureData, keys: Sequence[str]) -> Table:
    groups = [
        *((name, "–", group) for name, group in data.baselines.items()),
        *((arm.name, str(i), group) for arm in data.series for i, group in arm.iterations.items()),
    ]
    rows = tuple((name, i, *(_cell(mean_score(group, key)) for key in keys)) for name, i, group in groups)
    title = "Numbers of the figure, means [95\u00a0% t interval over seeds]"
    return Table(title, ("model", "iteration", *map(label_of, keys)), rows, names=2)


def _mean(score: SeedMean | None) -> float | None:
    return None if score is None else score.mean


def _cell(score: SeedMean | None) -> Cell:
    if score is None or score.seeds == 1:
        return _mean(score)
    return f"{score.mean:.4f} [{score.low:.4f}, {score.high:.4f}]"
