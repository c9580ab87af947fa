"""The report's figures: small panels that fit a phone, each with a text alternative, and their numbers.

A figure is built from run records alone. One whose numbers the records lack is a `MissingPart` with the
reason, so that a page can say so in a line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sprec.records.run_record import RunRecord
from sprec.report.figures.charts import unchecked
from sprec.report.figures.difference_figure import difference_figure
from sprec.report.figures.figure_kinds import Figure, FigureData, MissingPart
from sprec.report.figures.recommendation_shares import exposure_figure, genre_figure
from sprec.report.figures.score_figures import iteration_figures, plane_figure
from sprec.report.figures.series import arm_series, baseline_evaluations
from sprec.report.figures.style import model_styles
from sprec.report.figures.training_curves import training_figure
from sprec.report.tables.arms import ComparisonSetting, group_by_setting
from sprec.report.tables.columns import choose_keys
from sprec.report.tables.per_user_values import cutoffs_of

FigureOrMissing: TypeAlias = Figure | MissingPart

# What makes the figures, in the order in which a page shows them.
FIGURES = (difference_figure, iteration_figures, plane_figure, exposure_figure, genre_figure, training_figure)


# With more arms, lines in one panel cannot be told apart: the dots of the differences still can.
MOST_LINES = 6


@dataclass(frozen=True)
class ReportGroup:
    """Runs of one setting and their figures."""

    setting: ComparisonSetting
    records: tuple[RunRecord, ...]
    figures: tuple[FigureOrMissing, ...]


def report_groups(records: Sequence[RunRecord], columns: Sequence[str] = ()) -> list[ReportGroup]:
    """Return the runs of each dataset, base LLM and N with their figures; those are never mixed."""
    return [
        ReportGroup(setting, tuple(runs), tuple(make_figures(runs, columns)))
        for setting, runs in group_by_setting(records).items()
    ]


def make_figures(records: Sequence[RunRecord], columns: Sequence[str] = ()) -> list[FigureOrMissing]:
    """Return the figures of runs of one setting, or why there is none.

    `columns` are the scores of the figure of differences, by key or label. `ValueError` for a score that is
    not there and for lists that are not one per scored user.
    """
    series, baselines = arm_series(records), baseline_evaluations(records)
    if not series and not baselines:
        return [MissingPart("Figures", "no run has scores yet")]
    groups = [*(group for arm in series for group in arm.iterations.values()), *baselines.values()]
    evaluations = [evaluation for group in groups for evaluation in group]
    data = FigureData(
        records=tuple(records),
        series=tuple(series),
        baselines=baselines,
        styles=tuple(model_styles(arm.name for arm in series)),
        cutoffs=tuple(cutoffs_of(evaluations)),
        columns=tuple(choose_keys(evaluations, columns)) if columns else (),
    )
    with unchecked():
        if len(series) <= MOST_LINES:
            return [figure for make in FIGURES for figure in make(data)]
        reason = f"{len(series)} arms are too many for lines; name folders of {MOST_LINES} at most"
        return [*difference_figure(data), MissingPart("Figures with lines", reason)]
