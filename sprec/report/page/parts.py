"""What stands on a page, as values: a template turns them into HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sprec.records.run_record import RunRecord
from sprec.report.figures.figure_kinds import Absent, Figure
from sprec.report.figures.make import Drawn
from sprec.report.figures.series import traces
from sprec.report.page.runs import Run, overview, run
from sprec.report.page.summary import Glance, glances
from sprec.report.page.users import People, people
from sprec.report.tables.arms import Setting
from sprec.report.tables.assemble import run_table, tables
from sprec.report.tables.table import Table
from sprec.report.tables.table_kinds import ABLATION, MAIN, Kind

Scene: TypeAlias = tuple[Setting, Sequence[RunRecord], Sequence[Drawn]]


@dataclass(frozen=True)
class Level:
    """How full a page is; `left_out` says in words what is not on it."""

    configs: bool
    run_tables: bool
    runs: bool
    left_out: str = ""


LEVELS = (
    Level(configs=True, run_tables=True, runs=True),
    Level(configs=False, run_tables=True, runs=True, left_out="the runs' configurations"),
    Level(configs=False, run_tables=False, runs=True, left_out="the runs' configurations and single tables"),
    Level(configs=False, run_tables=False, runs=False, left_out="the runs' details and single tables"),
)
"""From the fullest page to the emptiest: the first that is small enough is written."""


@dataclass(frozen=True)
class Section:
    """Runs that may be compared: `key` begins the ids of its parts."""

    key: str
    title: str
    setting: str
    glances: tuple[Glance, ...]
    tables: tuple[Table, ...]
    run_tables: tuple[Table, ...]
    figures: tuple[Figure, ...]
    people: People | None
    absent: tuple[Absent, ...]


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    overview: Table
    runs: tuple[Run, ...]
    left_out: str


def page(scenes: Sequence[Scene], level: Level, *, title: str, users: Sequence[int]) -> Page:
    """Return the page of these runs; `ValueError` for users that the records do not hold."""
    records = list({id(record): record for _, runs, _ in scenes for record in runs}.values())
    names = _titles([setting for setting, _, _ in scenes])
    return Page(
        title=title,
        facts=_facts(records),
        warnings=tuple(_warnings(records)),
        sections=tuple(
            _section(f"s{place}", name, *scene, level, users)
            for place, (name, scene) in enumerate(zip(names, scenes, strict=True), start=1)
        ),
        overview=overview(records),
        runs=tuple(run(each, config=level.configs) for each in records) if level.runs else (),
        left_out=level.left_out,
    )


def _titles(settings: Sequence[Setting]) -> list[str]:
    """Return a heading for each setting, with what tells them apart where names do not."""
    names = [f"{each.dataset} × {each.base_llm}" for each in settings]
    return [name if names.count(name) == 1 else str(each) for name, each in zip(names, settings, strict=True)]


def _section(
    key: str,
    title: str,
    setting: Setting,
    records: Sequence[RunRecord],
    drawn: Sequence[Drawn],
    level: Level,
    users: Sequence[int],
) -> Section:
    found = traces(records)
    who = people(found, users)
    absent = [each for each in (*drawn, who) if isinstance(each, Absent)]
    return Section(
        key=key,
        title=title,
        setting=str(setting),
        glances=tuple(glances(found)),
        tables=tuple(tables(_kind(records), records)),
        run_tables=tuple(each for each in map(run_table, records) if each.rows) if level.run_tables else (),
        figures=tuple(each for each in drawn if isinstance(each, Figure)),
        people=None if isinstance(who, Absent) else who,
        absent=tuple(absent),
    )


def _kind(records: Sequence[RunRecord]) -> Kind:
    """Return the ablation's table where the runs are some of its arms, else that of all methods."""
    methods = {record.method for record in records}
    return ABLATION if len(methods) > 1 and methods <= set(ABLATION.options) else MAIN


def _facts(records: Sequence[RunRecord]) -> tuple[tuple[str, str], ...]:
    """Return the numbers that stand below the heading."""
    rows = sorted({each.n for record in records for each in record.evaluations})
    return (
        ("runs", str(len(records))),
        ("seeds", _listed(sorted({record.seed for record in records}))),
        ("scored users", _listed(rows) or "none"),
        ("commit", _listed(dict.fromkeys(map(_commit, records)))),
        ("latest run", max(record.started for record in records)[:10]),
    )


def _commit(record: RunRecord) -> str:
    return (record.commit or "unknown")[:10] + (" (dirty)" if record.dirty else "")


def _listed(values: Iterable[object]) -> str:
    texts = [str(value) for value in values]
    return ", ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")


def _warnings(records: Sequence[RunRecord]) -> list[str]:
    """Return a line for each run that did not finish."""
    lines = []
    for record in records:
        if record.status != "finished":
            state = "has not finished" if record.status == "running" else "failed"
            reason = f": {record.error.splitlines()[0]}" if record.error else ""
            lines.append(f"{record.method} × {record.negatives}, seed {record.seed} {state}{reason}")
    return lines
