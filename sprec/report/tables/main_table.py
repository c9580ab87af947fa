"""The paper's main table: datasets side by side, methods below each other in groups."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sprec.records.run_record import RunRecord
from sprec.report.labels import METHOD_GROUPS, Label, Labels, method_order, number_equal_names
from sprec.report.tables.arms import ComparisonSetting, group_by_setting, names_rankings, scored_evaluations
from sprec.report.tables.columns import arrows, headline_keys
from sprec.report.tables.comparison import Comparison, TableOptions, compare_runs, score_cell
from sprec.report.tables.difference_table import difference_table
from sprec.report.tables.inconsistencies import differing_settings, inconsistencies
from sprec.report.tables.missing import missing_runs, scored_records, source_line
from sprec.report.tables.reference_values import ReportedRow, rows_of_dataset
from sprec.report.tables.table import Cell, Mark, Table, format_range, transpose
from sprec.report.tables.table_kinds import MAIN
from sprec.report.tables.table_rows import ScoreRow

# The number of a dataset's comparison and a score, for each column.
Columns = Sequence[tuple[int, str]]
DIGITS = 3
OWN_METHODS = "Other methods"
REPORTED = "Reported by others"


def main_tables(records: Sequence[RunRecord], options: TableOptions) -> list[Table]:
    """Return one table for each base LLM and split among the runs: a group of columns per dataset.

    Where tests are asked for, each dataset's differences to the baseline follow.

    `ValueError` for a column or list length that is not there.
    """
    if options.against is not None and options.plain and not options.tested:
        raise ValueError(
            f"--against {options.against}: nothing is tested in this table; add --tests on for differences"
        )
    by_llm: dict[tuple[str, str], dict[ComparisonSetting, Sequence[RunRecord]]] = {}
    for setting, runs in group_by_setting(records).items():
        if any(scored_evaluations(run) for run in runs):
            by_llm.setdefault((setting.base_llm, setting.split), {})[setting] = runs
    tables = []
    for groups in by_llm.values():
        comparisons = _compare_datasets(groups, options)
        tables.append(_main_table(comparisons, options))
        if options.tested:
            tables += [difference_table(one) for one in comparisons if one.differences]
    return [transpose(table) for table in tables] if options.transposed else tables


def _compare_datasets(
    groups: Mapping[ComparisonSetting, Sequence[RunRecord]], options: TableOptions
) -> list[Comparison]:
    """Return the comparison of each dataset's runs, with rows that are named as all of them need."""
    # A row has one name in all datasets, so that each says its ranking where two have different ones.
    several = names_rankings(run for runs in groups.values() for run in runs)
    comparisons = []
    for setting, runs in groups.items():
        evaluations = [one for run in runs for one in scored_evaluations(run)]
        columns = options.columns or tuple(headline_keys(evaluations, options.cutoffs))
        own = replace(options, columns=columns)
        comparisons.append(compare_runs(MAIN, setting, runs, own, several_rankings=several))
    return comparisons


def _main_table(comparisons: Sequence[Comparison], options: TableOptions) -> Table:
    labels = options.labels
    named = [dict(zip(row_names(one.rows, labels), one.rows, strict=True)) for one in comparisons]
    keys_by_name = {name: row.key for rows in named for name, row in rows.items()}
    # Group by group, in the order of the registry and then of the runs.
    names = sorted(keys_by_name, key=lambda name: method_order(keys_by_name[name]))
    columns = [(place, key) for place, one in enumerate(comparisons) for key in one.keys]
    rows: list[tuple[Cell, ...]] = [
        (name, *(_cell(named[place].get(name), key) for place, key in columns)) for name in names
    ]
    heads = _group_heads([keys_by_name[name] for name in names])
    own = [row for one in comparisons for row in rows_of_dataset(options.references, one.setting.dataset)]
    references = [row for row in options.references if row in own]
    reported = list(_reported(comparisons, columns, references))
    if reported:
        heads[len(rows)] = REPORTED
    keys, several = [key for _, key in columns], len(comparisons) > 1
    return Table(
        title=_caption(comparisons, options),
        columns=("method", *(labels.score(key) for key in keys)),
        rows=(*rows, *reported),
        notes=(*_unlike_rows(comparisons, named, labels), *_notes(comparisons, references)),
        groups=("", *(_dataset(comparisons, place, labels) for place, _ in columns)) if several else (),
        arrows=arrows(keys, labels),
        marks=_marks(comparisons, [list(rows) for rows in named], names, columns),
        rules=tuple(place for place in heads if place),
        row_heads=heads,
        label="tab:main",
        digits=DIGITS if options.digits is None else options.digits,
        compact=True,
    )


def _unlike_rows(
    comparisons: Sequence[Comparison], named: Sequence[Mapping[Label, ScoreRow]], labels: Labels
) -> list[str]:
    """Return a note on rows whose runs on one dataset had other settings than those on another."""
    data = [_dataset(comparisons, place, labels) for place in range(len(comparisons))]
    rows_by_note: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for rows in named for name in rows):
        rows = {of: rows[name] for of, rows in zip(data, named, strict=True) if name in rows}
        if note := differing_settings(rows):
            rows_by_note.setdefault(note, []).append(name)
    return [
        f"row {names[0]} differs between datasets in {note}"
        if len(names) == 1
        else f"rows {'; '.join(names)} differ between datasets in {note}"
        for note, names in rows_by_note.items()
    ]


def row_names(rows: Sequence[ScoreRow], labels: Labels) -> list[Label]:
    """Return the name of each row of a dataset; equal ones are counted: no row may stand for another."""
    return number_equal_names([_name(row, labels) for row in rows])


