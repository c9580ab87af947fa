"""Figures of scores: metrics over iterations, and accuracy against diversity."""

from collections.abc import Iterator, Sequence

from sprec.records.run_record import Evaluation
from sprec.report.figures import charts
from sprec.report.figures.charts import Point
from sprec.report.figures.figure_kinds import Absent, Figure, Panel, Scene, told
from sprec.report.figures.series import Estimate, Trace, change, score
from sprec.report.figures.style import INITIAL, MUTED, Look
from sprec.report.tables.columns import METRICS, OFF_CATALOG, head, sign
from sprec.report.tables.table import Cell, Table

APART = 0.07
"""Iterations by which the arms' marks stand apart, so that intervals do not hide each other."""
REACH = 1.0
"""Spans of the paths by which a baseline may lie outside them and still be drawn."""
SPREAD = (
    "Means over {} seeds; a bar is the 95\u00a0%\u00a0t interval of the change since iteration 0, each seed "
    "compared with itself: one that leaves the dotted line out is more than chance between seeds."
)
WAY = {1: "higher is better", -1: "lower is better"}


def iterations(scene: Scene) -> list[Figure | Absent]:
    """Return a figure for each list length: every metric over the iterations, with intervals over seeds."""
    if not scene.traces:
        return [Absent("Metrics over iterations", "no run iterates")]
    return [_iterations(scene, k) for k in scene.cutoffs]


def plane(scene: Scene) -> list[Figure | Absent]:
    """Return the plane of accuracy and diversity, a panel for each list length."""
    ways = [(f"{'hr' if k == 1 else 'ndcg'}@{k}", f"div_ratio@{k}") for k in scene.cutoffs]
    panels = [panel for keys in ways if (panel := _plane(scene, *keys))]
    if not panels:
        return [Absent("Accuracy and diversity", "no model was scored for both")]
    others = [INITIAL, *(Look(name, MUTED, "cross", (1, 0)) for name in scene.baselines)]
    return [
        Figure(
            "plane",
            "Accuracy and diversity",
            "Each path starts at the initial SFT (open mark) and ends after the last iteration (large mark); "
            "means over seeds, whose intervals the figures above show. Up and to the right is better."
            + _outside(scene, ways),
            tuple(panels),
            _plane_table(scene, [key for keys in ways for key in keys]),
            (*scene.looks, *(each for each in others if each == INITIAL or _drawn(scene, ways, each))),
        )
    ]


def _drawn(scene: Scene, ways: Sequence[tuple[str, str]], look: Look) -> bool:
    return any(point["arm"] == look.name for keys in ways for point in _alone(scene, *keys)[0])


def _iterations(scene: Scene, k: int) -> Figure:
    # NDCG@1 is HR@1: a second panel would show the same points.
    keys = [f"{metric}@{k}" for metric in METRICS if not (k == 1 and metric == "ndcg")]
    keys += [OFF_CATALOG] if k == scene.cutoffs[0] else []
    panels = [_over_iterations(scene, key) for key in keys]
    seeds = max(len(trace.last) for trace in scene.traces)
    spread = SPREAD.format(seeds) if seeds > 1 else "One seed, so there are no intervals."
    return Figure(
        f"iterations_{k}",
        f"Metrics over iterations, lists of {k}",
        f"Iteration 0 is the initial SFT, the dotted line its level. {spread}",
        tuple(panels),
        _iterations_table(scene, keys, k),
        scene.looks,
    )


def _over_iterations(scene: Scene, key: str) -> Panel:
    points = list(_points(scene, key))
    series = [
        (trace.name, [_mean(score(each, key)) for each in trace.iterations.values()])
        for trace in scene.traces
    ]
    way = WAY[sign(key)]
    alternative = f"{head(key)} over iterations, {way}. " + "; ".join(told(*each) for each in series) + "."
    return Panel(
        charts.iterations(points, _level(scene, key), scene.looks, title=head(key), subtitle=way),
        alternative,
    )


def _level(scene: Scene, key: str) -> float | None:
    """Return the initial SFT's mean score, None where the arms start from different ones."""
    found = {score(trace.iterations[0], key) for trace in scene.traces if 0 in trace.iterations}
    return _mean(found.pop()) if len(found) == 1 else None


