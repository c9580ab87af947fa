"""Tables of scores, made from run records alone."""

import math
from collections.abc import Sequence
from dataclasses import replace

from sprec.records.run_record import RunRecord
from sprec.report.tables.arms import group_by_setting, names_rankings, scored_evaluations
from sprec.report.tables.columns import arrows, choose_keys, column_group, find_columns
from sprec.report.tables.comparison import Comparison, TableOptions, compare_runs, score_cell, summarize
from sprec.report.tables.difference_table import difference_table
from sprec.report.tables.inconsistencies import inconsistencies
from sprec.report.tables.main_table import main_tables
from sprec.report.tables.missing import missing_runs, scored_records, source_line, unfinished_note
from sprec.report.tables.reference_values import reported_rows, rows_of_dataset
from sprec.report.tables.run_names import run_name, run_place
from sprec.report.tables.table import Cell, Table, transpose
from sprec.report.tables.table_kinds import ABLATION, MAIN, TableKind
from sprec.report.tables.table_rows import ScoreRow, model_name, name_columns

DEFAULT = TableOptions()


def run_table(record: RunRecord, options: TableOptions = DEFAULT, among: Sequence[RunRecord] = ()) -> Table:
    """Return one run's scores: baselines, the initial SFT model, then every iteration so far.

    Its title tells it from the runs `among` which it stands.
    """
    several, labels = names_rankings([record]), options.labels
    evaluations = scored_evaluations(record)
    keys = choose_keys(evaluations, options.columns, options.cutoffs)
    baselines = {one.label for one in evaluations if one.iteration is None}
    # The arm of the most popular items scores what every run scores beside its own.
    evaluations = tuple(one for one in evaluations if one.iteration is None or one.label not in baselines)
    rows = []
    for one in evaluations:
        cells = [summarize([one.scores.get(key, math.nan)]) for key in keys]
        rows.append((model_name(one, with_ranking=several, labels=labels), one.n, *cells))
    name = run_name(record, labels, among)
    notes = [] if record.status == "finished" else [unfinished_note(name, record)]
    return Table(
        title=f"{name}{run_place(record, labels, among)}, seed {record.seed}",
        columns=("model", "N", *map(labels.score, keys)),
        rows=tuple(rows),
        notes=(*notes, source_line([record])),
        groups=("", "", *map(column_group, keys)),
        arrows=arrows(keys, labels),
        digits=4 if options.digits is None else options.digits,
    )


def score_tables(
    kind: TableKind, records: Sequence[RunRecord], options: TableOptions = DEFAULT
) -> list[Table]:
    """Return this kind's table for each dataset, base LLM and N among the runs, and its differences after it.

    `ValueError` for a baseline or list length that is not there.
    """
    evaluations = [one for record in records for one in scored_evaluations(record)]
    options = replace(options, columns=find_columns(evaluations, options.columns))
    if kind is MAIN:
        return main_tables(records, options)
    tables = []
    # Runs of different settings never stand in one table: their numbers do not compare.
    for setting, runs in group_by_setting(records, across_llms=kind.across_llms).items():
        comparison = compare_runs(kind, setting, runs, options)
        tables.append(_score_table(comparison))
        if comparison.differences and options.differences:
            tables.append(difference_table(comparison))
    return [transpose(table) for table in tables] if options.transposed else tables


def ablation_tables(records: Sequence[RunRecord]) -> list[Table]:
    """Return an ablation table without tests for each dataset, base LLM and N among these runs."""
    return score_tables(ABLATION, records, TableOptions(tested=False))


def _score_table(comparison: Comparison) -> Table:
    """Return means and deviations over seeds, and below them what others report."""
    kind, setting, rows, keys = comparison.kind, comparison.setting, comparison.rows, comparison.keys
    names, options = name_columns(kind), comparison.options
    below: list[tuple[Cell, ...]] = []
    sources: list[str] = []
    if options.references:
        references = rows_of_dataset(options.references, setting.dataset)
        below, sources = reported_rows(references, names=len(names), keys=keys)
    records = comparison.records
    notes = [*inconsistencies(kind, rows, records), *missing_runs(kind, rows, records), *sources]
    notes += [] if options.tested is False else [comparison.test_note()]
    shared = sum(row.arm is None for row in rows)
    first = len(names) + 2
    return Table(
        title=comparison.title,
        columns=(*names, "seeds", "N", *map(options.labels.score, keys)),
        rows=(*(_cells(row, keys) for row in rows), *below),
        notes=(*notes, source_line(scored_records(rows, records))),
        names=len(names),
        groups=("",) * first + tuple(map(column_group, keys)),
        arrows=arrows(keys, options.labels),
        marks={(row, first + column): mark for (row, column), mark in comparison.marks.items()},
        rules=tuple(place for place in (shared, len(rows)) if 0 < place < len(rows) + len(below)),
        label=f"tab:{kind.name}",
        digits=comparison.digits,
    )


def _cells(row: ScoreRow, keys: Sequence[str]) -> tuple[Cell, ...]:
    """Return the row's scores over its seeds, or why there are none in every cell."""
    if not row.by_seed:
        return (*row.names, 0, None, *(row.state for _ in keys))
    n = next(iter(row.by_seed.values())).evaluation.n
    return (*row.names, len(row.by_seed), n, *(score_cell(row, key) for key in keys))
