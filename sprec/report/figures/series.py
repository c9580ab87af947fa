"""The numbers behind the figures, from run records: means over seeds with intervals, shares, exposure."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from sprec.evaluation.metrics import genre_share, occurrences
from sprec.records.run_record import Evaluation, RunRecord
from sprec.report.labels import LABELS, Label, number_equal_names
from sprec.report.tables.arms import (
    BASELINE_RANKING,
    HISTORY_LABELS,
    excludes_history,
    group_into_arms,
    is_shared_sft,
    names_rankings,
    rankings_of,
    scored_evaluations,
    splits_by_history,
)
from sprec.report.tables.per_user_values import decode_lists, item_masses
from sprec.report.tables.table import Difference
from sprec.report.tables.table_rows import ScoredRun, ScoreRow

# Student's t with 1 to 10 degrees of freedom at 97.5 %.
_T_975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds and its 95 % interval; with one seed the bounds are the mean itself."""

    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class ArmSeries:
    """One arm under one ranking: its evaluations per iteration, each from one seed, and their runs."""

    name: str
    iterations: Mapping[int, tuple[Evaluation, ...]]
    runs: tuple[RunRecord, ...]

    @property
    def first(self) -> tuple[Evaluation, ...]:
        """The evaluations before any iteration, or the earliest there are."""
        return self.iterations[min(self.iterations)]

    @property
    def last(self) -> tuple[Evaluation, ...]:
        """The evaluations after the last iteration."""
        return self.iterations[max(self.iterations)]

    @property
    def compared(self) -> tuple[Evaluation, ...]:
        """The first evaluations of the seeds that have the last ones: a seed may be on its way."""
        seeds = {run.seed for run, _ in self.at(max(self.iterations))}
        return tuple(one for run, one in self.at(min(self.iterations)) if run.seed in seeds)

    @property
    def starts_as_others(self) -> bool:
        """Whether its iteration 0 is the initial SFT that arms share, and no result of its own."""
        return 0 in self.iterations and all(is_shared_sft(run, one) for run, one in self.at(0))

    @property
    def list_kinds(self) -> frozenset[tuple[str, bool]]:
        """The kinds of its first lists: how they were ranked, and whether without their users' histories."""
        return frozenset(ScoredRun(run, one).list_kind for run, one in self.at(min(self.iterations)))

    def at(self, iteration: int) -> list[tuple[RunRecord, Evaluation]]:
        """Return the evaluations of an iteration beside the runs that they belong to."""
        owners = {id(evaluation): run for run in self.runs for evaluation in run.evaluations}
        return [(owners[id(evaluation)], evaluation) for evaluation in self.iterations[iteration]]


def last_row(arm: ArmSeries) -> ScoreRow:
    """Return the arm's last iteration as a row of a table."""
    runs = arm.at(max(arm.iterations))
    return ScoreRow((arm.name,), {run.seed: ScoredRun(run, evaluation) for run, evaluation in runs})


