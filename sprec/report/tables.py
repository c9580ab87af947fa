"""Tables of scores, made from run records alone."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sprec.report.arms import Arm, Setting, arms, by_setting, last, rankings, split, tested
from sprec.runtime.records import Evaluation, RunRecord

METRICS = {"hr": "HR", "ndcg": "NDCG", "div_ratio": "Div", "or_ratio": "OR", "mgu": "MGU", "dgu": "DGU"}
"""Column heads of the metrics, in the order of the columns."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n − 1) over seeds."""

    mean: float
    deviation: float


Cell: TypeAlias = str | int | float | Spread | None
"""A value of a table; None is a value that was not measured."""


@dataclass(frozen=True)
class Table:
    """Rows under columns, the first `names` of which name a row.

    `notes` stand below; the last of them says where the numbers come from.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    names: int = 1


def run_table(record: RunRecord) -> Table:
    """Return one run's scores: baselines, the initial SFT model, then every iteration so far."""
    several = len(rankings([record])) > 1
    evaluations = tested(record)
    keys = _keys(evaluations)
    rows = [
        (_model(each, several=several), each.n, *_values([each.scores], keys).values())
        for each in evaluations
    ]
    note = [] if record.status == "finished" else [_missing(f"{record.method} × {record.negatives}", record)]
    return Table(
        title=f"{record.method} × {record.negatives}, seed {record.seed}",
        columns=("model", "N", *map(_head, keys)),
        rows=tuple(rows),
        notes=(*note, provenance([record])),
    )


def ablation_table(records: Sequence[RunRecord]) -> Table:
    """Return one row per arm with its last iteration's scores, over seeds; the shared models stand first.

    A number over several seeds is a `Spread`. Raises `ValueError` where the runs differ in dataset,
    base LLM or N: those are never averaged or compared (`ablation_tables` gives one table for each).
    """
    groups = by_setting(records)
    if len(groups) != 1:
        raise ValueError(mixture(list(groups)))
    return ablation_tables(records)[0]


def ablation_tables(records: Sequence[RunRecord]) -> list[Table]:
    """Return an ablation table for each dataset, base LLM and N among these runs."""
    return [_ablation(setting, runs) for setting, runs in by_setting(records).items()]


def mixture(settings: Sequence[Setting]) -> str:
    """Return the line which says that runs of several settings were given."""
    listed = "; ".join(map(str, settings)) or "none at all"
    return f"these runs are not one comparison but {len(settings)} (each needs a table of its own): {listed}"


def provenance(records: Sequence[RunRecord]) -> str:
    """Return the line that tells where numbers come from: N, seeds, commits, dataset and base LLM."""
    rows = sorted({each.n for record in records for each in tested(record)})
    parts = {
        "N": [f"{n} validation rows" if "valid" in map(split, records) else str(n) for n in rows]
        or ["unknown"],
        "seeds": [str(seed) for seed in sorted({record.seed for record in records})],
        "commit": [_commit(record) for record in records],
        "dataset": [f"{each.dataset.name} ({each.dataset.digest[:12]})" for each in records],
        "base LLM": [f"{each.weights.name} ({each.weights.digest[:12]})" for each in records],
    }
    return "; ".join(f"{name} {', '.join(dict.fromkeys(values))}" for name, values in parts.items())


def _ablation(setting: Setting, records: Sequence[RunRecord]) -> Table:
    found, ways = arms(records), rankings(records)
    keys = _keys([each for record in records for each in tested(record)])
    shared = _shared(records, several=len(ways) > 1)
    rows = [
        *(_row((label, "–"), list(seeds.values()), keys) for label, seeds in shared.items()),
        *(
            _arm_row(arm, way, keys, several=len(ways) > 1)
            for arm in found
            for way in rankings(arm.runs) or ("",)
        ),
    ]
    return Table(
        title=f"Ablation on {setting.dataset} with {setting.base_llm}",
        columns=("method", "negatives", "seeds", "N", *map(_head, keys)),
        rows=tuple(rows),
        notes=(*_differing(records), *(note for arm in found for note in _notes(arm)), provenance(records)),
        names=2,
    )


