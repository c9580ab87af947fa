"""Rows of a table over several runs: which evaluation counts for which seed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sprec.records.run_record import Evaluation, RunRecord
from sprec.report.labels import LABELS, Label, Labels, same_name
from sprec.report.tables.arms import (
    BASELINE_RANKING,
    HISTORY_LABELS,
    INITIAL_LABEL,
    ITERATIONS,
    Arm,
    excludes_history,
    group_into_arms,
    is_shared_sft,
    last_evaluation,
    names_rankings,
    rankings_of,
    scored_evaluations,
    splits_by_history,
    uses_llm,
)
from sprec.report.tables.run_settings import OF_THE_LLM, flatten_config
from sprec.report.tables.table_kinds import TableKind


@dataclass(frozen=True)
class ScoredRun:
    """Where a number comes from: a run, and the evaluation of it that counts."""

    record: RunRecord
    evaluation: Evaluation

    @property
    def list_kind(self) -> tuple[str, bool]:
        """How its lists were ranked, and whether without what their user has had already."""
        return self.evaluation.ranking, excludes_history(self.record)

    @property
    def llm_ranking(self) -> str:
        """How its lists were ranked with an LLM, "" for those of a baseline."""
        ranking = self.evaluation.ranking
        return "" if self.evaluation.iteration is None or ranking == BASELINE_RANKING else ranking


@dataclass(frozen=True)
class ScoreRow:
    """One model over its seeds; `names` are the cells that name it, `arm` is None for what all arms share.

    `key` is the method's, or the label of the evaluation.
    """

    names: tuple[str, ...]
    by_seed: Mapping[int, ScoredRun]
    arm: Arm | None = None
    state: str = "no test scores"
    key: str = ""

    def __str__(self) -> str:
        return " × ".join(name for name in self.names if name not in ("–", ""))

    @property
    def is_initial(self) -> bool:
        """Whether the row is that of the initial SFT model that the arms share."""
        labels = {run.evaluation.label for run in self.by_seed.values()}
        return self.arm is None and labels == {INITIAL_LABEL}

    @property
    def list_kinds(self) -> frozenset[tuple[str, bool]]:
        """The kinds of its lists: one, but for rows whose runs differ."""
        return frozenset(run.list_kind for run in self.by_seed.values())

    @property
    def uses_llm(self) -> bool:
        """Whether its lists are an LLM's."""
        return any(run.llm_ranking for run in self.by_seed.values())

    @property
    def base_llms(self) -> frozenset[str]:
        """The digests of the base LLMs of its runs: one, but for what no LLM is part of."""
        return frozenset(run.record.weights.digest for run in self.by_seed.values())

    @property
    def identity(self) -> tuple[str, ...]:
        """What the row is of, whatever ranked its lists."""
        arm = self.arm
        return (self.key,) if arm is None else (arm.method, arm.negatives, arm.settings_but_ranking)

    def is_named(self, name: str) -> bool:
        """Return whether a reader means this row: by what it shows, by its first cell, or by its key."""
        own = (str(self), self.names[0], self.key, str(self.arm or ""))
        return any(same_name(name, text) for text in own)

    def scores(self, key: str) -> list[float]:
        """Return a score at each seed, NaN where the run has no such number."""
        return [run.evaluation.scores.get(key, math.nan) for run in self.by_seed.values()]


def name_columns(kind: TableKind) -> tuple[str, ...]:
    """Return the heads of the columns that name a row."""
    if kind.across_llms:
        return (kind.head, "method", "negatives")
    return ("method", "negatives", kind.head) if kind.head else ("method", "negatives")


def score_rows(
    kind: TableKind,
    records: Sequence[RunRecord],
    labels: Labels = LABELS,
    *,
    several_rankings: bool | None = None,
) -> list[ScoreRow]:
    """Return the table's rows: what all runs share, then the arms, in the order in which they were run.

    `several_rankings` says whether rows name theirs, None where that hangs on these records alone.
    """
    named = names_rankings(records) if several_rankings is None else several_rankings
    rows = _RowMaker(kind, labels, several_rankings=named)
    if kind.across_llms:
        return _rows_by_llm(rows, records)
    return [*rows.shared(records), *rows.of_arms(records)]


def _rows_by_llm(rows: "_RowMaker", records: Sequence[RunRecord]) -> list[ScoreRow]:
    """Return the rows of models without an LLM, each once, and then those of each base LLM."""
    by_llm: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        by_llm.setdefault((record.weights.name, record.weights.digest), []).append(record)
    names = [name for name, _ in by_llm]
    # A base LLM that was at hand is no part of these, and its settings make no arms of them.
    bare = [record for record in records if not uses_llm(record)]
    shared = [row for row in rows.shared(records) if not row.is_initial]
    baselines = [*shared, *rows.of_arms(bare, ignored=OF_THE_LLM)]
    by_name = [replace(row, names=("–", *row.names)) for row in baselines]
    for (name, digest), everything in by_llm.items():
        own = [record for record in everything if uses_llm(record)]
        of_llm = [*(row for row in rows.shared(own) if row.is_initial), *rows.of_arms(own)]
        llm = rows.labels.base_llm(name).extended(f" ({digest[:6]})" if names.count(name) > 1 else "")
        by_name += [replace(row, names=(llm, *row.names)) for row in of_llm]
    return by_name