def _name(row: ScoreRow, labels: Labels) -> Label:
    """Return the one cell that names a row: with the negatives where they are not the method's usual ones."""
    name = row.names[0] if isinstance(row.names[0], Label) else Label(row.names[0])
    if row.arm is None:
        return name
    method = labels.method(row.arm.method)
    # As in figures: settings and ranking, in brackets, follow the negatives.
    details = name.removeprefix(method)
    return labels.with_negatives(method, row.key, row.arm.negatives).extended(details)


def _group_heads(keys: Sequence[str]) -> dict[int, str]:
    """Return the groups' heads by the number of their first row, for the methods of all rows."""
    groups = {key: group for group, methods in METHOD_GROUPS.items() for key in methods}
    heads: dict[int, str] = {}
    for place, key in enumerate(keys):
        group = groups.get(key, OWN_METHODS)
        if group not in heads.values():
            heads[place] = group
    return heads


def _cell(row: ScoreRow | None, key: str) -> Cell:
    """Return a score's cell; a row without runs on this dataset says why, one that is not there is empty."""
    if row is None:
        return None
    return score_cell(row, key) if row.by_seed else row.state


def _dataset(comparisons: Sequence[Comparison], place: int, labels: Labels) -> Label:
    """Return a dataset's head, with N and what else differs where its name does not tell it from others."""
    setting = comparisons[place].setting
    name = labels.dataset(setting.dataset)
    same = [one.setting for one in comparisons if one.setting.dataset == setting.dataset]
    if len(same) == 1:
        return name
    details = [f"N = {setting.n}"]
    details += [setting.dataset_digest[:6]] if len({one.dataset_digest for one in same}) > 1 else []
    details += [setting.base_llm_digest[:6]] if len({one.base_llm_digest for one in same}) > 1 else []
    return name.extended(f" ({', '.join(details)})")


def _marks(
    comparisons: Sequence[Comparison],
    row_names: Sequence[Sequence[Label]],
    names: Sequence[Label],
    columns: Columns,
) -> dict[tuple[int, int], Mark]:
    """Return the marked cells, best and second within each dataset, whose rows have these names."""
    marks: dict[tuple[int, int], Mark] = {}
    for place, comparison in enumerate(comparisons):
        for (row, at), mark in comparison.marks.items():
            column = columns.index((place, comparison.keys[at])) + 1
            marks[names.index(row_names[place][row]), column] = mark
    return marks


def _reported(
    comparisons: Sequence[Comparison], columns: Columns, rows: Sequence[ReportedRow]
) -> Iterator[tuple[Cell, ...]]:
    """Yield what others report, a row for each of their models."""
    for model, base_llm, source in dict.fromkeys((row.model, row.base_llm, row.source) for row in rows):
        own = [row for row in rows if (row.model, row.base_llm, row.source) == (model, base_llm, source)]
        cells: list[Cell] = []
        for place, key in columns:
            dataset = comparisons[place].setting.dataset
            scores = [row.scores for row in rows_of_dataset(rows, dataset) if row in own]
            cells.append(scores[0].get(key) if scores else None)
        yield (f"{model}, {base_llm}", *cells)


def _caption(comparisons: Sequence[Comparison], options: TableOptions) -> str:
    """Return the caption: what is compared, on what, over how many seeds and rows, and what marks mean."""
    labels = options.labels
    llm = labels.base_llm(comparisons[0].setting.base_llm)
    *datasets, last = dict.fromkeys(labels.dataset(one.setting.dataset) for one in comparisons)
    data = f"{', '.join(datasets)} and {last}" if datasets else last
    counts = dict.fromkeys(one.setting.n for one in comparisons)
    # Over how many seeds each dataset's rows are, those without numbers aside.
    seeds = [{len(row.by_seed) for row in one.rows if row.by_seed} or {1} for one in comparisons]
    ranges = list(map(format_range, seeds))
    listed = " and ".join(dict.fromkeys(ranges))
    over = "one seed" if set(ranges) == {"1"} else f"means ± standard deviations over {listed} seeds"
    rows = "validation" if any(one.setting.split == "valid" for one in comparisons) else "test"
    among = max((one.marked_among for one in comparisons), key=len)
    marks = (
        f"Bold is the best and underlined the second of a {'row' if options.transposed else 'column'}{among}"
    )
    baselines = dict.fromkeys(one.baseline_name for one in comparisons if one.differences)
    if not options.plain:
        tested = f"{marks} where a corrected paired test against {' and '.join(baselines)} says so"
        many = next((one for one in comparisons if not one.is_tested and options.tested is None), None)
        reason = f" ({len(many.records)} runs at once; --tests on)" if many else ""
        marks = tested if baselines else f"Nothing is marked, since nothing was tested{reason}"
    return (
        f"Methods on {data} with {llm}: {over}, N = {' and '.join(map(str, counts))} "
        f"{rows} rows. {marks}; ↑ more is better, ↓ less is better."
    )


def _notes(comparisons: Sequence[Comparison], references: Sequence[ReportedRow]) -> Iterator[str]:
    """Yield what is missing or mixed in each dataset, what others report, and where the numbers come from."""
    for one in comparisons:
        yield from inconsistencies(one.kind, one.rows, one.records)
        yield from missing_runs(one.kind, one.rows, one.records)
    for one in comparisons:
        seeds = max((len(row.by_seed) for row in one.rows), default=0)
        few = [f"{row} ({len(row.by_seed)})" for row in one.rows if 0 < len(row.by_seed) < seeds]
        if few:
            yield f"{one.setting.dataset}: fewer than {seeds} seeds: {', '.join(few)}"
    for source in sorted({row.source for row in references}):
        yield f"Reported by others, another setting than ours and not tested: {source}"
    for one in comparisons:
        yield source_line(scored_records(one.rows, one.records))
