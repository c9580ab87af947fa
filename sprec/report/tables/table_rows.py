"""Rows of a table over several runs: which evaluation counts for which seed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sprec.records.run_record import Evaluation, RunRecord
from sprec.report.tables.arms import (
    ITERATIONS,
    Arm,
    flatten_config,
    group_into_arms,
    last_evaluation,
    rankings_of,
    scored_evaluations,
)
from sprec.report.tables.table_kinds import TableKind

# The label of the evaluation of the model that all iterations start from.
INITIAL_LABEL = "initial_sft"


@dataclass(frozen=True)
class ScoredRun:
    """Where a number comes from: a run, and the evaluation of it that counts."""

    record: RunRecord
    evaluation: Evaluation


@dataclass(frozen=True)
class ScoreRow:
    """One model over its seeds; `names` are the cells that name it, `arm` is None for what all arms share."""

    names: tuple[str, ...]
    by_seed: Mapping[int, ScoredRun]
    arm: Arm | None = None
    state: str = "no test scores"

    def __str__(self) -> str:
        return " × ".join(name for name in self.names if name not in ("–", ""))

    @property
    def is_initial(self) -> bool:
        """Whether the row is the initial SFT model's."""
        labels = {run.evaluation.label for run in self.by_seed.values()}
        return labels == {INITIAL_LABEL}

    def scores(self, key: str) -> list[float]:
        """Return a score at each seed, NaN where the run has no such number."""
        return [run.evaluation.scores.get(key, math.nan) for run in self.by_seed.values()]


def name_columns(kind: TableKind) -> tuple[str, ...]:
    """Return the heads of the columns that name a row."""
    if kind.across_llms:
        return (kind.head, "method", "negatives")
    return ("method", "negatives", kind.head) if kind.head else ("method", "negatives")


def score_rows(kind: TableKind, records: Sequence[RunRecord]) -> list[ScoreRow]:
    """Return the table's rows: what all runs share, then the arms, in the order in which they were run."""
    if kind.across_llms:
        llms = dict.fromkeys(record.weights.name for record in records)
        baselines = _shared_models(records, models=False)
        without_llm = [ScoreRow(("–", name, "–"), by_seed) for name, by_seed in baselines.items()]
        return [*without_llm, *(row for name in llms for row in _rows_of_llm(name, records))]
    blank = ("–",) if kind.head else ()
    shared = [ScoreRow((name, "–", *blank), by_seed) for name, by_seed in _shared_models(records).items()]
    if kind.each_iteration:
        arms = group_into_arms(records, ignored=[ITERATIONS])
        return [*shared, *(row for arm in arms for row in _iteration_rows(arm))]
    arms = _varied_arms(group_into_arms(records), kind.factor)
    return [*shared, *(row for arm in arms for row in _last_rows(arm, kind))]


def model_name(evaluation: Evaluation, *, with_ranking: bool) -> str:
    """Return the name of what was evaluated, with its ranking where there are several."""
    name = evaluation.label.replace("_", " ").replace("sft", "SFT")
    ranked = with_ranking and evaluation.iteration is not None
    return f"{name} ({evaluation.ranking})" if ranked else name


def _shared_models(
    records: Sequence[RunRecord], *, baselines: bool = True, models: bool = True
) -> dict[str, dict[int, ScoredRun]]:
    """Return, per model that all arms share (baselines, then the initial SFT), its evaluation by seed."""
    several = len(rankings_of(records)) > 1
    shared: dict[str, dict[int, ScoredRun]] = {}
    runs = [ScoredRun(record, one) for record in records for one in scored_evaluations(record)]
    # Every run of a sweep scores the same baselines and initial SFT; the first of each seed stands for all.
    for run in sorted(runs, key=lambda run: run.evaluation.iteration is not None):
        is_baseline = run.evaluation.iteration is None
        if (is_baseline and baselines) or (models and run.evaluation.label == INITIAL_LABEL):
            name = model_name(run.evaluation, with_ranking=several)
            shared.setdefault(name, {}).setdefault(run.record.seed, run)
    return {name: dict(sorted(by_seed.items())) for name, by_seed in shared.items()}


def _varied_arms(arms: Sequence[Arm], factor: str) -> list[Arm]:
    """Return the arms whose names were run with several values of the factor, by value; else all."""
    if not factor:
        return list(arms)
    values: dict[tuple[str, str], set[str]] = {}
    for arm in arms:
        values.setdefault((arm.method, arm.negatives), set()).add(_setting(arm, factor))
    varied = [arm for arm in arms if len(values[arm.method, arm.negatives]) > 1]
    return sorted(
        varied or arms, key=lambda arm: (arm.method, arm.negatives, _number_first(_setting(arm, factor)))
    )


def _setting(arm: Arm, key: str) -> str:
    return str(flatten_config(arm.runs[0].config).get(key, "–"))


def _number_first(text: str) -> tuple[float, str]:
    """Return a sort key that puts numbers by size before other texts."""
    try:
        return float(text), text
    except ValueError:
        return math.inf, text


def _last_rows(arm: Arm, kind: TableKind) -> Iterator[ScoreRow]:
    """Yield the arm's last iteration, under each ranking that it was scored with."""
    value = (_setting(arm, kind.factor),) if kind.factor else ()
    rankings = rankings_of(arm.runs) or ("",)
    for ranking in rankings:
        by_seed = {
            run.seed: ScoredRun(run, last)
            for run in arm.finished
            if (last := last_evaluation(run, ranking)) is not None
        }
        name = _arm_name(arm, arm.variant(kind.factor), ranking if len(rankings) > 1 else "")
        yield ScoreRow((name, arm.negatives, *value), by_seed, arm, _state(arm))


def _iteration_rows(arm: Arm) -> Iterator[ScoreRow]:
    """Yield every iteration of the arm, from the longest run of each seed."""
    rankings = rankings_of(arm.runs)
    for ranking in rankings:
        by_iteration: dict[int, dict[int, ScoredRun]] = {}
        for run in arm.finished:
            for one in scored_evaluations(run):
                if one.iteration and one.ranking == ranking:
                    by_iteration.setdefault(one.iteration, {})[run.seed] = ScoredRun(run, one)
        name = _arm_name(arm, arm.variant(ITERATIONS), ranking if len(rankings) > 1 else "")
        for iteration, by_seed in sorted(by_iteration.items()):
            yield ScoreRow((name, arm.negatives, str(iteration)), by_seed, arm)
    if not arm.finished:
        name = _arm_name(arm, arm.variant(ITERATIONS))
        yield ScoreRow((name, arm.negatives, "–"), {}, arm, _state(arm))


def _rows_of_llm(name: str, records: Sequence[RunRecord]) -> Iterator[ScoreRow]:
    """Yield the rows of one base LLM: what its arms share, and the arms."""
    own = [record for record in records if record.weights.name == name]
    for label, by_seed in _shared_models(own, baselines=False).items():
        yield ScoreRow((name, label, "–"), by_seed)
    for arm in group_into_arms(own):
        for row in _last_rows(arm, TableKind("", "")):
            yield ScoreRow((name, *row.names), row.by_seed, arm, row.state)


def _arm_name(arm: Arm, *details: str) -> str:
    listed = ", ".join(filter(None, details))
    return f"{arm.method} ({listed})" if listed else arm.method


def _state(arm: Arm) -> str:
    return arm.missing[0].status if arm.missing else "no test scores"
