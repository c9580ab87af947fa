"""The table of differences to a baseline."""

from sprec.report.tables.columns import arrows, column_group
from sprec.report.tables.comparison import Comparison
from sprec.report.tables.missing import scored_records, source_line
from sprec.report.tables.table import Table
from sprec.report.tables.table_rows import name_columns


def difference_table(comparison: Comparison) -> Table:
    """Return the differences to the baseline; rows and scores without any are left out."""
    differences, names = comparison.differences, name_columns(comparison.kind)
    keys = [key for key in comparison.keys if any(score == key for _, score in differences)]
    rows = tuple(
        (*comparison.rows[place].names, *(differences.get((place, key)) for key in keys))
        for place in sorted({place for place, _ in differences})
    )
    baseline, labels = comparison.baseline_name, comparison.options.labels
    sources = scored_records(comparison.rows, comparison.records)
    return Table(
        title=f"{comparison.title}: difference to {baseline} [95 % interval], * significant",
        columns=(*names, *map(labels.score, keys)),
        rows=rows,
        notes=(*_fewer_seeds(comparison), *_not_compared(comparison), source_line(sources)),
        names=len(names),
        groups=("",) * len(names) + tuple(map(column_group, keys)),
        arrows=arrows(keys, labels),
        label=f"tab:{comparison.kind.name}-differences",
        digits=comparison.digits,
    )


def _not_compared(comparison: Comparison) -> list[str]:
    """Return a note for the rows with scores that could not be compared with their baseline."""
    compared = {place for place, _ in comparison.differences}
    names = [
        str(row)
        for place, row in enumerate(comparison.rows)
        if row.by_seed and comparison.is_comparable(row) and place not in compared
        if not comparison.is_baseline(row)
    ]
    return [f"not compared, for want of lists of the same users: {'; '.join(names)}"] if names else []


def _fewer_seeds(comparison: Comparison) -> list[str]:
    """Return a note for the rows that share fewer seeds with their baseline than the table has."""
    seeds = {place: difference.seeds for (place, _), difference in comparison.differences.items()}
    every = {record.seed for record in comparison.records}
    rows: dict[tuple[int, ...], list[str]] = {}
    for place, own in sorted(seeds.items()):
        rows.setdefault(own, []).append(str(comparison.rows[place]))
    return [
        f"over seed{'s' * (len(own) > 1)} {', '.join(map(str, own))} alone: "
        + ("; ".join(names) if len(rows) > 1 else "all of them")
        for own, names in rows.items()
        if set(own) != every
    ]
