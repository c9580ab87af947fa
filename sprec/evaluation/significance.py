"""Whether one model is better than another: a paired test of means, corrected for many comparisons.

A comparison starts from the per-user values of two models on the same rows. Which
units are drawn decides what is asked. Users with the seeds averaged: do *these trained models*
differ on other users? Seeds: does *the method* differ when trained again? With three seeds the second
question has no answer below p = 1/4, so an interval over both belongs beside every mark.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.random import Generator

# 2¹² sign vectors are fewer than the draws that they replace.
ENUMERATED_UNITS = 12
CELLS_AT_ONCE = 2**22
"""Cells of the largest array of draws: 32 MiB in float64."""


def _batch_sizes(draws: int, units: int) -> list[int]:
    """Return numbers of draws that fit into memory at once and sum to `draws`."""
    most = max(1, CELLS_AT_ONCE // units)
    return [min(most, draws - done) for done in range(0, draws, most)]


def sign_flip_test(difference: Float[np.ndarray, " units"], *, rng: Generator, draws: int = 10_000) -> float:
    """Return the two-sided p-value of a mean difference under random signs (Fisher 1935), in (0, 1].

    If two models are alike, each unit's paired difference is as likely with the other sign. That holds
    for hits, NDCG and means of them alike, without normality: at N = 1000 with hit rates of a few per
    cent most differences are 0 and the rest ±1, where ranks (Wilcoxon) and variances (t) carry nothing
    more and their approximations suffer. Recommended for retrieval by Smucker et al. 2007.

    The value is exact where the differences that are not 0 are of one size (hits: then it is McNemar's
    exact test), or at most 12. Else it comes from `draws` random flips and counts the observed
    one among them (Phipson and Smyth 2010). Hits are discrete, so the exact test errs less often than
    its level. Without any difference it is 1. Of 6 users with another hit, all favour the first: 2 / 2⁶.

    >>> round(sign_flip_test(np.array([1.0, 0, 1, 1, 1, 0, 1, 1]), rng=np.random.default_rng(0)), 6)
    0.03125

    `ValueError` for a difference that is no number, beside which nothing would be as extreme.
    """
    if np.isnan(difference).any():
        raise ValueError("a paired difference is no number; leave out the score that is undefined")
    nonzero = difference[difference != 0]
    sizes = np.abs(nonzero)
    if not len(nonzero):
        return 1.0
    if np.ptp(sizes) == 0:
        return sign_test(int((nonzero > 0).sum()), len(nonzero))
    if len(nonzero) <= ENUMERATED_UNITS:
        return float(_as_extreme(_all_signs(len(nonzero)), nonzero).mean())
    extreme = sum(
        int(_as_extreme(rng.integers(0, 2, (size, len(nonzero)), dtype=np.int8) * 2 - 1, nonzero).sum())
        for size in _batch_sizes(draws, len(nonzero))
    )
    return (1 + extreme) / (1 + draws)


def _all_signs(units: int) -> Int[np.ndarray, "flips units"]:
    """Return every vector of ±1."""
    bits = np.arange(2**units)[:, None] >> np.arange(units)
    signs: Int[np.ndarray, "flips units"] = bits % 2 * 2 - 1
    return signs


def _as_extreme(
    signs: Int[np.ndarray, "flips units"], nonzero: Float[np.ndarray, " units"]
) -> Bool[np.ndarray, " flips"]:
    """Return which flips give a sum at least as far from 0; equal sums count in spite of rounding."""
    sizes = np.abs(nonzero)
    threshold = abs(nonzero.sum()) - 1e-9 * sizes.sum()
    is_extreme: Bool[np.ndarray, " flips"] = np.abs(signs @ sizes) >= threshold
    return is_extreme


def sign_test(wins: int, trials: int) -> float:
    """Return the two-sided exact p-value of `wins` of `trials` fair coins, in (0, 1] (McNemar 1947).

    One win or fewer of 4, or as far to the other side: 2 · (1 + 4) / 16.

    >>> round(sign_test(1, 4), 6)
    0.625
    """
    # Logarithms, since floats end at 170!.
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
