"""Each user's contribution to a metric, so that metrics of sets of lists get intervals as means do.

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

SET_METRICS = ("div_ratio", "or_ratio", "mgu", "dgu")
TOP = 3
"""How many of the most recommended items ORRatio counts."""


def pseudo_values(
    ranked: Int[np.ndarray, "users k"],
    target: Int[np.ndarray, " users"],
    masses: Float[np.ndarray, "items genres"],
    history_share: Float[np.ndarray, " genres"],
    cutoffs: Sequence[int],
) -> dict[str, Float[np.ndarray, " users"]]:
    """Return per metric and cutoff one value per user, whose mean is the metric that `score_lists` states.

    `history_share` (GH) is held fixed: it is one vector for all models that are compared. What is undefined
    is NaN: metrics of sets of lists without any item, MGU and DGU without any item of these genres.

    Args:
        ranked: item ids, best first; -1 is an empty place.
        target: item id of each row's target, -1 where the catalogue does not have it.
        masses: each item's mass per genre, from `genre_masses`.
        history_share: each genre's share in the histories.
        cutoffs: list lengths.

    >>> ranked, target = np.array([[0], [0], [1]]), np.array([0, 1, 2])
    >>> values = pseudo_values(ranked, target, np.eye(3), np.full(3, 1 / 3), [1])
    >>> {name: round(float(each.mean()), 4) for name, each in values.items() if name != "ndcg@1"}
    {'hr@1': 0.3333, 'div_ratio@1': 0.6667, 'or_ratio@1': 1.0, 'mgu@1': 0.2222, 'dgu@1': 0.6667}
    """
    by_key: dict[str, Float[np.ndarray, " users"]] = {}
    # Rows whose target the catalogue does not have count in accuracy alone (see `registry.ScoredLists`).
    counted = np.where(target[:, None] >= 0, ranked, -1)
    for k in cutoffs:
        top, lists = ranked[:, :k], counted[:, :k]
        values = {"hr": hit(top, target), "ndcg": ndcg(top, target)}
        values |= {name: np.full(len(target), np.nan) for name in SET_METRICS}
        if (lists >= 0).any():
            places = _count_places(target, k)
            values["div_ratio"] = _to_pseudo_values(_count_distinct(lists) / places)
            values["or_ratio"] = _to_pseudo_values(_count_most_frequent(lists) / places)
        if list_genre_masses(lists, masses).any():
            excess = _genre_shares(lists, masses) - history_share
            values["mgu"] = _to_pseudo_values(np.abs(excess).mean(axis=1))
            values["dgu"] = _to_pseudo_values(np.ptp(excess, axis=1))
        by_key |= {f"{name}@{k}": value for name, value in values.items()}
    return by_key


def _to_pseudo_values(values: Float[np.ndarray, " one_more"]) -> Float[np.ndarray, " users"]:
    """Return pseudo-values; the first of `values` is the metric of all users, then without each of them."""
    of_all, without = values[0], values[1:]
    pseudo: Float[np.ndarray, " users"] = of_all + (len(without) - 1) * (without.mean() - without)
    return pseudo


def _count_places(target: Int[np.ndarray, " users"], k: int) -> Float[np.ndarray, " one_more"]:
    """Return k · N', of all users and without each of them."""
    known = target >= 0
    return np.asarray(k * np.maximum(known.sum() - np.concatenate([[0.0], known]), 1))


def _count_distinct(top: Int[np.ndarray, "users k"]) -> Float[np.ndarray, " one_more"]:
    """Return how many items occur, of all users and without each of them."""
    users, items = np.nonzero(top >= 0)[0], top[top >= 0]
    pairs = np.unique(np.stack([items, users]), axis=1)
    _, place, owners = np.unique(pairs[0], return_inverse=True, return_counts=True)
    # Leaving a user out loses exactly the items that nobody else is recommended.
    owned_alone = np.bincount(pairs[1], weights=owners[place] == 1, minlength=len(top))
    return len(owners) - np.concatenate([[0.0], owned_alone])


def _count_most_frequent(top: Int[np.ndarray, "users k"]) -> Float[np.ndarray, " one_more"]:
    """Return the occurrences of the `TOP` most frequent items, of all users and without each of them."""
    items, counts = np.unique(top[top >= 0], return_counts=True)
    # One user changes the counts of at most k items, so the new top is among the first TOP + k.
    first = np.argsort(-counts, kind="stable")[: TOP + top.shape[1]]
    own = np.stack([(top == item).sum(axis=1) for item in items[first]], axis=1)
    remaining = counts[first] - np.concatenate([np.zeros((1, len(first)), dtype=int), own])
    return np.asarray(np.sort(remaining, axis=1)[:, ::-1][:, :TOP].sum(axis=1), dtype=float)


def _genre_shares(
    top: Int[np.ndarray, "users k"], masses: Float[np.ndarray, "items genres"]
) -> Float[np.ndarray, "one_more genres"]:
    """Return the genres' shares in all lists, and without each user's list."""
    own = list_genre_masses(top, masses)
    remaining = own.sum(axis=0) - np.concatenate([np.zeros((1, own.shape[1])), own])
    total = remaining.sum(axis=1, keepdims=True)
    shares: Float[np.ndarray, "one_more genres"] = remaining / np.where(total > 0, total, 1)
    return shares


def list_genre_masses(
    top: Int[np.ndarray, "users k"], masses: Float[np.ndarray, "items genres"]
) -> Float[np.ndarray, "users genres"]:
    """Return each list's mass per genre; a place without an item has none."""
    # An empty place, −1, looks up the last item, hence the mask.
    summed: Float[np.ndarray, "users genres"] = (masses[top] * (top >= 0)[:, :, None]).sum(axis=1)
    return summed