def model_name(evaluation: Evaluation, *, with_ranking: bool, labels: Labels = LABELS) -> Label:
    """Return the name of what was evaluated, with its ranking where there are several."""
    name = labels.method(evaluation.label)
    ranked = with_ranking and evaluation.iteration is not None
    return name.extended(f" ({labels.ranking(evaluation.ranking)})") if ranked else name


@dataclass(frozen=True)
class _RowMaker:
    kind: TableKind
    labels: Labels
    several_rankings: bool

    def shared(self, records: Sequence[RunRecord]) -> list[ScoreRow]:
        """Return a row per model that all arms share: baselines, then the initial SFT."""
        shared: dict[str, dict[int, ScoredRun]] = {}
        runs = [ScoredRun(record, one) for record in records for one in scored_evaluations(record)]
        several = splits_by_history(records)
        # Every run of a sweep scores the same baselines and initial SFT; the first of a seed stands for all.
        for run in sorted(runs, key=lambda run: run.evaluation.iteration is not None):
            if run.evaluation.iteration is None or is_shared_sft(run.record, run.evaluation):
                name = model_name(run.evaluation, with_ranking=self.several_rankings, labels=self.labels)
                if several:
                    name = name.extended(f" ({HISTORY_LABELS[excludes_history(run.record)]})")
                shared.setdefault(name, {}).setdefault(run.record.seed, run)
        blank = ("–",) if self.kind.head and not self.kind.across_llms else ()
        return [
            ScoreRow(
                (name, "–", *blank),
                dict(sorted(by_seed.items())),
                key=next(iter(by_seed.values())).evaluation.label,
            )
            for name, by_seed in shared.items()
        ]

    def of_arms(self, records: Sequence[RunRecord], *, ignored: Sequence[str] = ()) -> Iterator[ScoreRow]:
        """Yield the rows of the arms, but for those that the shared rows show already.

        Settings whose key begins with one of `ignored` make no arms.
        """
        if self.kind.each_iteration:
            arms = group_into_arms(records, ignored=[ITERATIONS])
        else:
            arms = _varied_arms(group_into_arms(records, ignored=ignored), self.kind.factor)
        for arm in arms:
            if not is_shared_arm(arm):
                yield from self._iterations(arm) if self.kind.each_iteration else self._last(arm)

    def _last(self, arm: Arm) -> Iterator[ScoreRow]:
        """Yield the arm's last iteration, under each ranking that it was scored with."""
        factor = self.kind.factor
        value = (_setting(arm, factor),) if factor else ()
        for ranking in rankings_of(arm.runs) or (arm.ranking,):
            by_seed = {
                run.seed: ScoredRun(run, last)
                for run in arm.finished
                if (last := last_evaluation(run, ranking)) is not None
            }
            yield _arm_row(arm, (*self._names(arm, ranking, factor), *value), by_seed)

    def _iterations(self, arm: Arm) -> Iterator[ScoreRow]:
        """Yield every iteration of the arm, from the longest run of each seed."""
        for ranking in rankings_of(arm.runs):
            by_iteration: dict[int, dict[int, ScoredRun]] = {}
            for run in arm.finished:
                for one in scored_evaluations(run):
                    if one.iteration and one.ranking == ranking:
                        by_iteration.setdefault(one.iteration, {})[run.seed] = ScoredRun(run, one)
            for iteration, by_seed in sorted(by_iteration.items()):
                names = (*self._names(arm, ranking, ITERATIONS), str(iteration))
                yield _arm_row(arm, names, by_seed)
        if not arm.finished:
            yield _arm_row(arm, (*self._names(arm, arm.ranking, ITERATIONS), "–"), {})

    def _names(self, arm: Arm, ranking: str, shown_elsewhere: str) -> tuple[str, str]:
        is_named = self.several_rankings and ranking not in ("", BASELINE_RANKING)
        ranked = self.labels.ranking(ranking) if is_named else ""
        shown = (shown_elsewhere, "ranking") if ranked else (shown_elsewhere,)
        details = ", ".join(filter(None, (arm.variant(*shown), ranked)))
        method = self.labels.method(arm.method).extended(f" ({details})" if details else "")
        return method, self.labels.negatives(arm.negatives)


def arms_of(rows: Sequence[ScoreRow]) -> list[Arm]:
    """Return the arms of these rows, each once."""
    return list({id(row.arm): row.arm for row in rows if row.arm is not None}.values())


def _arm_row(arm: Arm, names: tuple[str, ...], by_seed: Mapping[int, ScoredRun]) -> ScoreRow:
    state = arm.missing[0].status if arm.missing else "no test scores"
    return ScoreRow(names, by_seed, arm, state, arm.method)


def is_shared_arm(arm: Arm) -> bool:
    """Return whether the shared rows show the arm: the most popular items, or the one plain SFT."""
    evaluations = [one for run in arm.finished for one in scored_evaluations(run)]
    shared = {one.label for one in evaluations if one.iteration is None}
    is_start = arm.method == "sft" and not arm.differing
    return bool(evaluations) and (is_start or arm.method in shared)


def unvaried_arms(kind: TableKind, records: Sequence[RunRecord]) -> list[Arm]:
    """Return the arms that a table over a factor has no row of, since they were run with one value of it."""
    arms = group_into_arms(records) if kind.factor else []
    varied = {id(arm) for arm in _varied_arms(arms, kind.factor)}
    return [arm for arm in arms if id(arm) not in varied and not is_shared_arm(arm)]


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
