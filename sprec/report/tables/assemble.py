"""Tables of scores, made from run records alone."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sprec.records.run_record import RunRecord
from sprec.report.tables.arms import Setting, by_setting, rankings, split, tested
from sprec.report.tables.columns import METRICS, better, group, head, score_keys, sign
from sprec.report.tables.marks import marks
from sprec.report.tables.missing import commit, gaps, remarks, unfinished
from sprec.report.tables.reference_values import Reference, reported
from sprec.report.tables.table import Cell, Difference, Mark, Spread, Table
from sprec.report.tables.table_kinds import ABLATION, INITIAL, Kind
from sprec.report.tables.table_rows import INITIAL_LABEL, Row, heads, model, rows

__all__ = ["METRICS", "Cell", "Spread", "Table"]

FEW_RUNS = 40
"""Runs up to which intervals and tests are computed unasked: with more they take longer than a second."""

ENOUGH_SEEDS = 6
"""Seeds from which a test over seeds could reach 5 %: 2 / 2⁶. With fewer, chance in training gets marks."""


@dataclass(frozen=True)
class Choice:
    """What a reader wants of a table.

    `against` names the row that others are compared with, None takes the table's own. `tested` says
    whether intervals and tests are computed, None where there are few runs. `plain` marks best and second
    whatever the tests say. `differences` says whether a table of them follows the scores.
    """

    cutoffs: tuple[int, ...] = ()
    against: str | None = None
    tested: bool | None = None
    plain: bool = False
    references: tuple[Reference, ...] = ()
    differences: bool = True


DEFAULT = Choice()


def run_table(record: RunRecord, choice: Choice = DEFAULT) -> Table:
    """Return one run's scores: baselines, the initial SFT model, then every iteration so far."""
    several = len(rankings([record])) > 1
    evaluations = tested(record)
    keys = score_keys(evaluations, choice.cutoffs)
    found = [
        (model(each, several=several), each.n, *(_value([each.scores.get(key, math.nan)]) for key in keys))
        for each in evaluations
    ]
    name = f"{record.method} × {record.negatives}"
    note = [] if record.status == "finished" else [unfinished(name, record)]
    return Table(
        title=f"{name}, seed {record.seed}",
        columns=("model", "N", *map(head, keys)),
        rows=tuple(found),
        notes=(*note, provenance([record])),
        groups=("", "", *map(group, keys)),
        arrows=_arrows(keys),
    )


def tables(kind: Kind, records: Sequence[RunRecord], choice: Choice = DEFAULT) -> list[Table]:
    """Return this kind's table for each dataset, base LLM and N among the runs, and its differences after it.

    Runs of different settings never stand in one table. `ValueError` for a baseline or list length that
    is not there.
    """
    groups = by_setting(records, across_llms=kind.across_llms)
    return [table for setting, runs in groups.items() for table in _tables(kind, setting, runs, choice)]


def ablation_table(records: Sequence[RunRecord]) -> Table:
    """Return the ablation's scores without tests.

    Raises `ValueError` where the runs differ in dataset, base LLM or N: those are never averaged or
    compared (`ablation_tables` gives one table for each).
    """
    groups = by_setting(records)
    if len(groups) != 1:
        raise ValueError(mixture(list(groups)))
    return ablation_tables(records)[0]


def ablation_tables(records: Sequence[RunRecord]) -> list[Table]:
    """Return an ablation table without tests for each dataset, base LLM and N among these runs."""
    return tables(ABLATION, records, Choice(tested=False))


def mixture(settings: Sequence[Setting]) -> str:
    """Return the line which says that runs of several settings were given."""
    listed = "; ".join(map(str, settings)) or "none at all"
    return f"these runs are not one comparison but {len(settings)} (each needs a table of its own): {listed}"


