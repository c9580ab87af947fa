"""A W&B Workspace and a Report whose panels show what runs track, section by section."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sprec.evaluation.registry import METRICS, label_of
from sprec.report.dashboards.keys import ITERATION, TrackedNames

# Both packages claim to be typed, but do not pass a strict check.
wr: Any = import_module("wandb_workspaces.reports.v2")
ws: Any = import_module("wandb_workspaces.workspaces")

# Panels in a row, and a panel's size in the 24 columns of a page.
COLUMNS, WIDTH, HEIGHT = 3, 8, 8

# Accuracy and diversity, the axes of the plane in which arms are compared.
PLANE = ("ndcg", "div_ratio")


@dataclass(frozen=True)
class PanelGroup:
    """Panels that belong together, and what a reader sees in them."""

    name: str
    about: str
    panels: tuple[Any, ...]


def panel_groups(tracked: TrackedNames) -> list[PanelGroup]:
    """Return what there is to see, most wanted first; groups without panels are left out."""
    groups = (
        PanelGroup(
            "Scores over iterations",
            "Iteration 0 is the initial SFT model. A line is the mean of an arm's seeds, its band one sd.",
            tuple(_line(key, label_of(key), ITERATION) for key in tracked.in_tables),
        ),
        PanelGroup("Arms at their end", "The last iteration of each arm.", tuple(_final_panels(tracked))),
        PanelGroup(
            "Training",
            "Mean loss of each optimiser step through all iterations, and the preference margin in nats.",
            tuple(_line(key, key, axis) for axis, keys in tracked.curves.items() for key in keys),
        ),
        PanelGroup(
            "Predictions",
            "History, target, written title and ranked titles of the same users after each iteration.",
            tuple(wr.WeavePanelSummaryTable(table_name=name) for name in tracked.tables),
        ),
        PanelGroup(
            "More scores",
            "What the tables leave out, over iterations.",
            tuple(_line(key, label_of(key), ITERATION) for key in tracked.others),
        ),
    )
    return [group for group in groups if group.panels]


def build_workspace(tracked: TrackedNames, *, entity: str, project: str, name: str) -> Any:
    """Return the workspace: runs grouped into arms, a section per group of panels."""
    layout = ws.SectionLayoutSettings(columns=COLUMNS, rows=3)
    sections = [
        ws.Section(name=group.name, panels=list(group.panels), is_open=True, layout_settings=layout)
        for group in panel_groups(tracked)
    ]
    groupby = [ws.Metric("JobType"), *map(ws.Config, tracked.factors)]
    columns = [f"summary:{key}" for key in tracked.final]
    runs = ws.RunsetSettings(groupby=groupby, pinned_columns=["run:displayName", *columns])
    settings = ws.WorkspaceSettings(max_runs=100)
    return ws.Workspace(
        entity=entity, project=project, name=name, sections=sections, settings=settings, runset_settings=runs
    )


def build_report(
    tracked: TrackedNames,
    *,
    entity: str,
    project: str,
    title: str,
    tables: Sequence[str],
    commands: Sequence[str],
) -> Any:
    """Return the report: the tables as they are now, then live panels, then the runs' commands.

    Args:
        tracked: the names that panels show.
        entity: the user or team at W&B.
        project: the project there.
        title: the report's heading.
        tables: in Markdown.
        commands: those of the runs.

    """
    groupby = ["run.jobType", *(f"config.{factor}" for factor in tracked.factors)]
    grids = [
        block
        for group in panel_groups(tracked)
        for block in (
            wr.H2(group.name),
            wr.P(group.about),
            wr.PanelGrid(runsets=[wr.Runset(name="arms", groupby=groupby)], panels=_lay_out(group.panels)),
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


def _final_panels(tracked: TrackedNames) -> Iterator[Any]:
    """Yield the accuracy–diversity plane, then a bar chart of each score."""
    x, y = (f"{metric}{tracked.cutoff}" for metric in PLANE)
    if {x, y} <= set(tracked.scores):
        title = f"{METRICS[PLANE[0]].label} and {METRICS[PLANE[1]].label}, better to the upper right"
        yield wr.ScatterPlot(title=title, x=wr.SummaryMetric(x), y=wr.SummaryMetric(y))
    for key in tracked.final:
        yield wr.BarPlot(
            title=label_of(key), metrics=[key], groupby_aggfunc="mean", groupby_rangefunc="stddev"
        )


def _lay_out(panels: Sequence[Any]) -> list[Any]:
    """Return the panels, each with its place in the rows of the page."""
    # Without places W&B puts every panel into the upper left corner.
    for place, panel in enumerate(panels):
        row, column = divmod(place, COLUMNS)
        panel.layout = wr.Layout(x=column * WIDTH, y=row * HEIGHT, w=WIDTH, h=HEIGHT)
    return list(panels)
