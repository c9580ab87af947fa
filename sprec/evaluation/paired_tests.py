"""One model against another, many metrics at once: intervals over users and seeds, and paired tests.

`sprec.evaluation.significance` has the same for one metric. Here draws are shared by all comparisons of
a table, and sets of lists get a test of their own.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy.random import Generator

from sprec.evaluation.jackknife import TOP, masses_of

ENOUGH = 20
"""Draws as extreme as the observed one after which a p-value is known well enough (Besag, Clifford 1991)."""
CELLS = 2**22
SET_METRICS = ("div_ratio", "or_ratio", "mgu", "dgu")


def intervals(
    differences: Float[np.ndarray, "comparisons seeds users"],
    *,
    rng: Generator,
    level: float = 0.95,
    draws: int = 2000,
) -> Float[np.ndarray, "comparisons 2"]:
    """Return the bounds of each comparison's mean as `statistics.paired_bootstrap` does, from shared draws.

    For a set of lists, `differences` are those of the models' pseudo-values (see `evaluation.influence`).
    """
    comparisons, seeds, users = differences.shape
    flat = differences.reshape(comparisons * seeds, users).T
    means = []
    for done in range(0, draws, step := max(1, CELLS // users)):
        size = min(step, draws - done)
        drawn = _shares(rng, size, users) @ flat
        weight = _shares(rng, size, seeds)
        means.append(np.einsum("dcs,ds->dc", drawn.reshape(size, comparisons, seeds), weight))
    tails = [(1 - level) / 2, (1 + level) / 2]
    return np.asarray(np.quantile(np.concatenate(means), tails, axis=0).T)


def _shares(rng: Generator, draws: int, units: int) -> Float[np.ndarray, "draws units"]:
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
    1995 for text retrieval): users' lists change sides at random, at all seeds together, and both
    sides are measured again. The observed difference counts among the draws (Phipson and Smyth 2010).
    It asks whether *these* models differ on users like these, not whether training again would. Of
    `draws`, the first tenth is enough where chance does as well in all four metrics.
    """
    pairs = [_Pair(one, two, masses, history_share) for one, two in zip(first, second, strict=True)]
    observed = np.abs(sum(pair.differences(np.zeros((1, first.shape[1]))) for pair in pairs))[0]
    extreme, done = np.zeros(len(SET_METRICS)), 0
    for batch in (draws // 10, draws - draws // 10):
        sides = rng.integers(0, 2, (batch, first.shape[1]), dtype=np.int8).astype(np.float32)
        drawn = np.abs(sum(pair.differences(sides) for pair in pairs))
        extreme += (drawn >= observed * (1 - 1e-9) - 1e-12).sum(axis=0)
        done += batch
        if extreme.min() >= ENOUGH:
            break
    return dict(zip(SET_METRICS, ((1 + extreme) / (1 + done)).tolist(), strict=True))


class _Pair:
    """Two models' lists at one seed; places of ratios are left out, since both models have the same."""

    def __init__(
        self,
        first: Int[np.ndarray, "users k"],
        second: Int[np.ndarray, "users k"],
        masses: Float[np.ndarray, "items genres"],
        history_share: Float[np.ndarray, " genres"],
    ) -> None:
        items = np.unique(np.concatenate([first, second]))
        items = items[items >= 0]
        counts = [_counts(lists, items) for lists in (first, second)]
        self.counts = [each.sum(axis=0) for each in counts]
        self.moved = counts[1] - counts[0]
        genres = [masses_of(lists, masses) for lists in (first, second)]
        self.genres = [each.sum(axis=0) for each in genres]
        self.moved_genres = genres[1] - genres[0]
        self.history = history_share

    def differences(self, sides: Float[np.ndarray, "draws users"]) -> Float[np.ndarray, "draws metrics"]:
        """Return first − second per metric where the lists of users with side 1 are swapped."""
        moved, genres = sides.astype(np.float32) @ self.moved, sides.astype(float) @ self.moved_genres
        one, two = self.counts[0] + moved, self.counts[1] - moved
        fair = [_normal(mass) - self.history for mass in (self.genres[0] + genres, self.genres[1] - genres)]
        columns = [
            (one > 0.5).sum(axis=1) - (two > 0.5).sum(axis=1),
            _top(one) - _top(two),
            np.abs(fair[0]).mean(axis=1) - np.abs(fair[1]).mean(axis=1),
            np.ptp(fair[0], axis=1) - np.ptp(fair[1], axis=1),
        ]
        return np.stack([np.asarray(each, dtype=float) for each in columns], axis=1)


def _counts(lists: Int[np.ndarray, "users k"], items: Int[np.ndarray, " items"]) -> np.ndarray:
    """Return how often each user is recommended each item, in float32, which holds such numbers exactly."""
    users, places = np.nonzero(lists >= 0)
    found = np.zeros((len(lists), len(items)), dtype=np.float32)
    np.add.at(found, (users, np.searchsorted(items, lists[users, places])), 1)
    return found


def _top(counts: np.ndarray) -> np.ndarray:
    most = min(TOP, counts.shape[1])
    top: np.ndarray = np.partition(counts, counts.shape[1] - most, axis=1)[:, counts.shape[1] - most :]
    return np.asarray(top.sum(axis=1))


def _normal(mass: Float[np.ndarray, "draws genres"]) -> Float[np.ndarray, "draws genres"]:
    total = mass.sum(axis=1, keepdims=True)
    return np.asarray(mass / np.where(total > 1e-12, total, 1))
