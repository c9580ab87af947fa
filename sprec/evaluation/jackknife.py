"""Each user's part in a metric, so that intervals of sets of lists are found as those of means are.

HR and NDCG are means over users. DivRatio, ORRatio, MGU and DGU are not: a bootstrap that draws users
twice counts fewer distinct items than fresh users would show. The jackknife leaves each user out once
instead; its pseudo-values θ + (n − 1)(mean of θ₋ᵤ − θ₋ᵤ) average to θ, and their variance over n is the
jackknife's variance of θ, which is too large rather than too small (Tukey 1958; Efron and Stein 1981).
For a mean they are the users' own values.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from sprec.evaluation.metrics import hit, ndcg

TOP = 3
"""Items of ORRatio."""


def influence(
    ranked: Int[np.ndarray, "users k"],
    target: Int[np.ndarray, " users"],
    masses: Float[np.ndarray, "items genres"],
    history_share: Float[np.ndarray, " genres"],
    cutoffs: Sequence[int],
) -> dict[str, Float[np.ndarray, " users"]]:
    """Return per metric and cutoff one value per user; each mean is the metric as `scores.score` states it.

    `history_share` (GH) stands fixed: it is one vector for all models that are compared.

    >>> ranked, target = np.array([[0], [0], [1]]), np.array([0, 1, 2])
    >>> found = influence(ranked, target, np.eye(3), np.full(3, 1 / 3), [1])
    >>> {name: round(float(each.mean()), 4) for name, each in found.items() if name != "ndcg@1"}
    {'hr@1': 0.3333, 'div_ratio@1': 0.6667, 'or_ratio@1': 1.0, 'mgu@1': 0.2222, 'dgu@1': 0.6667}
    """
    found: dict[str, Float[np.ndarray, " users"]] = {}
    for k in cutoffs:
        top = ranked[:, :k]
        fair = _shares(top, masses) - history_share
        values = {
            "hr": hit(top, target),
            "ndcg": ndcg(top, target),
            "div_ratio": _pseudo(_distinct(top) / _places(target, k)),
            "or_ratio": _pseudo(_most_frequent(top) / _places(target, k)),
            "mgu": _pseudo(np.abs(fair).mean(axis=1)),
            "dgu": _pseudo(np.ptp(fair, axis=1)),
        }
        found |= {f"{name}@{k}": each for name, each in values.items()}
    return found


def _pseudo(values: Float[np.ndarray, " one_more"]) -> Float[np.ndarray, " users"]:
    """Return pseudo-values; the first of `values` is the metric of all users, then without each of them."""
    whole, without = values[0], values[1:]
    pseudo: Float[np.ndarray, " users"] = whole + (len(without) - 1) * (without.mean() - without)
    return pseudo


def _places(target: Int[np.ndarray, " users"], k: int) -> Float[np.ndarray, " one_more"]:
    """Return k · N', of all users and without each."""
    known = target >= 0
    return np.asarray(k * np.maximum(known.sum() - np.concatenate([[0.0], known]), 1))


def _distinct(top: Int[np.ndarray, "users k"]) -> Float[np.ndarray, " one_more"]:
    """Return how many items occur: with a user go the items that nobody else is recommended."""
    users, items = np.nonzero(top >= 0)[0], top[top >= 0]
    pairs = np.unique(np.stack([items, users]), axis=1)
    _, place, owners = np.unique(pairs[0], return_inverse=True, return_counts=True)
    alone = np.bincount(pairs[1], weights=owners[place] == 1, minlength=len(top))
    return len(owners) - np.concatenate([[0.0], alone])


def _most_frequent(top: Int[np.ndarray, "users k"]) -> Float[np.ndarray, " one_more"]:
    """Return the occurrences of the `TOP` most frequent items; a user can change the order of k more."""
    items, counts = np.unique(top[top >= 0], return_counts=True)
    first = np.argsort(-counts, kind="stable")[: TOP + top.shape[1]]
    own = np.stack([(top == item).sum(axis=1) for item in items[first]], axis=1)
    left = counts[first] - np.concatenate([np.zeros((1, len(first)), dtype=int), own])
    return np.asarray(np.sort(left, axis=1)[:, ::-1][:, :TOP].sum(axis=1), dtype=float)


def _shares(
    top: Int[np.ndarray, "users k"], masses: Float[np.ndarray, "items genres"]
) -> Float[np.ndarray, "one_more genres"]:
    """Return the genres' shares in all lists, and without each user's."""
    own = masses_of(top, masses)
    left = own.sum(axis=0) - np.concatenate([np.zeros((1, own.shape[1])), own])
    total = left.sum(axis=1, keepdims=True)
    shares: Float[np.ndarray, "one_more genres"] = left / np.where(total > 0, total, 1)
    return shares


def masses_of(
    top: Int[np.ndarray, "users k"], masses: Float[np.ndarray, "items genres"]
) -> Float[np.ndarray, "users genres"]:
    """Return each list's mass per genre; a place without an item has none."""
    summed: Float[np.ndarray, "users genres"] = (masses[top] * (top >= 0)[:, :, None]).sum(axis=1)
    return summed
