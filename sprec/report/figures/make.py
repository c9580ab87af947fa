"""The report's figures: small panels that fit a phone, each with a text alternative, and their numbers.

A figure is built from run records alone. One whose numbers the records lack is a `MissingPart` with the
reason, so that a page can say so in a line.
"""

from collections.abc import Sequence
from typing import TypeAlias

from sprec.records.run_record import RunRecord
from sprec.report.figures.charts import unchecked
from sprec.report.figures.figure_kinds import Figure, FigureData, MissingPart
from sprec.report.figures.recommendation_shares import exposure_figure, genre_figure
from sprec.report.figures.score_figures import iteration_figures, plane_figure
from sprec.report.figures.series import arm_series, baseline_evaluations
from sprec.report.figures.style import model_styles
from sprec.report.figures.training_curves import training_figure
from sprec.report.tables.per_user_values import cutoffs_of

FigureOrMissing: TypeAlias = Figure | MissingPart

# What makes the figures, in the order in which a page shows them.
FIGURES = (iteration_figures, plane_figure, exposure_figure, genre_figure, training_figure)


def make_figures(records: Sequence[RunRecord]) -> list[FigureOrMissing]:
    """Return the figures of runs of one setting, or why there is none.

    `ValueError` for lists that are not one per scored user.
    """
    series, baselines = arm_series(records), baseline_evaluations(records)
    if not series and not baselines:
        return [MissingPart("Figures", "no run has scores yet")]
    groups = [*(group for arm in series for group in arm.iterations.values()), *baselines.values()]
    data = FigureData(
        records=tuple(records),
        series=tuple(series),
        baselines=baselines,
        styles=tuple(model_styles(arm.name for arm in series)),
        cutoffs=tuple(cutoffs_of(evaluation for group in groups for evaluation in group)),
    )
    with unchecked():
        return [figure for make in FIGURES for figure in make(data)]
