"""From a number of a table to the runs behind it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sprec.records.run_record import RunRecord
from sprec.report.tables.arms import by_setting
from sprec.report.tables.assemble import cell_of
from sprec.report.tables.columns import OFF_CATALOG, head
from sprec.report.tables.missing import commit
from sprec.report.tables.table import text
from sprec.report.tables.table_kinds import Kind
from sprec.report.tables.table_rows import Row, Source, rows

SAME = 1e-9


def explain(kind: Kind, found: Sequence[tuple[Path, RunRecord]], asked: str) -> str:
    """Return where the number of "ROW,SCORE" comes from, run by run, once per setting that has it.

    ROW is a row's name as the table shows it, or a part of it that no other row has; SCORE is a name as
    `ndcg@5`. `ValueError`, one line, where there is no such cell or more than one.
    """
    name, _, key = (part.strip() for part in asked.rpartition(","))
    if not name:
        raise ValueError(f"--explain {asked!r} is no cell; write ROW,SCORE such as 'sprec,ndcg@5'")
    places = {id(record): path for path, record in found}
    groups = by_setting([record for _, record in found], across_llms=kind.across_llms)
    parts: list[str] = []
    names: list[str] = []
    for setting, records in groups.items():
        own = rows(kind, records)
        names += map(str, own)
        parts += [_cell(row, key.lower(), str(setting), places) for row in _matching(own, name)]
    if not parts:
        raise ValueError(f"--explain {asked!r}: no row {name!r}; there is {', '.join(dict.fromkeys(names))}")
    return "\n".join(parts)


def _matching(found: Sequence[Row], name: str) -> list[Row]:
    """Return the row of this name: exactly, else by its first cell, else by a part of its name."""
    wanted = name.casefold()
    tests = (
        lambda row: str(row).casefold() == wanted,
        lambda row: row.names[0].casefold() == wanted,
        lambda row: wanted in str(row).casefold(),
    )
    matches = next((match for test in tests if (match := [row for row in found if test(row)])), [])
    if len(matches) > 1:
        raise ValueError(
            f"--explain: {name!r} is several rows: {', '.join(map(str, matches))}; name one of them"
        )
    return matches


def _cell(row: Row, key: str, setting: str, places: Mapping[int, Path]) -> str:
    """Return the number, and each run that it comes from."""
    known = {name for source in row.found.values() for name in source.evaluation.scores}
    if row.found and key not in known:
        raise ValueError(f"--explain: {row} has no score {key!r}; there is {', '.join(sorted(known))}")
    value = text(cell_of(row, key)) if row.found else row.state
    lines = [f"{row}, {_head(key)} = {value}", f"  {setting}"]
    for seed, source in row.found.items():
        lines += ["", *_run(seed, source, key, places)]
    for run in row.arm.missing if row.arm else ():
        lines += ["", f"  seed {run.seed}: {run.status}; to run it again: {run.command}"]
    return "\n".join(lines) + "\n"


def _head(key: str) -> str:
    try:
        return head(key)
    except KeyError:
        return key


def _run(seed: int, source: Source, key: str, places: Mapping[int, Path]) -> list[str]:
    """Return the lines on one run."""
    record, evaluation = source.record, source.evaluation
    counted = f"N = {evaluation.n} {evaluation.split} rows"
    facts = {
        "from": f"{evaluation.label}, ranking {evaluation.ranking}, {counted}",
        "check": _checked(source, key),
        "file": str(places.get(id(record), "unknown")),
        "command": record.command,
        "commit": commit(record),
        "when": f"{record.started} to {record.finished or 'not ended'}",
        "on": f"{record.device}, {record.precision}, {record.threads} threads",
        "dataset": f"{record.dataset.name} {record.dataset.digest}",
        "weights": f"{record.weights.name} {record.weights.digest}",
        "W&B": record.tracker or "not tracked",
    }
    lines = [f"  seed {seed}: {evaluation.scores.get(key, float('nan')):.6f}"]
    lines += [f"    {name:9}{value}" for name, value in facts.items()]
    stages = [
        f"{entry.key}  {entry.label} ({entry.seconds:.1f} s{', reused' * entry.reused})"
        for entry in record.stages
    ]
    return [*lines, *(f"    {'stages' if not number else '':9}{line}" for number, line in enumerate(stages))]


def _checked(source: Source, key: str) -> str:
    """Say whether the lists in the record give the number that it states."""
    from sprec.report.tables.per_user_values import Evidence

    record, evaluation = source.record, source.evaluation
    evidence = Evidence([record])
    if key == OFF_CATALOG or not evidence.whole(record, evaluation):
        return "cannot be recomputed: the record does not hold what it was made from"
    values = evidence.values(record, evaluation)
    if key not in values:
        return "is not recomputed here"
    again = float(values[key].mean())
    same = abs(again - evaluation.scores[key]) < SAME
    return f"recomputed from the lists in the record: {again:.6f}, {'equal' if same else 'NOT EQUAL'}"
