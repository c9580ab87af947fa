"""The numbers behind the figures, from run records: means over seeds with intervals, shares, exposure."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from sprec.evaluation.metrics import genre_masses, genre_share, occurrences
from sprec.records.encoded_ids import decode_ids
from sprec.records.run_record import Evaluation, RunRecord
from sprec.report.tables.arms import Arm, arms, rankings, tested

_T_975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""Student's t with 1 to 10 degrees of freedom at 97.5 %."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its 95 % interval; with one seed the bounds are the mean itself."""

    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Trace:
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


def student(freedom: int) -> float:
    """Return the t value that 2.5 % lie above, to three digits (Abramowitz and Stegun 26.7.5).

    >>> student(2), round(student(20), 3)
    (4.3027, 2.086)
    """
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    z = 1.959964
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return mean and 95 % t interval of one value per seed; None where a value is missing or undefined.

    Of 1, 2 and 3: mean 2, deviation 1, so 2 ± 4.3027 / √3.
    """
    if not values or any(map(math.isnan, values)):
        return None
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Estimate(mean, mean, mean, 1)
    half = student(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half, len(values))


def score(evaluations: Iterable[Evaluation], key: str) -> Estimate | None:
    """Return a score's estimate over evaluations of several seeds; its interval ends where scores do."""
    found = estimate([each.scores.get(key, math.nan) for each in evaluations])
    most = 2.0 if key.startswith("dgu") else 1.0
    return found and replace(found, low=max(found.low, 0.0), high=min(found.high, most))


def change(before: Sequence[Evaluation], after: Sequence[Evaluation], key: str) -> Estimate | None:
    """Return the estimate of a score's change, each seed compared with itself; None where seeds differ."""
    if len(before) != len(after):
        return None
    pairs = zip(before, after, strict=True)
    return estimate([b.scores.get(key, math.nan) - a.scores.get(key, math.nan) for a, b in pairs])


def traces(records: Sequence[RunRecord]) -> list[Trace]:
    """Return each arm's evaluations by iteration, from its finished runs, or from all where none is."""
    found = arms(records)
    several = len(rankings(records)) > 1
    return [
        Trace(
            f"{arm} ({ranking})" if several else str(arm),
            _by_iteration(_counted(arm), ranking),
            _counted(arm),
        )
        for arm in found
        for ranking in rankings(_counted(arm))
    ]


def baselines(records: Sequence[RunRecord]) -> dict[str, tuple[Evaluation, ...]]:
    """Return the evaluations, one per seed, of each model that nothing iterates."""
    found: dict[str, dict[int, Evaluation]] = {}
    for record in records:
        for each in tested(record):
            if each.iteration is None:
                found.setdefault(each.label.replace("_", " "), {}).setdefault(record.seed, each)
    return {name: tuple(seeds.values()) for name, seeds in found.items()}


def cutoffs(evaluations: Iterable[Evaluation]) -> list[int]:
    """Return the list lengths at which these were scored, ascending."""
    ends = {key.rpartition("@")[2] for each in evaluations for key in each.scores if "@" in key}
    return sorted(int(end) for end in ends if end.isdigit())


def lists(evaluation: Evaluation, k: int) -> Int[np.ndarray, "users k"] | None:
    """Return the first `k` recommended ids of each user, None where the record does not hold them.

    `ValueError` where what it holds is not one list per scored user.
    """
    if not evaluation.lists:
        return None
    found = decode_ids(evaluation.lists, max(cutoffs([evaluation])))
    if len(found) != evaluation.n:
        raise ValueError(f"{evaluation.label}: {len(found)} lists for {evaluation.n} users; run again")
    return found[:, :k]


def exposure(
    ids: Int[np.ndarray, "users k"], ranks: Int[np.ndarray, " ranks"]
) -> Float[np.ndarray, " ranks"]:
    """Return which share of all recommendations the most recommended 1, 2, … items get; the last is 1.

    Three of four places go to item 1:

    >>> exposure(np.array([[1, 1], [1, 2]]), np.array([1, 2, 9])).tolist()
    [0.75, 1.0, 1.0]
    """
    counts = np.sort(occurrences(ids))[::-1]
    total = np.concatenate([[0], counts.cumsum()])
    share: Float[np.ndarray, " ranks"] = total[np.minimum(ranks, len(counts))] / max(int(total[-1]), 1)
    return share


def mean_exposure(
    evaluations: Iterable[Evaluation], k: int, ranks: Int[np.ndarray, " ranks"]
) -> Float[np.ndarray, " ranks"] | None:
    """Return the exposure averaged over seeds, None where a record lacks its lists."""
    ids = [lists(each, k) for each in evaluations]
    known = [exposure(each, ranks) for each in ids if each is not None]
    return np.mean(known, axis=0) if ids and len(known) == len(ids) else None


def genre_shares(record: RunRecord, evaluation: Evaluation, k: int) -> dict[str, float] | None:
    """Return GP@k: each selected genre's share in the recommended lists, None where lists are unknown."""
    ids = lists(evaluation, k)
    if ids is None or not record.history_genres:
        return None
    genres = list(record.history_genres)
    known, places = np.unique(ids[ids >= 0], return_inverse=True)
    masses = genre_masses([_genres(record, item) for item in known.tolist()], genres)
    return dict(zip(genres, genre_share(places.reshape(-1, 1), masses).tolist(), strict=True))


def _genres(record: RunRecord, item: int) -> tuple[str, ...]:
    known = record.items.get(str(item))
    return known.genres if known else ()


def _counted(arm: Arm) -> tuple[RunRecord, ...]:
    return arm.finished or tuple(run for run in arm.runs if tested(run))


def _by_iteration(runs: Sequence[RunRecord], ranking: str) -> dict[int, tuple[Evaluation, ...]]:
    found: dict[int, list[Evaluation]] = {}
    for run in runs:
        for each in tested(run):
            if each.iteration is not None and each.ranking == ranking:
                found.setdefault(each.iteration, []).append(each)
    return {iteration: tuple(found[iteration]) for iteration in sorted(found)}
