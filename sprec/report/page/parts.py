"""What stands on a page, as values: a template turns them into HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sprec.records.run_record import RunRecord
from sprec.report.figures.figure_kinds import DIFFERENCES, Figure, MissingPart
from sprec.report.figures.make import ReportGroup
from sprec.report.figures.series import arm_series
from sprec.report.labels import LABELS
from sprec.report.page.runs import RunDetails, run_details, run_title, runs_table
from sprec.report.page.summary import ArmSummary, result_sentence, summarize_arms
from sprec.report.page.users import UserExamples, user_examples
from sprec.report.tables.arms import ComparisonSetting
from sprec.report.tables.assemble import run_table, score_tables
from sprec.report.tables.missing import format_commit
from sprec.report.tables.table import Table
from sprec.report.tables.table_kinds import ABLATION, MAIN, TableKind


@dataclass(frozen=True)
class DetailLevel:
    """How full a page is; `left_out` says in words what is not on it."""

    configs: bool
    run_tables: bool
    runs: bool
    left_out: str = ""
    figures: bool = True


@dataclass(frozen=True)
class PageOptions:
    """What a reader asks of a page: its heading, and by row number the users to show, none for a choice.

    `notes` say what of the runs has no record, or one that cannot be read. After `refresh_seconds` a browser
    reads the file again, 0 for never.
    """

    title: str
    users: Sequence[int] = ()
    notes: Sequence[str] = ()
    refresh_seconds: int = 0


# From the fullest page to the emptiest: the first that is small enough is written.
DETAIL_LEVELS = (
    DetailLevel(True, True, True),
    DetailLevel(False, True, True, "the runs' configurations"),
    DetailLevel(False, False, True, "the runs' configurations and single tables"),
    DetailLevel(False, False, False, "the runs' details and single tables"),
    DetailLevel(
        *(False, False, False),
        "the runs' details, single tables, and all figures but the differences (--figures DIR writes them)",
        figures=False,
    ),
)


@dataclass(frozen=True)
class PageSection:
    """Runs that may be compared: `key` begins the ids of its parts."""

    key: str
    title: str
    setting: str
    result: str
    summaries: tuple[ArmSummary, ...]
    tables: tuple[Table, ...]
    run_tables: tuple[Table, ...]
    figures: tuple[Figure, ...]
    examples: UserExamples | None
    missing: tuple[MissingPart, ...]


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    sections: tuple[PageSection, ...]
    runs_table: Table
    runs: tuple[RunDetails, ...]
    left_out: str
    refresh_seconds: int = 0


def build_page(groups: Sequence[ReportGroup], level: DetailLevel, options: PageOptions) -> Page:
    """Return the page of these runs; `ValueError` for users that the records do not hold."""
    records = list({id(record): record for group in groups for record in group.records}.values())
    names = _section_titles([group.setting for group in groups])
    sections = [
        _section(f"s{number}", name, group, level, options.users)
        for number, (name, group) in enumerate(zip(names, groups, strict=True), start=1)
    ]
    shown = records if level.runs else []
    runs = [run_details(record, records, with_config=level.configs) for record in shown]
    unfinished = [_unfinished(record, records) for record in records if record.status != "finished"]
    return Page(
        title=options.title,
        facts=_facts(records),
        warnings=(*unfinished, *options.notes),
        sections=tuple(sections),
        runs_table=runs_table(records),
        runs=tuple(runs),
        left_out=level.left_out,
        refresh_seconds=options.refresh_seconds,
    )


def _result(summaries: Sequence[ArmSummary]) -> str:
    """Return the sentence above all else: SPRec's result, that of the first arm where SPRec is not there."""
    own = [one for one in summaries if one.name.startswith(LABELS.method("sprec"))]
    return result_sentence([*own, *summaries][0]) if summaries else ""


def _section_titles(settings: Sequence[ComparisonSetting]) -> list[str]:
    """Return a heading for each setting, with digests where names alone do not tell two apart."""
    # Two builds of one dataset have one name and different digests.
    names = [f"{LABELS.dataset(one.dataset)} × {LABELS.base_llm(one.base_llm)}" for one in settings]
    pairs = zip(names, settings, strict=True)
    return [name if names.count(name) == 1 else str(setting) for name, setting in pairs]


def _section(
    key: str, title: str, group: ReportGroup, level: DetailLevel, users: Sequence[int]
) -> PageSection:
    """Return the section of one setting.

    Args:
        key: begins the ids of its parts.
        title: its heading.
        group: the runs and their figures.
        level: how full the page is.
        users: row numbers of the users to show, none for a choice.

    """
    records = group.records
    series = arm_series(records)
    summaries = summarize_arms(series)
    examples = user_examples(series, users)
    missing = [part for part in (*group.figures, examples) if isinstance(part, MissingPart)]
    tables = (run_table(record, among=records) for record in records) if level.run_tables else ()
    figures = [part for part in group.figures if isinstance(part, Figure)]
    return PageSection(
        key=key,
        title=title,
        setting=str(group.setting),
        result=_result(summaries),
        summaries=tuple(summaries),
        tables=tuple(score_tables(_table_kind(records), records)),
        run_tables=tuple(table for table in tables if table.rows),
        figures=tuple(part for part in figures if level.figures or part.name == DIFFERENCES),
        examples=None if isinstance(examples, MissingPart) else examples,
        missing=tuple(missing),
    )


def _table_kind(records: Sequence[RunRecord]) -> TableKind:
    """Return the ablation's table where the runs are some of its arms, else that of all methods."""
    methods = {record.method for record in records}
    return ABLATION if len(methods) > 1 and methods <= set(ABLATION.options) else MAIN


def _facts(records: Sequence[RunRecord]) -> tuple[tuple[str, str], ...]:
    """Return the numbers that stand below the heading."""
    rows = sorted({evaluation.n for record in records for evaluation in record.evaluations})
    return (
        ("runs", str(len(records))),
        ("seeds", _shorten(sorted({record.seed for record in records}))),
        ("scored users", _shorten(rows) or "none"),
        ("commit", _shorten(dict.fromkeys(map(format_commit, records)))),
        ("latest run", max(record.started for record in records)[:10]),
    )


def _shorten(values: Iterable[object]) -> str:
    """Return the values in one short line; where only one would be left out, all of them.

    >>> _shorten(range(5)), _shorten(range(6))
    ('0, 1, 2, 3, 4', '0, 1, 2, 3 and 2 more')
    """
    texts = [str(value) for value in values]
    return ", ".join(texts) if len(texts) <= 5 else f"{', '.join(texts[:4])} and {len(texts) - 4} more"


def _unfinished(record: RunRecord, among: Sequence[RunRecord]) -> str:
    state = "has not finished" if record.status == "running" else "failed"
    reason = f": {record.error.splitlines()[0]}" if record.error else ""
    return f"{run_title(record, among)} {state}{reason}"
