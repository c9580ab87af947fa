"""Tables of scores, made from run records alone."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sprec.evaluation.registry import label_of
from sprec.records.run_record import RunRecord
from sprec.report.tables.arms import ComparisonSetting, group_by_setting, rankings_of, scored_evaluations
from sprec.report.tables.columns import arrows, column_group, is_better, score_keys
from sprec.report.tables.marks import mark_best
from sprec.report.tables.missing import inconsistencies, missing_runs, source_line, unfinished_note
from sprec.report.tables.reference_values import ReportedRow, reported_rows
from sprec.report.tables.table import Cell, Difference, Mark, MeanStd, Table
from sprec.report.tables.table_kinds import ABLATION, INITIAL, TableKind
from sprec.report.tables.table_rows import ScoreRow, model_name, name_columns, score_rows

FEW_RUNS = 40
"""Runs up to which intervals and tests are computed by default: with more they take longer than a second."""

ENOUGH_SEEDS = 6
"""Seeds from which a test over seeds could reach 5 %: 2 / 2⁶. With fewer, chance in training gets marks."""

Differences = Mapping[tuple[int, str], Difference]


@dataclass(frozen=True)
class TableOptions:
    """What a reader wants of a table.

    `against` names the row that others are compared with, None takes the table's own. `tested` says
    whether intervals and tests are computed, None where there are few runs. `plain` marks best and second
    whatever the tests say. `differences` says whether a table of them follows the scores.
    """

    cutoffs: tuple[int, ...] = ()
    against: str | None = None
    tested: bool | None = None
    plain: bool = False
    references: tuple[ReportedRow, ...] = ()
    differences: bool = True


DEFAULT = TableOptions()


def run_table(record: RunRecord, options: TableOptions = DEFAULT) -> Table:
    """Return one run's scores: baselines, the initial SFT model, then every iteration so far."""
    several = len(rankings_of([record])) > 1
    evaluations = scored_evaluations(record)
    keys = score_keys(evaluations, options.cutoffs)
    rows = tuple(
        (
            model_name(one, with_ranking=several),
            one.n,
            *(_summarize([one.scores.get(key, math.nan)]) for key in keys),
        )
        for one in evaluations
    )
    name = f"{record.method} × {record.negatives}"
    notes = [] if record.status == "finished" else [unfinished_note(name, record)]
    return Table(
        title=f"{name}, seed {record.seed}",
        columns=("model", "N", *map(label_of, keys)),
        rows=rows,
        notes=(*notes, source_line([record])),
        groups=("", "", *map(column_group, keys)),
        arrows=arrows(keys),
    )


def score_tables(
    kind: TableKind, records: Sequence[RunRecord], options: TableOptions = DEFAULT
) -> list[Table]:
    """Return this kind's table for each dataset, base LLM and N among the runs, and its differences after it.

    Runs of different settings never stand in one table. `ValueError` for a baseline or list length that
    is not there.
    """
    groups = group_by_setting(records, across_llms=kind.across_llms)
    return [
        table for setting, runs in groups.items() for table in _setting_tables(kind, setting, runs, options)
    ]


def ablation_tables(records: Sequence[RunRecord]) -> list[Table]:
    """Return an ablation table without tests for each dataset, base LLM and N among these runs."""
    return score_tables(ABLATION, records, TableOptions(tested=False))


def several_settings(settings: Sequence[ComparisonSetting]) -> str:
    """Return the line which says that runs of several settings were named."""
    listed = "; ".join(map(str, settings))
    return f"these runs are not one comparison but {len(settings)} (each needs a table of its own): {listed}"


def find_baseline(kind: TableKind, rows: Sequence[ScoreRow], against: str | None) -> ScoreRow | None:
    """Return the row that the others are compared with, None for each run's own initial SFT model.

    `ValueError` where the row that was asked for is not there.
    """
    name = (kind.against if against is None else against).casefold()
    if name == INITIAL.casefold():
        return None
    named = [row for row in rows if name in (str(row).casefold(), row.names[0].casefold())]
    if named or against is None:
        return named[0] if named else None
    listed = ", ".join(dict.fromkeys([INITIAL, *map(str, rows)]))
    raise ValueError(f"--against {against!r} is no row of this table; take one of {listed}")


def score_cell(row: ScoreRow, key: str) -> Cell:
    """Return a row's cell of a score: its value, or its mean and deviation over seeds."""
    return _summarize(row.scores(key))


def _setting_tables(
    kind: TableKind, setting: ComparisonSetting, records: Sequence[RunRecord], options: TableOptions
) -> list[Table]:
    """Return the scores of one setting, and the differences to the baseline where they are wanted."""
    rows = score_rows(kind, records)
    keys = score_keys([one for record in records for one in scored_evaluations(record)], options.cutoffs)
    baseline = find_baseline(kind, rows, options.against)
    name = INITIAL if baseline is None else str(baseline)
    wanted = len(records) <= FEW_RUNS if options.tested is None else options.tested
    have_lists = any(one.lists for record in records for one in record.evaluations)
    differences = _compare(rows, baseline, keys) if wanted and have_lists else {}
    scores = _score_table(kind, setting, records, rows, keys, options)
    test_note = _test_note(name, differences, records, wanted, options)
    notes = [test_note] if options.tested is not False else []
    table = replace(
        scores,
        marks=_mark_cells(rows, keys, differences, baseline, options),
        notes=(*scores.notes[:-1], *notes, scores.notes[-1]),
    )
    if not (differences and options.differences):
        return [table]
    return [table, _difference_table(kind, table, rows, keys, name, differences)]