def _shared(records: Sequence[RunRecord], *, several: bool) -> dict[str, dict[int, Evaluation]]:
    """Return, per model that all arms share (baselines, then the initial SFT), its evaluation by seed."""
    found: dict[str, dict[int, Evaluation]] = {}
    evaluations = [(record.seed, each) for record in records for each in tested(record)]
    for seed, each in sorted(evaluations, key=lambda pair: pair[1].iteration is not None):
        if each.iteration is None or each.label == "initial_sft":
            found.setdefault(_model(each, several=several), {}).setdefault(seed, each)
    return found


def _row(names: tuple[str, str], evaluations: Sequence[Evaluation], keys: Sequence[str]) -> tuple[Cell, ...]:
    values = _values([each.scores for each in evaluations], keys)
    return (*names, len(evaluations), evaluations[0].n, *values.values())


def _arm_row(arm: Arm, ranking: str, keys: Sequence[str], *, several: bool) -> tuple[Cell, ...]:
    """Return the arm's scores over its finished seeds, or why there are none in every cell."""
    variant = ", ".join(part for part in (arm.variant, ranking if several else "") if part)
    names = (f"{arm.method} ({variant})" if variant else arm.method, arm.negatives)
    found = [each for each in (last(run, ranking) for run in arm.finished) if each is not None]
    if found:
        return _row(names, found, keys)
    state = arm.missing[0].status if arm.missing else "no test scores"
    return (*names, 0, None, *(state for _ in keys))


def _notes(arm: Arm) -> list[str]:
    """Return what a reader must know of an arm's row: missing runs, mixed commits, repeated runs."""
    notes = [_missing(str(arm), run) for run in arm.missing]
    commits = list(dict.fromkeys(_commit(run) for run in arm.finished))
    if len(commits) > 1:
        notes.append(f"{arm}: its seeds were run at different commits: {', '.join(commits)}")
    if arm.superseded:
        notes.append(f"{arm}: {arm.superseded} older finished run(s) of the same seeds are left out")
    return notes


def _differing(records: Sequence[RunRecord]) -> list[str]:
    """Return a note for each seed whose runs did not start from the same initial SFT model."""
    starts: dict[int, set[tuple[tuple[str, str], ...]]] = {}
    for record in records:
        scores = [each.scores for each in tested(record) if each.label == "initial_sft"]
        if scores:
            known = tuple(sorted((key, repr(value)) for key, value in scores[0].items()))
            starts.setdefault(record.seed, set()).add(known)
    return [
        f"seed {seed}: the runs start from {len(known)} different initial SFT models, the first is shown"
        for seed, known in sorted(starts.items())
        if len(known) > 1
    ]


def _missing(name: str, record: RunRecord) -> str:
    reason = f" ({record.error.splitlines()[0]})" if record.error else ""
    state = "still running, or stopped" if record.status == "running" else record.status
    return f"{name}, seed {record.seed}: {state}{reason}; to run it again: {record.command}"


def _commit(record: RunRecord) -> str:
    return (record.commit or "unknown")[:10] + (" (dirty)" if record.dirty else "")


def _model(evaluation: Evaluation, *, several: bool) -> str:
    name = evaluation.label.replace("_", " ").replace("sft", "SFT")
    return f"{name} ({evaluation.ranking})" if several and evaluation.iteration is not None else name


def _keys(evaluations: Iterable[Evaluation]) -> list[str]:
    """Return the score names that have columns, cutoff by cutoff, then the off-catalogue share."""
    names = [key.partition("@") for each in evaluations for key in each.scores]
    found = {int(cutoff) for metric, _, cutoff in names if metric in METRICS and cutoff.isdigit()}
    cutoffs = sorted(found) or [1, 5]
    return [f"{metric}@{cutoff}" for cutoff in cutoffs for metric in METRICS] + ["off_catalog"]


def _head(key: str) -> str:
    metric, _, cutoff = key.partition("@")
    return f"{METRICS[metric]}@{cutoff}" if cutoff else "off-catalogue"


def _values(scores: Sequence[Mapping[str, float]], keys: Sequence[str]) -> dict[str, Cell]:
    """Return each score, or its spread over several runs; None where a run has no such number."""
    return {key: _value([each.get(key, math.nan) for each in scores]) for key in keys}


def _value(numbers: Sequence[float]) -> Cell:
    if any(math.isnan(number) for number in numbers):
        return None
    if len(numbers) == 1:
        return float(numbers[0])
    return Spread(statistics.fmean(numbers), statistics.stdev(numbers))
