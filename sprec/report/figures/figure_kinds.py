"""What a figure is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sprec.records.run_record import Evaluation, RunRecord
from sprec.report.figures.charts import Chart
from sprec.report.figures.series import Trace
from sprec.report.figures.style import Look
from sprec.report.tables.table import Table

Marks: TypeAlias = Literal["line", "mark", "both"]


@dataclass(frozen=True)
class Panel:
    """One chart and what it says in words."""

    chart: Chart
    alternative: str


@dataclass(frozen=True)
class Figure:
    """Panels side by side: `name` is a file's name, `table` holds the numbers drawn.

    `legend` tells the looks apart, by lines, marks or both.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    table: Table
    legend: tuple[Look, ...]
    marks: Marks = "both"


@dataclass(frozen=True)
class Absent:
    """A figure that the records have no numbers for."""

    title: str
    reason: str


@dataclass(frozen=True)
class Scene:
    """What is to be drawn: runs of one setting, their arms with looks, baselines, list lengths."""

    records: tuple[RunRecord, ...]
    traces: tuple[Trace, ...]
    baselines: Mapping[str, tuple[Evaluation, ...]]
    looks: tuple[Look, ...]
    cutoffs: tuple[int, ...]


def told(name: str, values: Sequence[float | None], form: str = ".3f") -> str:
    """Return a series as a text alternative's clause.

    >>> told("sprec", [0.25, None, 0.5])
    'sprec: 0.250, –, 0.500'
    """
    return f"{name}: " + ", ".join("–" if value is None else format(value, form) for value in values)