def _points(scene: Scene, key: str) -> Iterator[Point]:
    middle = (len(scene.traces) - 1) / 2
    for place, trace in enumerate(scene.traces):
        for iteration, group in trace.iterations.items():
            if found := score(group, key):
                below, above = _reach(trace, group, key)
                yield {
                    "arm": trace.name,
                    "iteration": iteration + (place - middle) * APART,
                    "value": found.mean,
                    "low": max(found.mean - below, 0.0),
                    "high": found.mean + above,
                }


def _reach(trace: Trace, group: Sequence[Evaluation], key: str) -> tuple[float, float]:
    """Return how far the interval of the change since the initial SFT goes below and above its mean."""
    found = change(trace.first, group, key)
    return (found.mean - found.low, found.high - found.mean) if found else (0.0, 0.0)


def _iterations_table(scene: Scene, keys: Sequence[str], k: int) -> Table:
    rows = [
        (trace.name, iteration, len(group), *(_cell(score(group, key)) for key in keys))
        for trace in scene.traces
        for iteration, group in trace.iterations.items()
    ]
    heads = ("model", "iteration", "seeds", *map(head, keys))
    return Table(
        f"Numbers of the figure: lists of {k}, means [95\u00a0% t interval over seeds]", heads, tuple(rows)
    )


def _plane(scene: Scene, accuracy: str, diversity: str) -> Panel | None:
    paths = [point for trace in scene.traces for point in _path(trace, accuracy, diversity)]
    near, _ = _alone(scene, accuracy, diversity)
    if not paths and not near:
        return None
    names = [trace.name for trace in scene.traces]
    said = [told(name, [v for p in paths if p["arm"] == name for v in (p["x"], p["y"])]) for name in names]
    said += [told(point["arm"], [point["x"], point["y"]]) for point in near]
    alternative = f"{head(diversity)} across, {head(accuracy)} up, in pairs from the initial SFT on. "
    others = [Look(point["arm"], MUTED, "cross", (1, 0)) for point in near]
    names_of = {"across": head(diversity), "up": head(accuracy)}
    chart = charts.plane(paths, near, [*scene.looks, *others], **names_of)
    return Panel(chart, alternative + "; ".join(said) + ".")


def _alone(scene: Scene, accuracy: str, diversity: str) -> tuple[list[Point], list[Point]]:
    """Return the baselines that lie near the paths, and those that lie too far away to see both."""
    paths = [point for trace in scene.traces for point in _path(trace, accuracy, diversity)]
    found: list[Point] = [
        {"arm": name, "iteration": 0, "x": x.mean, "y": y.mean}
        for name, group in scene.baselines.items()
        if (x := score(group, diversity)) and (y := score(group, accuracy))
    ]
    near = [point for point in found if not paths or all(_near(point[at], paths, at) for at in "xy")]
    return near, [point for point in found if point not in near]


def _near(value: float, paths: Sequence[Point], at: str) -> bool:
    values: list[float] = [point[at] for point in paths]
    low, high = min(values), max(values)
    return low - REACH * (high - low) <= value <= high + REACH * (high - low)


def _outside(scene: Scene, ways: Sequence[tuple[str, str]]) -> str:
    """Return the sentence that names the baselines which the panels leave out."""
    parts = [
        f"{point['arm']} ({head(diversity)} {point['x']:.3f}, {head(accuracy)} {point['y']:.3f})"
        for accuracy, diversity in ways
        for point in _alone(scene, accuracy, diversity)[1]
    ]
    return f" Far outside: {'; '.join(parts)}." if parts else ""


def _path(trace: Trace, accuracy: str, diversity: str) -> Iterator[Point]:
    for iteration, group in trace.iterations.items():
        x, y = score(group, diversity), score(group, accuracy)
        if x and y:
            last = iteration == max(trace.iterations)
            yield {"arm": trace.name, "iteration": iteration, "x": x.mean, "y": y.mean, "last": last}


def _plane_table(scene: Scene, keys: Sequence[str]) -> Table:
    groups = [
        *((name, "–", group) for name, group in scene.baselines.items()),
        *((trace.name, str(i), group) for trace in scene.traces for i, group in trace.iterations.items()),
    ]
    rows = tuple((name, i, *(_cell(score(group, key)) for key in keys)) for name, i, group in groups)
    return Table(
        "Numbers of the figure, means [95\u00a0% t interval over seeds]",
        ("model", "iteration", *map(head, keys)),
        rows,
        names=2,
    )


def _mean(found: Estimate | None) -> float | None:
    return None if found is None else found.mean


def _cell(found: Estimate | None) -> Cell:
    if found is None:
        return None
    return found.mean if found.seeds == 1 else f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]"
