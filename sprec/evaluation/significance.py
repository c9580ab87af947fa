"""Whether one model is better than another: intervals, paired tests, and many comparisons at once.

A comparison starts from the per-user values of two models on the same rows (`Scores.per_user`). Which
units are drawn again decides what is asked. Users with the seeds averaged: do *these trained models*
differ on other users? Seeds: does *the method* differ when trained again? With three seeds the second
question has no answer below p = 1/4, so the interval over both belongs beside every mark.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.random import Generator

ENUMERATED_UNITS = 12
CELLS_AT_ONCE = 2**22


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds that hold it at some level of confidence, in the units of the metric."""

    mean: float
    low: float
    high: float


def paired_bootstrap(
    first: Float[np.ndarray, "seeds users"],
    second: Float[np.ndarray, "seeds users"],
    *,
    rng: Generator,
    level: float = 0.95,
    draws: int = 2000,
) -> Interval:
    """Return the mean of first − second and its percentile interval over users and seeds.

    Row s of both is the same seed, column u the same user. Each draw takes users and, independently,
    seeds with replacement and keeps their crossing (the pigeonhole bootstrap, Owen 2007), so that what
    both models share cancels; the bounds are percentiles of the draws' means (Efron 1979). It is cautious
    where chance per seed and user prevails, and optimistic about seeds, which are few: with one seed it
    speaks of users only. `ValueError` for shapes that differ, no value, or a level outside (0, 1).
    """
    if first.shape != second.shape or not first.size:
        raise ValueError(f"values of shape {first.shape} and {second.shape}; give equal seeds and users")
    if not 0 < level < 1:
        raise ValueError(f"level = {level}; take a share between 0 and 1, such as 0.95")
    difference = first - second
    means = [_drawn_means(difference, size, rng) for size in _portions(draws, difference.shape[1])]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(difference.mean()), float(low), float(high))


def _drawn_means(
    difference: Float[np.ndarray, "seeds users"], draws: int, rng: Generator
) -> Float[np.ndarray, " draws"]:
    """Return the means over drawn seeds crossed with drawn users."""
    seeds, users = difference.shape
    seed_share, user_share = (
        rng.multinomial(size, np.full(size, 1 / size), draws) / size for size in (seeds, users)
    )
    means: Float[np.ndarray, " draws"] = ((seed_share @ difference) * user_share).sum(axis=1)
    return means


def _portions(draws: int, units: int) -> list[int]:
    """Return numbers of draws that fit into memory together and sum to `draws`."""
    most = max(1, CELLS_AT_ONCE // units)
    return [min(most, draws - done) for done in range(0, draws, most)]


def sign_flip(difference: Float[np.ndarray, " units"], *, rng: Generator, draws: int = 10_000) -> float:
    """Return the two-sided p-value of a mean difference under random signs (Fisher 1935), in (0, 1].

    If two models are alike, each unit's paired difference is as likely with the other sign. That holds
    for hits, NDCG and means of them alike, without normality: at N = 1000 with hit rates of a few per
    cent most differences are 0 and the rest ±1, where ranks (Wilcoxon) and variances (t) carry nothing
    more and their approximations suffer. Recommended for retrieval by Smucker et al. 2007.

    The value is exact where the differences that are not 0 are of one size (hits: then it is McNemar's
    exact test), or at most 12. Else it comes from `draws` random flips and counts the observed
    one among them (Phipson and Smyth 2010). Hits are discrete, so the exact test errs less often than
    its level. Without any difference it is 1. Of 6 users with another hit, all favour the first: 2 / 2⁶.

    >>> round(sign_flip(np.array([1.0, 0, 1, 1, 1, 0, 1, 1]), rng=np.random.default_rng(0)), 6)
    0.03125
    """
    parted = difference[difference != 0]
    sizes = np.abs(parted)
    if not len(parted):
        return 1.0
    if np.ptp(sizes) == 0:
        return sign_test(int((parted > 0).sum()), len(parted))
    if len(parted) <= ENUMERATED_UNITS:
        return float(_as_extreme(_all_signs(len(parted)), parted).mean())
    extreme = sum(
        int(_as_extreme(rng.integers(0, 2, (size, len(parted)), dtype=np.int8) * 2 - 1, parted).sum())
        for size in _portions(draws, len(parted))
    )
    return (1 + extreme) / (1 + draws)


def _all_signs(units: int) -> Int[np.ndarray, "flips units"]:
    """Return every vector of ±1."""
    bits = np.arange(2**units)[:, None] >> np.arange(units)
    signs: Int[np.ndarray, "flips units"] = bits % 2 * 2 - 1
    return signs


def _as_extreme(
    signs: Int[np.ndarray, "flips units"], parted: Float[np.ndarray, " units"]
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return which flips give a sum at least as far from 0; equal sums count in spite of rounding."""
    sizes = np.abs(parted)
    found: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (
        np.abs(signs @ sizes) >= abs(parted.sum()) - 1e-9 * sizes.sum()
    )
    return found


def sign_test(wins: int, trials: int) -> float:
    """Return the two-sided exact p-value of `wins` of `trials` fair coins, in (0, 1] (McNemar 1947).

    One win or fewer of 4, or as far to the other side: 2 · (1 + 4) / 16.

    >>> round(sign_test(1, 4), 6)
    0.625
    """
    factorials = np.concatenate([[0.0], np.log(np.arange(1, trials + 1)).cumsum()])
    fewer = np.arange(min(wins, trials - wins) + 1)
    chances = factorials[trials] - factorials[fewer] - factorials[trials - fewer] - trials * np.log(2)
    return min(1.0, 2 * float(np.exp(chances).sum()))


def holm(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Return p-values adjusted for how many there are, in their order (Holm 1979).

    Marking those up to 5 % marks a true null anywhere in the table in at most 5 % of tables. The
    smallest of three is multiplied by 3, the next by 2, the largest by 1, and none falls below a smaller one.

    >>> holm(np.array([0.03, 0.01, 0.04])).tolist()
    [0.06, 0.03, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
