"""A W&B Workspace and a Report whose panels show what runs track, section by section."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sprec.report.dashboards.keys import ITERATION, Tracked, head
from sprec.report.tables.assemble import METRICS

# Both say that they are typed, and are not as far as a strict check goes.
wr: Any = import_module("wandb_workspaces.reports.v2")
ws: Any = import_module("wandb_workspaces.workspaces")

COLUMNS, WIDTH, HEIGHT = 3, 8, 8
"""Panels in a row, and a panel's size in the 24 columns of a page."""

PLANE = ("ndcg", "div_ratio")
"""Accuracy and diversity, the axes of the plane in which arms are compared."""


@dataclass(frozen=True)
class Topic:
    """Panels that belong together, and what a reader sees in them."""

    name: str
    about: str
    panels: tuple[Any, ...]


def topics(tracked: Tracked) -> list[Topic]:
    """Return what there is to see, most wanted first; topics without panels are left out."""
    found = (
        Topic(
            "Scores over iterations",
            "Iteration 0 is the initial SFT model. A line is the mean of an arm's seeds, its band one sd.",
            tuple(_line(key, head(key), ITERATION) for key in tracked.tabled),
        ),
        Topic("Arms at their end", "The last iteration of each arm.", tuple(_ends(tracked))),
        Topic(
            "Training",
            "Mean loss of each optimiser step through all iterations, and the preference margin in nats.",
            tuple(_line(key, key, axis) for axis, keys in tracked.curves.items() for key in keys),
        ),
        Topic(
            "Predictions",
            "History, target, written title and ranked titles of the same users after each iteration.",
            tuple(wr.WeavePanelSummaryTable(table_name=name) for name in tracked.tables),
        ),
        Topic(
            "More scores",
            "What the tables leave out, over iterations.",
            tuple(_line(key, head(key), ITERATION) for key in tracked.others),
        ),
    )
    return [topic for topic in found if topic.panels]


def workspace(tracked: Tracked, *, entity: str, project: str, name: str) -> Any:
    """Return the workspace: runs grouped into arms, a section per topic."""
    layout = ws.SectionLayoutSettings(columns=COLUMNS, rows=3)
    sections = [
        ws.Section(name=each.name, panels=list(each.panels), is_open=True, layout_settings=layout)
        for each in topics(tracked)
    ]
    groups = [ws.Metric("JobType"), *map(ws.Config, tracked.factors)]
    columns = [f"summary:{key}" for key in tracked.ending]
    runs = ws.RunsetSettings(groupby=groups, pinned_columns=["run:displayName", *columns])
    settings = ws.WorkspaceSettings(max_runs=100)
    return ws.Workspace(
        entity=entity, project=project, name=name, sections=sections, settings=settings, runset_settings=runs
    )


def report(
    tracked: Tracked,
    *,
    entity: str,
    project: str,
    title: str,
    tables: Sequence[str],
    commands: Sequence[str],
) -> Any:
    """Return the report: the tables (Markdown) as they are now, then live panels, then the runs' commands."""
    groups = ["run.jobType", *(f"config.{factor}" for factor in tracked.factors)]
    grids = [
        block
        for topic in topics(tracked)
        for block in (
            wr.H2(topic.name),
            wr.P(topic.about),
            wr.PanelGrid(runsets=[wr.Runset(name="arms", groupby=groups)], panels=_placed(topic.panels)),
        )
    ]
    blocks = [
        wr.TableOfContents(),
        wr.H2("Tables"),
        *map(wr.MarkdownBlock, tables),
        *grids,
        wr.H2("Commands"),
        wr.CodeBlock("\n".join(commands), language=None),
    ]
    return wr.Report(entity=entity, project=project, title=title, blocks=blocks, width="fluid")


def _line(key: str, title: str, axis: str) -> Any:
    return wr.LinePlot(
        title=title,
        x=axis,
        y=[key],
        title_x=axis,
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=100,
    )


def _ends(tracked: Tracked) -> Iterator[Any]:
    """Yield the accuracy–diversity plane, then a bar chart of each score."""
    x, y = (f"{metric}{tracked.cutoff}" for metric in PLANE)
    if {x, y} <= set(tracked.scores):
        title = f"{METRICS[PLANE[0]]} and {METRICS[PLANE[1]]}, better to the upper right"
        yield wr.ScatterPlot(title=title, x=wr.SummaryMetric(x), y=wr.SummaryMetric(y))
    for key in tracked.ending:
        yield wr.BarPlot(title=head(key), metrics=[key], groupby_aggfunc="mean", groupby_rangefunc="stddev")


def _placed(panels: Sequence[Any]) -> list[Any]:
    """Return the panels with places in rows of the page."""
    for place, panel in enumerate(panels):
        row, column = divmod(place, COLUMNS)
        panel.layout = wr.Layout(x=column * WIDTH, y=row * HEIGHT, w=WIDTH, h=HEIGHT)
    return list(panels)
