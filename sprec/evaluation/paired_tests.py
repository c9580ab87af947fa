"""One model against another, many metrics at once: intervals over users and seeds, and permutation tests.

All comparisons of a table share their draws, and metrics of sets of lists get a test of their own.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy.random import Generator

from sprec.evaluation.jackknife import SET_METRICS, TOP, list_genre_masses
from sprec.evaluation.significance import CELLS_AT_ONCE

ENOUGH_EXTREME_DRAWS = 20
"""Draws as extreme as the observed one after which a p-value is known well enough (Besag, Clifford 1991)."""


def bootstrap_intervals(
    differences: Float[np.ndarray, "comparisons seeds users"],
    *,
    rng: Generator,
    level: float = 0.95,
    draws: int = 2000,
) -> Float[np.ndarray, "comparisons 2"]:
    """Return the bounds of each comparison's mean: a percentile interval over users and seeds.

    Each draw takes users and, independently, seeds with replacement and keeps their crossing (the pigeonhole
    bootstrap, Owen 2007), so that what both models share cancels; the bounds are percentiles of the draws'
    means (Efron 1979). It is cautious where chance per seed and user prevails, and optimistic about seeds,
    which are few: with one seed it speaks of users only. For metrics of sets of lists, `differences` are
    those of the models' pseudo-values (see `sprec.evaluation.jackknife`).
    """
    comparisons, seeds, users = differences.shape
    flat = differences.reshape(comparisons * seeds, users).T
    means = []
    for done in range(0, draws, step := max(1, CELLS_AT_ONCE // users)):
        size = min(step, draws - done)
        over_users = _draw_weights(rng, size, users) @ flat
        seed_weights = _draw_weights(rng, size, seeds)
        means.append(np.einsum("dcs,ds->dc", over_users.reshape(size, comparisons, seeds), seed_weights))
    tails = [(1 - level) / 2, (1 + level) / 2]
    return np.asarray(np.quantile(np.concatenate(means), tails, axis=0).T)


def _draw_weights(rng: Generator, draws: int, units: int) -> Float[np.ndarray, "draws units"]:
    """Return how often each unit is drawn with replacement, over the number of units."""
    chosen = rng.integers(0, units, (draws, units)) + units * np.arange(draws)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=draws * units).reshape(draws, units)
    return counts / units


def swap_tests(
    first: Int[np.ndarray, "seeds users k"],
    second: Int[np.ndarray, "seeds users k"],
    *,
    masses: Float[np.ndarray, "items genres"],
    history_share: Float[np.ndarray, " genres"],
    rng: Generator,
    draws: int = 10_000,
) -> dict[str, float]:
    """Return two-sided p-values of differences in DivRatio, ORRatio, MGU and DGU, means over the seeds.

    If two models are alike, each user's two lists are as likely the other way round (Fisher 1935; Cohen
    1995 for text retrieval). So users' lists change sides at random, at all seeds together, and both
    sides are measured again. The observed difference counts among the draws (Phipson and Smyth 2010).
    The test asks whether *these* models differ on users like these, not whether training again would.
    The first tenth of `draws` is enough where chance does as well in all four metrics. Without genres nothing
    differs in MGU and DGU.

    Args:
        first: item ids of one model, per seed.
        second: item ids of the other model, for the same seeds and users.
        masses: each item's mass per genre, from `genre_masses`.
        history_share: each genre's share in the histories.
        rng: gives the random sides.
        draws: random swaps at most.
    """
    pairs = [_ModelPair(one, two, masses, history_share) for one, two in zip(first, second, strict=True)]
    observed = np.abs(sum(pair.differences(np.zeros((1, first.shape[1]))) for pair in pairs))[0]
    extreme, done = np.zeros(len(SET_METRICS)), 0
    for batch in (draws // 10, draws - draws // 10):
        sides = rng.integers(0, 2, (batch, first.shape[1]), dtype=np.int8).astype(np.float32)
        differences = np.abs(sum(pair.differences(sides) for pair in pairs))
        # The tolerance counts equal differences as extreme in spite of rounding.
        extreme += (differences >= observed * (1 - 1e-9) - 1e-12).sum(axis=0)
        done += batch
        if extreme.min() >= ENOUGH_EXTREME_DRAWS:
            break
    return dict(zip(SET_METRICS, ((1 + extreme) / (1 + done)).tolist(), strict=True))


class _ModelPair:
    """Two models' lists at one seed, as counts that a swap adds to one side and takes from the other.

    Denominators of ratios are left out: both models have the same, so p-values do not depend on them.
    """

    def __init__(
        self,
        first: Int[np.ndarray, "users k"],
        second: Int[np.ndarray, "users k"],
        masses: Float[np.ndarray, "items genres"],
        history_share: Float[np.ndarray, " genres"],
    ) -> None:
        items = np.unique(np.concatenate([first, second]))
        items = items[items >= 0]
        counts = [_count_per_user(lists, items) for lists in (first, second)]
        self.totals = [per_user.sum(axis=0) for per_user in counts]
        self.swap_counts = counts[1] - counts[0]
        genres = [list_genre_masses(lists, masses) for lists in (first, second)]
        self.genre_totals = [per_user.sum(axis=0) for per_user in genres]
        self.swap_genres = genres[1] - genres[0]
        self.history_share = history_share

    def differences(self, sides: Float[np.ndarray, "draws users"]) -> Float[np.ndarray, "draws metrics"]:
        """Return first − second per metric where the lists of users with side 1 are swapped."""
        # Products of whole numbers in numpy are many times slower; in float32 counts of users stay exact.
        swapped, genres = sides.astype(np.float32) @ self.swap_counts, sides.astype(float) @ self.swap_genres
        one, two = self.totals[0] + swapped, self.totals[1] - swapped
        masses = self.genre_totals[0] + genres, self.genre_totals[1] - genres
        columns = [(one > 0.5).sum(axis=1) - (two > 0.5).sum(axis=1), _sum_top(one) - _sum_top(two)]
        if len(self.history_share):
            excess = [_normalise(mass) - self.history_share for mass in masses]
            columns.append(np.abs(excess[0]).mean(axis=1) - np.abs(excess[1]).mean(axis=1))
            columns.append(np.ptp(excess[0], axis=1) - np.ptp(excess[1], axis=1))
        else:
            columns += [np.zeros(len(sides))] * 2
        return np.stack([np.asarray(column, dtype=float) for column in columns], axis=1)


def _count_per_user(lists: Int[np.ndarray, "users k"], items: Int[np.ndarray, " items"]) -> np.ndarray:
    """Return how often each user is recommended each item."""
    users, places = np.nonzero(lists >= 0)
    counts = np.zeros((len(lists), len(items)), dtype=np.float32)  # exact for such small whole numbers
    np.add.at(counts, (users, np.searchsorted(items, lists[users, places])), 1)
    return counts


def _sum_top(counts: np.ndarray) -> np.ndarray:
    most = min(TOP, counts.shape[1])
    top: np.ndarray = np.partition(counts, counts.shape[1] - most, axis=1)[:, counts.shape[1] - most :]
    return np.asarray(top.sum(axis=1))


def _normalise(mass: Float[np.ndarray, "draws genres"]) -> Float[np.ndarray, "draws genres"]:
    total = mass.sum(axis=1, keepdims=True)
    return np.asarray(mass / np.where(total > 1e-12, total, 1))