def student_t(freedom: int) -> float:
    """Return the t value that 2.5 % lie above, to three digits (Abramowitz and Stegun 26.7.5).

    >>> student_t(2), round(student_t(20), 3)
    (4.3027, 2.086)
    """
    # scipy has it, and would be a dependency of every install for this one number.
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    z = 1.959964
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def mean_over_seeds(values: Sequence[float]) -> SeedMean | None:
    """Return mean and 95 % t interval of one value per seed; None where a value is missing or undefined.

    Of 1, 2 and 3: mean 2, deviation 1, so 2 ± 4.3027 / √3.
    """
    if not values or any(map(math.isnan, values)):
        return None
    mean = statistics.fmean(values)
    if len(values) == 1:
        return SeedMean(mean, mean, mean, 1)
    half = student_t(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return SeedMean(mean, mean - half, mean + half, len(values))


def mean_score(evaluations: Sequence[Evaluation], key: str) -> SeedMean | None:
    """Return a score's mean over evaluations of several seeds; its interval ends where scores do."""
    mean = mean_over_seeds([evaluation.scores.get(key, math.nan) for evaluation in evaluations])
    # A t interval knows no bounds, and scores have them.
    largest = 2.0 if key.startswith("dgu") else 1.0
    return mean and replace(mean, low=max(mean.low, 0.0), high=min(mean.high, largest))


def mean_change(before: Sequence[Evaluation], after: Sequence[Evaluation], key: str) -> SeedMean | None:
    """Return the mean change of a score, each seed compared with itself; None where seeds differ."""
    if len(before) != len(after):
        return None
    # What differs between seeds cancels where each is compared with itself.
    pairs = zip(before, after, strict=True)
    return mean_over_seeds(
        [new.scores.get(key, math.nan) - old.scores.get(key, math.nan) for old, new in pairs]
    )


def last_differences(arms: Sequence[ArmSeries], keys: Sequence[str]) -> dict[tuple[int, str], Difference]:
    """Return by arm and score the difference of the last iteration to the initial SFT, as tables have it.

    One over fewer seeds than the arm has, some of whose records hold no lists, is left out: it would stand
    beside means of other seeds.
    """
    # Reports without tests need none of the arrays that this module brings.
    from sprec.report.tables.differences import compare_rows

    differences = compare_rows([last_row(arm) for arm in arms], (), keys)
    return {
        (place, key): difference
        for (place, key), difference in differences.items()
        if len(difference.seeds) == len(arms[place].last)
    }


def arm_series(records: Sequence[RunRecord]) -> list[ArmSeries]:
    """Return each arm's evaluations by iteration, from its finished runs, or from all where none is.

    No two have one name.
    """
    several = names_rankings(records)
    series = []
    shared = {one.label for record in records for one in scored_evaluations(record) if one.iteration is None}
    for arm in group_into_arms(records):
        if arm.method in shared:  # every run scores it too, and figures have it as a baseline
            continue
        # The scores of a run that was stopped are shown only where there are no others.
        runs = arm.finished or tuple(run for run in arm.runs if scored_evaluations(run))
        for ranking in rankings_of(runs):
            is_named = several and ranking != BASELINE_RANKING
            name = arm.name(ranking=LABELS.ranking(ranking) if is_named else "")
            series.append(ArmSeries(name, _by_iteration(runs, ranking), runs))
    names = number_equal_names([Label(arm.name) for arm in series])
    return [replace(arm, name=name) for arm, name in zip(series, names, strict=True)]


def baseline_evaluations(records: Sequence[RunRecord]) -> dict[str, tuple[Evaluation, ...]]:
    """Return the evaluations, one per seed, of each model that is not iterated."""
    baselines: dict[str, dict[int, Evaluation]] = {}
    several = splits_by_history(records)
    for record in records:
        for evaluation in scored_evaluations(record):
            if evaluation.iteration is None:
                details = f" ({HISTORY_LABELS[excludes_history(record)]})" if several else ""
                name = f"{LABELS.method(evaluation.label)}{details}"
                baselines.setdefault(name, {}).setdefault(record.seed, evaluation)
    return {name: tuple(by_seed.values()) for name, by_seed in baselines.items()}


def cumulative_share(
    ids: Int[np.ndarray, "users k"], ranks: Int[np.ndarray, " ranks"]
) -> Float[np.ndarray, " ranks"]:
    """Return which share of all recommendations the most recommended 1, 2, … items get; the last is 1.

    Three of four places go to item 1:

    >>> cumulative_share(np.array([[1, 1], [1, 2]]), np.array([1, 2, 9])).tolist()
    [0.75, 1.0, 1.0]
    """
    counts = np.sort(occurrences(ids))[::-1]
    total = np.concatenate([[0], counts.cumsum()])
    share: Float[np.ndarray, " ranks"] = total[np.minimum(ranks, len(counts))] / max(int(total[-1]), 1)
    return share


def mean_cumulative_share(
    evaluations: Iterable[Evaluation], k: int, ranks: Int[np.ndarray, " ranks"]
) -> Float[np.ndarray, " ranks"] | None:
    """Return the cumulative share averaged over seeds, None where a record lacks its lists."""
    lists = [top_lists(evaluation, k) for evaluation in evaluations]
    shares = [cumulative_share(ids, ranks) for ids in lists if ids is not None]
    return np.mean(shares, axis=0) if lists and len(shares) == len(lists) else None


def top_lists(evaluation: Evaluation, k: int) -> Int[np.ndarray, "users k"] | None:
    """Return the first `k` recommended ids of each user, None where the record does not hold them."""
    return decode_lists(evaluation)[:, :k] if evaluation.lists else None


def genre_shares(record: RunRecord, evaluation: Evaluation, k: int) -> dict[str, float] | None:
    """Return GP@k: each selected genre's share in the recommended lists, None where lists are unknown."""
    ids = top_lists(evaluation, k)
    if ids is None or not record.history_genres:
        return None
    genres = list(record.history_genres)
    return dict(zip(genres, genre_share(ids, item_masses([record], genres)).tolist(), strict=True))


def _by_iteration(runs: Sequence[RunRecord], ranking: str) -> dict[int, tuple[Evaluation, ...]]:
    groups: dict[int, list[Evaluation]] = {}
    for run in runs:
        for evaluation in scored_evaluations(run):
            if evaluation.iteration is not None and evaluation.ranking == ranking:
                groups.setdefault(evaluation.iteration, []).append(evaluation)
    return {iteration: tuple(groups[iteration]) for iteration in sorted(groups)}
