"""The paper's main table: datasets side by side, methods below each other in groups."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sprec.records.run_record import RunRecord
from sprec.report.labels import METHOD_GROUPS, Label, Labels, method_order
from sprec.report.tables.arms import group_by_setting, scored_evaluations
from sprec.report.tables.columns import arrows, headline_keys
from sprec.report.tables.comparison import Comparison, TableOptions, compare_runs, score_cell
from sprec.report.tables.difference_table import difference_table
from sprec.report.tables.missing import inconsistencies, missing_runs, source_line
from sprec.report.tables.table import Cell, Mark, Table, transpose
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
    by_llm: dict[tuple[str, str], list[Comparison]] = {}
    for setting, runs in group_by_setting(records).items():
        evaluations = [one for run in runs for one in scored_evaluations(run)]
        if evaluations:
            columns = options.columns or tuple(headline_keys(evaluations, options.cutoffs))
            plain = replace(options, columns=columns)
            by_llm.setdefault((setting.base_llm, setting.split), []).append(
                compare_runs(MAIN, setting, runs, plain)
            )
    tables = []
    for comparisons in by_llm.values():
        table = _main_table(comparisons, options)
        tables.append(transpose(table) if options.transposed else table)
        if options.tested:
            tables += [difference_table(one) for one in comparisons if one.differences]
    return tables


def _main_table(comparisons: Sequence[Comparison], options: TableOptions) -> Table:
    labels = options.labels
    names = _row_names(comparisons)
    columns = [(place, key) for place, one in enumerate(comparisons) for key in one.keys]
    rows_by_name = [{_name(row, labels): row for row in one.rows} for one in comparisons]
    rows: list[tuple[Cell, ...]] = [
        (name, *(_cell(rows_by_name[place].get(name), key) for place, key in columns)) for name in names
    ]
    heads = _group_heads(names, comparisons)
    reported = list(_reported(comparisons, columns, options))
    if reported:
        heads[len(rows)] = REPORTED
    keys, several = [key for _, key in columns], len(comparisons) > 1
    return Table(
        title=_caption(comparisons, options),
        columns=("method", *(labels.score(key) for key in keys)),
        rows=(*rows, *reported),
        notes=tuple(_notes(comparisons)),
        groups=("", *(_dataset(comparisons, place, labels) for place, _ in columns)) if several else (),
        arrows=arrows(keys, labels),
        marks=_marks(comparisons, names, columns, labels),
        rules=tuple(place for place in heads if place),
        row_heads=heads,
        label="tab:main",
        digits=DIGITS if options.digits is None else options.digits,
        compact=True,
    )


def _row_names(comparisons: Sequence[Comparison]) -> list[Label]:
    """Return the names of all rows, group by group, in the order of the registry and then of the runs."""
    names = {_name(row, one.options.labels): row.key for one in comparisons for row in one.rows}
    return sorted(names, key=lambda name: method_order(names[name]))


def _name(row: ScoreRow, labels: Labels) -> Label:
    """Return the one cell that names a row: with the negatives where they are not the method's usual ones."""
    name = row.names[0] if isinstance(row.names[0], Label) else Label(row.names[0])
    if row.arm is None:
        return name
    method = labels.method(row.arm.method)
    # As in figures: settings and ranking, in brackets, follow the negatives.
    details = name.removeprefix(method)
    return labels.with_negatives(method, row.key, row.arm.negatives).extended(details)


def _group_heads(names: Sequence[Label], comparisons: Sequence[Comparison]) -> dict[int, str]:
    """Return the groups' heads by the number of their first row."""
    keys = {_name(row, one.options.labels): row.key for one in comparisons for row in one.rows}
    groups = {key: group for group, methods in METHOD_GROUPS.items() for key in methods}
    heads: dict[int, str] = {}
    for place, name in enumerate(names):
        group = groups.get(keys[name], OWN_METHODS)
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
    comparisons: Sequence[Comparison], names: Sequence[Label], columns: Columns, labels: Labels
) -> dict[tuple[int, int], Mark]:
    """Return the marked cells: best and second within each dataset."""
    marks: dict[tuple[int, int], Mark] = {}
    for place, comparison in enumerate(comparisons):
        for (row, at), mark in comparison.marks.items():
            name = _name(comparison.rows[row], labels)
            column = columns.index((place, comparison.keys[at])) + 1
            marks[names.index(name), column] = mark
    return marks


def _reported(
    comparisons: Sequence[Comparison], columns: Columns, options: TableOptions
) -> Iterator[tuple[Cell, ...]]:
    """Yield what others report, a row for each of their models."""
    settings = [one.setting for one in comparisons]
    rows = [row for row in options.references if any(row.is_of(setting.dataset) for setting in settings)]
    for model, base_llm, source in dict.fromkeys((row.model, row.base_llm, row.source) for row in rows):
        own = [row for row in rows if (row.model, row.base_llm, row.source) == (model, base_llm, source)]
        cells: list[Cell] = []
        for place, key in columns:
            scores = [row.scores for row in own if row.is_of(settings[place].dataset)]
            cells.append(scores[0].get(key) if scores else None)
        yield (f"{model}, {base_llm}", *cells)


def _caption(comparisons: Sequence[Comparison], options: TableOptions) -> str:
    """Return the caption: what is compared, on what, over how many seeds and rows, and what marks mean."""
    labels = options.labels
    llm = labels.base_llm(comparisons[0].setting.base_llm)
    *datasets, last = dict.fromkeys(labels.dataset(one.setting.dataset) for one in comparisons)
    data = f"{', '.join(datasets)} and {last}" if datasets else last
    counts = dict.fromkeys(one.setting.n for one in comparisons)
    seeds = max(len(row.by_seed) for one in comparisons for row in one.rows)
    over = f"means ± standard deviations over {seeds} seeds" if seeds > 1 else "one seed"
    rows = "validation" if any(one.setting.split == "valid" for one in comparisons) else "test"
    among = max((one.marked_among for one in comparisons), key=len)
    marks = f"Bold is the best and underlined the second of a column{among}"
    baselines = dict.fromkeys(one.baseline_name for one in comparisons if one.differences)
    if not options.plain:
        tested = f"{marks} where a corrected paired test against {' and '.join(baselines)} says so"
        marks = tested if baselines else "Nothing is marked, since nothing was tested"
    return (
        f"Methods on {data} with {llm}: {over}, N = {' and '.join(map(str, counts))} "
        f"{rows} rows. {marks}; ↑ more is better, ↓ less is better."
    )


def _notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield what is missing or mixed in each dataset, what others report, and where the numbers come from."""
    for one in comparisons:
        yield from inconsistencies(one.rows, one.records)
        yield from missing_runs(one.kind, one.rows, one.records)
    for one in comparisons:
        seeds = max((len(row.by_seed) for row in one.rows), default=0)
        few = [f"{row} ({len(row.by_seed)})" for row in one.rows if 0 < len(row.by_seed) < seeds]
        if few:
            yield f"{one.setting.dataset}: fewer than {seeds} seeds: {', '.join(few)}"
    references = {row.source for one in comparisons for row in one.options.references}
    for source in sorted(references):
        yield f"Reported by others, another setting than ours and not tested: {source}"
    for one in comparisons:
        yield source_line(one.records)
