"""What a figure is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sprec.records.run_record import Evaluation, RunRecord
from sprec.report.figures.charts import Chart
from sprec.report.figures.series import ArmSeries
from sprec.report.figures.style import ModelStyle
from sprec.report.tables.table import Table

DIFFERENCES = "differences"
"""The name of the figure that says most in least room."""
LegendMarks: TypeAlias = Literal["line", "mark", "both"]


@dataclass(frozen=True)
class Panel:
    """One chart, and its text alternative."""

    chart: Chart
    alternative: str


@dataclass(frozen=True)
class Figure:
    """Panels side by side: `name` is a file's name, `table` holds the numbers of the charts.

    `legend` has the styles of the models, which `marks` shows as lines, marks or both. `names_rows` says
    that the y axis names models, which panels beside each other need once.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    table: Table
    legend: tuple[ModelStyle, ...]
    marks: LegendMarks = "both"
    names_rows: bool = False


@dataclass(frozen=True)
class MissingPart:
    """A part of a report that the records have no numbers for."""

    title: str
    reason: str


@dataclass(frozen=True)
class FigureData:
    """What figures show: runs of one setting, their arms with styles, baselines, list lengths.

    `columns` are the scores that a reader wants to see differences of, none for those that say most.
    """

    records: tuple[RunRecord, ...]
    series: tuple[ArmSeries, ...]
    baselines: Mapping[str, tuple[Evaluation, ...]]
    styles: tuple[ModelStyle, ...]
    cutoffs: tuple[int, ...]
    columns: tuple[str, ...] = ()

    @property
    def initial(self) -> ArmSeries | None:
        """The arm with most scores of the initial SFT model, one per seed; None if lists differ in kind."""
        started = [arm for arm in self.series if arm.starts_as_others]
        if len({arm.list_kinds for arm in started}) > 1:
            return None
        return max(started, key=lambda arm: len(arm.iterations[0]), default=None)


def describe_series(name: str, values: Sequence[float | None], form: str = ".3f") -> str:
    """Return a series as a clause of a text alternative.

    >>> describe_series("sprec", [0.25, None, 0.5])
    'sprec: 0.250, –, 0.500'
    """
    return f"{name}: " + ", ".join("–" if value is None else format(value, form) for value in values)