def _compare(rows: Sequence[ScoreRow], baseline: ScoreRow | None, keys: Sequence[str]) -> Differences:
    # Tables without tests need no numpy, which takes longer to import than they take to make.
    from sprec.report.tables.differences import compare_rows

    return compare_rows(rows, baseline, keys)


def _score_table(
    kind: TableKind,
    setting: ComparisonSetting,
    records: Sequence[RunRecord],
    rows: Sequence[ScoreRow],
    keys: Sequence[str],
    options: TableOptions,
) -> Table:
    """Return means and deviations over seeds, and below them what others report.

    Args:
        kind: which table it is.
        setting: what all runs share.
        records: the runs, whose gaps and commits the notes name.
        rows: the models over their seeds.
        keys: the scores, a column each.
        options: what the reader wants.

    """
    names = name_columns(kind)
    references = [row for row in options.references if row.is_of(setting.dataset)]
    below, sources = (
        reported_rows(references, names=len(names), keys=keys) if options.references else ([], [])
    )
    notes = (*inconsistencies(rows, records), *missing_runs(kind, rows, records), *sources)
    data = setting.dataset if kind.across_llms else f"{setting.dataset} with {setting.base_llm}"
    shared = sum(row.arm is None for row in rows)
    return Table(
        title=kind.title.format(data),
        columns=(*names, "seeds", "N", *map(label_of, keys)),
        rows=(*(_cells(row, keys) for row in rows), *below),
        notes=(*notes, source_line(records)),
        names=len(names),
        groups=(*("" for _ in names), "", "", *map(column_group, keys)),
        arrows=arrows(keys),
        rules=tuple(place for place in (shared, len(rows)) if 0 < place < len(rows) + len(below)),
    )


def _cells(row: ScoreRow, keys: Sequence[str]) -> tuple[Cell, ...]:
    """Return the row's scores over its seeds, or why there are none in every cell."""
    if not row.by_seed:
        return (*row.names, 0, None, *(row.state for _ in keys))
    n = next(iter(row.by_seed.values())).evaluation.n
    return (*row.names, len(row.by_seed), n, *(score_cell(row, key) for key in keys))


def _mark_cells(
    rows: Sequence[ScoreRow],
    keys: Sequence[str],
    differences: Differences,
    baseline: ScoreRow | None,
    options: TableOptions,
) -> dict[tuple[int, int], Mark]:
    """Return the marked cells, by row and column.

    Args:
        rows: the models over their seeds.
        keys: the scores, a column each.
        differences: those to the baseline; without any, no cell is marked but plainly.
        baseline: the row that they are to, None for each run's own initial SFT model.
        options: say whether marks are plain.

    """
    if not rows or not (differences or options.plain):
        return {}
    marked: dict[tuple[int, int], Mark] = {}
    for column, key in enumerate(keys, start=len(rows[0].names) + 2):

        def leads(place: int, following: int, key: str = key) -> bool:
            """Return whether the row, or the next after the baseline, differs from the baseline."""
            is_baseline = rows[place] is baseline if baseline else rows[place].is_initial
            difference = differences.get((following if is_baseline else place, key))
            if difference is None or not difference.significant:
                return False
            return is_baseline or is_better(key, difference.mean, 0.0)

        means = [statistics.fmean(row.scores(key)) if row.by_seed else math.nan for row in rows]
        chosen = mark_best(means, key, None if options.plain else leads)
        marked |= {(place, column): mark for place, mark in chosen.items()}
    return marked


def _test_note(
    name: str, differences: Differences, records: Sequence[RunRecord], wanted: bool, options: TableOptions
) -> str:
    """Return the note on what marks mean, or why there are none.

    Args:
        name: the baseline's.
        differences: those to the baseline.
        records: the runs of the table.
        wanted: whether tests were to be made.
        options: say whether marks are plain.

    """
    if not wanted:
        return f"No intervals and tests for {len(records)} runs at once; --tests on computes them"
    if not differences:
        return "No intervals and tests: no two rows have lists of the same users and seeds in their records"
    few = len({record.seed for record in records}) < ENOUGH_SEEDS
    seeds = "; seeds are few: marks speak of these trained models, hardly of training again" if few else ""
    marked = (
        "Bold best, underlined second, whatever the tests say"
        if options.plain
        else f"Bold best and underlined second only where the difference to {name} is significant"
    )
    return (
        f"{marked}. Significant: paired test, Holm-corrected over {len(differences)} comparisons, p ≤ 0.05, "
        f"and a 95 % interval over users and seeds without 0{seeds}"
    )


def _difference_table(
    kind: TableKind,
    table: Table,
    rows: Sequence[ScoreRow],
    keys: Sequence[str],
    name: str,
    differences: Differences,
) -> Table:
    """Return the table of differences to the baseline.

    Args:
        kind: which table it is.
        table: the scores.
        rows: the models over their seeds.
        keys: the scores' columns; those without differences are left out.
        name: the baseline's.
        differences: those to the baseline.

    """
    compared = [key for key in keys if any(score == key for _, score in differences)]
    places = sorted({place for place, _ in differences})
    names = name_columns(kind)
    return Table(
        title=f"{table.title}: difference to {name} [95 % interval], * significant",
        columns=(*names, *map(label_of, compared)),
        rows=tuple(
            (*rows[place].names, *(differences.get((place, key)) for key in compared)) for place in places
        ),
        notes=(table.notes[-1],),
        names=len(names),
        groups=(*("" for _ in names), *map(column_group, compared)),
        arrows=arrows(compared),
    )


def _summarize(numbers: Sequence[float]) -> Cell:
    """Return one number as it is, several as mean and deviation, None where any is missing."""
    if any(math.isnan(number) for number in numbers):
        return None
    if len(numbers) == 1:
        return float(numbers[0])
    return MeanStd(statistics.fmean(numbers), statistics.stdev(numbers))
