"""The figure of differences: what each arm changed, with the table's own intervals."""

from collections.abc import Mapping, Sequence

from sprec.evaluation.registry import direction_of, label_of
from sprec.report.figures import charts
from sprec.report.figures.charts import Point
from sprec.report.figures.figure_kinds import DIFFERENCES, Figure, FigureData, MissingPart, Panel
from sprec.report.figures.series import ArmSeries, last_differences, mean_score
from sprec.report.figures.style import DIRECTION, VERDICTS
from sprec.report.tables.columns import headline_keys
from sprec.report.tables.table import Cell, Difference, Table, format_cell, format_range

TITLE = "Differences to the initial SFT"
INTERVALS = (
    "A large mark is an arm's last iteration minus its own initial SFT, {}, with the tables' "
    "95\u00a0% interval over users and seeds; small dots are single seeds. A colour says what a paired test, "
    "Holm-corrected over all that is shown, calls better or worse."
)
NOT_TESTED = " Records do not hold {} per user: no interval, no test."
NO_ARM_LISTS = " Some records lack lists, so without a test: {}."
NO_LISTS = "Differences, {} (small dots are seeds); the records hold no lists, so there are no tests."

Differences = Mapping[tuple[int, str], Difference]


def difference_figure(data: FigureData) -> list[Figure | MissingPart]:
    """Return the differences of each arm's last iteration to its initial SFT, a panel for each score."""
    arms = [arm for arm in data.series if len(arm.iterations) > 1]
    if not arms:
        return [MissingPart(TITLE, "no run iterates")]
    keys = list(data.columns) or headline_keys([one for arm in arms for one in arm.last])
    # Records do not hold the off-catalogue share per user, so that it has no interval.
    differences = last_differences(arms, [key for key in keys if "@" in key])
    panels = [(key, list(_points(arms, key, differences))) for key in keys]
    return [
        Figure(
            DIFFERENCES,
            TITLE,
            _caption(arms, keys, differences),
            tuple(_panel(key, points, [arm.name for arm in arms]) for key, points in panels if points),
            _table(arms, keys, differences),
            tuple(VERDICTS.values()),
            "mark",
            names_rows=True,
        )
    ]


def _caption(arms: Sequence[ArmSeries], keys: Sequence[str], differences: Differences) -> str:
    seeds = format_range(len(arm.last) for arm in arms)
    means = "of one seed" if seeds == "1" else f"mean over {seeds} seeds"
    if not differences:
        return NO_LISTS.format(means)
    others = [label_of(key) for key in keys if not any(key == tested for _, tested in differences)]
    untested = [arm.name for place, arm in enumerate(arms) if not any(place == one for one, _ in differences)]
    without_test = NOT_TESTED.format(", ".join(others)) if others else ""
    without_lists = NO_ARM_LISTS.format("; ".join(untested)) if untested else ""
    return f"{INTERVALS.format(means)}{without_test}{without_lists}"


def _points(arms: Sequence[ArmSeries], key: str, differences: Differences) -> list[Point]:
    """Return a point per arm, and one per seed, in which `low` is None."""
    points: list[Point] = []
    for place, arm in enumerate(arms):
        before = {run.seed: one.scores.get(key) for run, one in arm.at(min(arm.iterations))}
        after = {run.seed: one.scores.get(key) for run, one in arm.at(max(arm.iterations))}
        changes = [
            new - old
            for seed, new in after.items()
            if new is not None and (old := before.get(seed)) is not None
        ]
        if not changes:
            continue
        points += [{"arm": arm.name, "value": _rounded(value), "low": None} for value in changes]
        difference = differences.get((place, key))
        mean = difference.mean if difference else sum(changes) / len(changes)
        low, high = (difference.low, difference.high) if difference else (mean, mean)
        verdict = _verdict(key, difference)
        place_of = {"value": _rounded(mean), "low": _rounded(low), "high": _rounded(high)}
        points.append({"arm": arm.name, **place_of, "verdict": verdict, "tested": difference is not None})
    return points


def _rounded(value: float) -> float:
    # Last bits depend on the number of threads, and a file that is kept must not.
    return float(f"{value:.6g}")


def _verdict(key: str, difference: Difference | None) -> str:
    if difference is None or not difference.significant or not direction_of(key):
        return "unclear"
    return "better" if difference.mean * direction_of(key) > 0 else "worse"


def _panel(key: str, points: Sequence[Point], names: Sequence[str]) -> Panel:
    means = [point for point in points if point["low"] is not None]
    texts = [f"{point['arm']}: {_words(point)}" for point in means]
    direction = DIRECTION[direction_of(key)]
    chart = charts.difference_chart(points, names, title=label_of(key), subtitle=direction)
    return Panel(chart, f"{label_of(key)}, difference to the initial SFT, {direction}. {'; '.join(texts)}.")


def _words(point: Point) -> str:
    if not point["tested"]:
        return f"{point['value']:+.4f}, not tested"
    return f"{format_cell(Difference(point['value'], point['low'], point['high'], 1.0))}, {point['verdict']}"


def _table(arms: Sequence[ArmSeries], keys: Sequence[str], differences: Differences) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for place, arm in enumerate(arms):
        for key in keys:
            before, after = mean_score(arm.compared, key), mean_score(arm.last, key)
            values = [None if score is None else score.mean for score in (before, after)]
            rows.append((arm.name, label_of(key), *values, differences.get((place, key))))
    heads = ("model", "score", "initial SFT", "last iteration", "difference [95\u00a0% interval]")
    return Table("Numbers of the figure, means over seeds", heads, tuple(rows), names=2)
