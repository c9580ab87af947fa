"""From a number of a table to the runs behind it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sprec.evaluation.registry import label_of
from sprec.records.run_record import RunRecord, StageEntry
from sprec.report.labels import LABELS, find_score, same_name
from sprec.report.tables.arms import group_by_setting, names_rankings
from sprec.report.tables.columns import OFF_CATALOG
from sprec.report.tables.comparison import score_cell
from sprec.report.tables.main_table import row_names
from sprec.report.tables.missing import format_commit
from sprec.report.tables.table import format_cell
from sprec.report.tables.table_kinds import MAIN, TableKind
from sprec.report.tables.table_rows import ScoredRun, ScoreRow, score_rows

# How far a recomputed score may lie from the recorded one: JSON and sums lose the last digits.
TOLERANCE = 1e-9


def explain_cell(kind: TableKind, records: Sequence[tuple[Path, RunRecord]], cell: str) -> str:
    """Return where the number of "ROW,SCORE" comes from, run by run, once per setting that has it.

    ROW is a row's name as the table shows it, or a part of it that no other row has; SCORE is a name as
    `ndcg@5`. `ValueError`, one line, where there is no such cell or more than one.
    """
    name, _, key = (part.strip() for part in cell.rpartition(","))
    if not name:
        raise ValueError(f"--explain {cell!r} is no cell; write ROW,SCORE such as 'sprec,ndcg@5'")
    paths = {id(record): path for path, record in records}
    groups = group_by_setting([record for _, record in records], across_llms=kind.across_llms)
    tables: list[tuple[str, Sequence[ScoreRow], Sequence[str]]] = []
    for setting, runs in groups.items():
        # As the main table of one LLM and split, whose datasets share their rows' names.
        beside = [
            record
            for one, others in groups.items()
            if (one.base_llm, one.split) == (setting.base_llm, setting.split)
            for record in others
        ]
        rows = score_rows(kind, runs, several_rankings=names_rankings(beside) if kind is MAIN else None)
        # The main table has one cell for what others show in two.
        tables.append((str(setting), rows, row_names(rows, LABELS) if kind is MAIN else list(map(str, rows))))
    # A whole name comes first, in whichever table: so "sprec" may be asked for beside "sprec (beta=1)".
    for is_named in _WAYS_TO_NAME:
        texts = []
        for heading, candidates, names in tables:
            named = [
                (row, text) for row, text in zip(candidates, names, strict=True) if is_named(name, row, text)
            ]
            if len(named) > 1:
                listed = ", ".join(text for _, text in named)
                raise ValueError(f"--explain: {name!r} is several rows: {listed}; name one of them")
            texts += [_explain(row, key, heading, paths) for row, _ in named]
        if texts:
            return "\n".join(texts)
    known = dict.fromkeys(text for _, _, names in tables for text in names)
    raise ValueError(f"--explain {cell!r}: no row {name!r}; there is {', '.join(known)}")


_WAYS_TO_NAME: Sequence[Callable[[str, ScoreRow, str], bool]] = (
    lambda name, row, shown: same_name(name, shown),
    lambda name, row, shown: same_name(name, str(row)),
    lambda name, row, shown: row.is_named(name),
    lambda name, row, shown: name.casefold() in str(row).casefold(),
)
"""How a row may be asked for: as it is shown, by all that it says, by its first cell, by a part."""


def _explain(row: ScoreRow, key: str, setting: str, paths: Mapping[int, Path]) -> str:
    scores = dict.fromkeys(name for run in row.by_seed.values() for name in run.evaluation.scores)
    key = find_score(key, scores) if row.by_seed else key
    value = format_cell(score_cell(row, key)) if row.by_seed else row.state
    lines = [f"{row}, {label_of(key)} = {value}", f"  {setting}"]
    for seed, run in row.by_seed.items():
        lines += ["", *_run_lines(seed, run, key, paths)]
    for record in row.arm.missing if row.arm else ():
        lines += ["", f"  seed {record.seed}: {record.status}; to run it again: {record.command}"]
    return "\n".join(lines) + "\n"


def _run_lines(seed: int, run: ScoredRun, key: str, paths: Mapping[int, Path]) -> list[str]:
    record, evaluation = run.record, run.evaluation
    rows = f"N = {evaluation.n} {evaluation.split} rows"
    facts = {
        "from": f"{evaluation.label}, ranking {evaluation.ranking}, {rows}",
        "check": _recompute(run, key),
        "file": str(paths.get(id(record), "unknown")),
        "command": record.command,
        "commit": format_commit(record),
        "when": f"{record.started} to {record.finished or 'not ended'}",
        "on": f"{record.device}, {record.precision}, {record.threads} threads",
        "dataset": f"{record.dataset.name} {record.dataset.digest}",
        "weights": f"{record.weights.name} {record.weights.digest}",
        "W&B": record.tracker or "not tracked",
    }
    stages = [
        f"{stage.key}  {stage.label} ({stage.seconds:.1f} s{_origin(record, stage)})"
        for stage in record.stages
    ]
    return [
        f"  seed {seed}: {evaluation.scores.get(key, float('nan')):.6f}",
        *(f"    {name:9}{value}" for name, value in facts.items()),
        *(f"    {'' if number else 'stages':9}{line}" for number, line in enumerate(stages)),
    ]


def _origin(record: RunRecord, stage: StageEntry) -> str:
    """Return whether a stage was reused, and who made it where that is not the run itself."""
    origin = record.foreign_origin(stage)
    return ", reused" * stage.reused + (origin and f", made by {origin}")


def _recompute(run: ScoredRun, key: str) -> str:
    """Return whether the lists in the record give the number that it states."""
    # Other explanations need no arrays.
    from sprec.report.tables.per_user_values import PerUserValues

    record, evaluation = run.record, run.evaluation
    users = PerUserValues([record])
    if key == OFF_CATALOG or not users.complete(record, evaluation):
        return "cannot be recomputed: the record does not hold what it was made from"
    values = users.values(record, evaluation)
    if key not in values:
        return "is not recomputed here"
    again = float(values[key].mean())
    equal = abs(again - evaluation.scores[key]) < TOLERANCE
    return f"recomputed from the lists in the record: {again:.6f}, {'equal' if equal else 'NOT EQUAL'}"