def provenance(records: Sequence[RunRecord]) -> str:
    """Return the line that tells where numbers come from: N, seeds, commits, dataset and base LLM."""
    counts = sorted({each.n for record in records for each in tested(record)})
    parts = {
        "N": [f"{n} validation rows" if "valid" in map(split, records) else str(n) for n in counts]
        or ["unknown"],
        "seeds": [str(seed) for seed in sorted({record.seed for record in records})],
        "commit": [commit(record) for record in records],
        "dataset": [f"{each.dataset.name} ({each.dataset.digest[:12]})" for each in records],
        "base LLM": [f"{each.weights.name} ({each.weights.digest[:12]})" for each in records],
    }
    return "; ".join(f"{name} {', '.join(dict.fromkeys(values))}" for name, values in parts.items())


def baseline(kind: Kind, found: Sequence[Row], against: str | None) -> Row | None:
    """Return the row that the others are compared with, None for each run's own initial SFT model.

    `ValueError` where the row that was asked for is not there.
    """
    asked = kind.against if against is None else against
    if asked.casefold() == INITIAL.casefold():
        return None
    named = [row for row in found if asked.casefold() in (str(row).casefold(), row.names[0].casefold())]
    if named or against is None:
        return named[0] if named else None
    listed = ", ".join(dict.fromkeys([INITIAL, *map(str, found)]))
    raise ValueError(f"--against {against!r} is no row of this table; take one of {listed}")


def cell_of(row: Row, key: str) -> Cell:
    """Return a row's cell of a score: its value, or its spread over seeds."""
    return _value(row.scores(key))


def _tables(kind: Kind, setting: Setting, records: Sequence[RunRecord], choice: Choice) -> list[Table]:
    """Return the scores of one setting, and the differences to the baseline where they are wanted."""
    found = rows(kind, records)
    keys = score_keys([each for record in records for each in tested(record)], choice.cutoffs)
    against = baseline(kind, found, choice.against)
    name = INITIAL if against is None else str(against)
    wanted = len(records) <= FEW_RUNS if choice.tested is None else choice.tested
    known = any(each.lists for record in records for each in record.evaluations)
    differences = _differences(found, against, keys) if wanted and known else {}
    scores = _scores(kind, setting, records, found, keys, choice)
    notes = [_how(name, differences, records, wanted, choice)] if choice.tested is not False else []
    marked = _marks(found, keys, differences, against, choice, len(heads(kind)) + 2)
    table = replace(scores, marks=marked, notes=(*scores.notes[:-1], *notes, scores.notes[-1]))
    return (
        [table, _beside(kind, table, found, keys, name, differences)]
        if differences and choice.differences
        else [table]
    )


def _differences(
    found: Sequence[Row], against: Row | None, keys: Sequence[str]
) -> dict[tuple[int, str], Difference]:
    from sprec.report.tables.differences import compare

    return compare(found, against, keys)


def _scores(
    kind: Kind,
    setting: Setting,
    records: Sequence[RunRecord],
    found: Sequence[Row],
    keys: Sequence[str],
    choice: Choice,
) -> Table:
    """Return means and spreads over seeds, and what others report below."""
    names = heads(kind)
    given = [each for each in choice.references if each.is_of(setting.dataset)]
    below, sources = reported(given, names=len(names), keys=keys) if choice.references else ([], [])
    notes = (*remarks(found, records), *gaps(kind, found, records), *sources)
    of = setting.dataset if kind.across_llms else f"{setting.dataset} with {setting.base_llm}"
    shared = sum(row.arm is None for row in found)
    return Table(
        title=kind.title.format(of),
        columns=(*names, "seeds", "N", *map(head, keys)),
        rows=(*(_row(row, keys) for row in found), *below),
        notes=(*notes, provenance(records)),
        names=len(names),
        groups=(*("" for _ in names), "", "", *map(group, keys)),
        arrows=_arrows(keys),
        rules=tuple(place for place in (shared, len(found)) if 0 < place < len(found) + len(below)),
    )


