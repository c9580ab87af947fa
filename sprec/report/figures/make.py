"""The report's figures: small panels that fit a phone, each with a text alternative, and their numbers.

A figure is built from run records alone. One whose numbers the records lack is an `Absent` with the
reason, so that a page can say so in a line.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sprec.records.run_record import RunRecord
from sprec.report.figures.charts import unchecked
from sprec.report.figures.figure_kinds import Absent, Figure, Scene
from sprec.report.figures.recommendation_shares import genres, ranks
from sprec.report.figures.score_figures import iterations, plane
from sprec.report.figures.series import baselines, cutoffs, traces
from sprec.report.figures.style import looks
from sprec.report.figures.training_curves import curves

Drawn: TypeAlias = Figure | Absent


@dataclass(frozen=True)
class Kind:
    """A kind of figure: `name` is its file's name."""

    name: str
    draw: Callable[[Scene], list[Drawn]]


KINDS = (
    Kind("iterations", iterations),
    Kind("plane", plane),
    Kind("ranks", ranks),
    Kind("genres", genres),
    Kind("curves", curves),
)
"""The figures in the order in which a page shows them."""


def figures(records: Sequence[RunRecord]) -> list[Drawn]:
    """Return the figures of runs of one setting, or why there is none.

    `ValueError` for lists that are not one per scored user.
    """
    found = traces(records)
    other = baselines(records)
    if not found and not other:
        return [Absent("Figures", "no run has scores yet")]
    scored = [each for trace in found for group in trace.iterations.values() for each in group]
    scene = Scene(
        records=tuple(records),
        traces=tuple(found),
        baselines=other,
        looks=tuple(looks(trace.name for trace in found)),
        cutoffs=tuple(cutoffs([*scored, *(each for group in other.values() for each in group)])),
    )
    with unchecked():
        return [drawn for kind in KINDS for drawn in kind.draw(scene)]