def _row(row: Row, keys: Sequence[str]) -> tuple[Cell, ...]:
    """Return the row's scores over its seeds, or why there are none in every cell."""
    if not row.found:
        return (*row.names, 0, None, *(row.state for _ in keys))
    n = next(iter(row.found.values())).evaluation.n
    return (*row.names, len(row.found), n, *(cell_of(row, key) for key in keys))


def _marks(
    found: Sequence[Row],
    keys: Sequence[str],
    differences: Mapping[tuple[int, str], Difference],
    against: Row | None,
    choice: Choice,
    first: int,
) -> dict[tuple[int, int], Mark]:
    """Return the marked cells; without differences none is marked but plain ones."""
    if not differences and not choice.plain:
        return {}
    marked: dict[tuple[int, int], Mark] = {}
    for column, key in enumerate(keys, start=first):

        def counts(place: int, following: int, key: str = key) -> bool:
            """Say whether the row, or the next after the baseline, differs from the baseline."""
            is_baseline = found[place] is against if against else _initial(found[place])
            difference = differences.get((following if is_baseline else place, key))
            if difference is None or not difference.significant:
                return False
            return is_baseline or better(key, difference.mean, 0.0)

        values = [_mean(row.scores(key)) for row in found]
        chosen = marks(values, key, None if choice.plain else counts)
        marked |= {(place, column): mark for place, mark in chosen.items()}
    return marked


def _initial(row: Row) -> bool:
    return bool(row.found) and all(each.evaluation.label == INITIAL_LABEL for each in row.found.values())


def _mean(numbers: Sequence[float]) -> float:
    return statistics.fmean(numbers) if numbers else math.nan


def _how(
    name: str,
    differences: Mapping[tuple[int, str], Difference],
    records: Sequence[RunRecord],
    wanted: bool,
    choice: Choice,
) -> str:
    """Return the note on what marks mean, or why there are none."""
    if not wanted:
        return f"No intervals and tests for {len(records)} runs at once; --tests on computes them"
    if not differences:
        return "No intervals and tests: no two rows have lists of the same users and seeds in their records"
    few = len({record.seed for record in records}) < ENOUGH_SEEDS
    seeds = "; seeds are few: marks speak of these trained models, hardly of training again" if few else ""
    marked = (
        "Bold best, underlined second, whatever the tests say"
        if choice.plain
        else f"Bold best and underlined second only where the difference to {name} is significant"
    )
    return (
        f"{marked}. Significant: paired test, Holm-corrected over {len(differences)} comparisons, p ≤ 0.05, "
        f"and a 95 % interval over users and seeds without 0{seeds}"
    )


def _beside(
    kind: Kind,
    table: Table,
    found: Sequence[Row],
    keys: Sequence[str],
    name: str,
    differences: Mapping[tuple[int, str], Difference],
) -> Table:
    """Return the table of differences to the baseline."""
    scored = [key for key in keys if any(cell[1] == key for cell in differences)]
    places = [place for place in range(len(found)) if any(cell[0] == place for cell in differences)]
    of = table.title
    return Table(
        title=f"{of}: difference to {name} [95 % interval], * significant",
        columns=(*heads(kind), *map(head, scored)),
        rows=tuple(
            (*found[place].names, *(differences.get((place, key)) for key in scored)) for place in places
        ),
        notes=(table.notes[-1],),
        names=len(heads(kind)),
        groups=(*("" for _ in heads(kind)), *map(group, scored)),
        arrows=_arrows(scored),
    )


def _arrows(keys: Sequence[str]) -> dict[str, str]:
    return {head(key): "↑" if sign(key) > 0 else "↓" for key in keys}


def _value(numbers: Sequence[float]) -> Cell:
    if any(math.isnan(number) for number in numbers):
        return None
    if len(numbers) == 1:
        return float(numbers[0])
    return Spread(statistics.fmean(numbers), statistics.stdev(numbers))
