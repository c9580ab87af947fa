"""Metrics of recommendation lists: accuracy per user, diversity and genre fairness per set of lists.

`ranked[user, place]` holds item ids, best first; -1 is a place without an item (a title that no
catalogue item has) and never counts as one. `target[user]` is the id of the true next item; -1
says that the catalogue does not have it, so no list can hit it. A list is an order, so it has no
ties to break; an item that stands in a list twice counts at its first place.

N is the number of rows, N' of those whose target is in the catalogue. Accuracy is divided by N (take
the mean over users), `div_ratio` and `or_ratio` by what the caller passes as `n`: N' in SPRec's
released `evaluate.py`. Both ratios fall as N grows, so N belongs beside every one of them.
"""

from collections.abc import Collection, Sequence
from itertools import chain

import numpy as np
from jaxtyping import Bool, Float, Int

Lists = Int[np.ndarray, "users k"] | Sequence[Sequence[int]]


def hit(ranked: Int[np.ndarray, "users k"], target: Int[np.ndarray, " users"]) -> Float[np.ndarray, " users"]:
    """Return 1 for each user whose list holds the target, else 0; the mean is HR@k (Gao et al. 2025).

    The second user's target is not in the catalogue, so the empty place does not match it:

    >>> hit(np.array([[4, 7], [2, -1], [3, 5]]), np.array([7, -1, 9])).tolist()
    [1.0, 0.0, 0.0]
    """
    return _matches(ranked, target).any(axis=1).astype(float)


def ndcg(
    ranked: Int[np.ndarray, "users k"], target: Int[np.ndarray, " users"]
) -> Float[np.ndarray, " users"]:
    """Return 1 / log2(rank + 2) for each user whose target has that rank (from 0), else 0; in [0, 1].

    With one relevant item the ideal gain is 1, so this is NDCG (Järvelin and Kekäläinen 2002).
    Worked by hand: first place 1 / log2(2) = 1, third place 1 / log2(4) = 1/2.

    >>> ndcg(np.array([[7, 4, 2], [4, 2, 7], [1, 2, 3]]), np.array([7, 7, 7])).tolist()
    [1.0, 0.5, 0.0]
    """
    hits = _matches(ranked, target)
    gain = 1 / np.log2(np.arange(ranked.shape[1]) + 2)
    return np.where(hits.any(axis=1), gain[hits.argmax(axis=1)], 0.0)


def reciprocal_rank(
    ranked: Int[np.ndarray, "users k"], target: Int[np.ndarray, " users"]
) -> Float[np.ndarray, " users"]:
    """Return 1 / place for each user whose target has that place (from 1), else 0; the mean is MRR@k.

    In [0, 1]; see Voorhees 1999 (TREC-8 question answering), where it has this name.

    >>> reciprocal_rank(np.array([[7, 4], [4, 7], [1, 2]]), np.array([7, 7, 7])).tolist()
    [1.0, 0.5, 0.0]
    """
    hits = _matches(ranked, target)
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


def _matches(
    ranked: Int[np.ndarray, "users k"], target: Int[np.ndarray, " users"]
) -> Bool[np.ndarray, "users k"]:
    """Return where each list holds its target; a target of -1 is nowhere."""
    if len(ranked) != len(target):
        raise ValueError(f"{len(ranked)} lists but {len(target)} targets; give one per list")
    matches: Bool[np.ndarray, "users k"] = ranked == target[:, None]
    return matches & (target[:, None] >= 0)  # an unknown target must not match an empty place


def div_ratio(ranked: Int[np.ndarray, "users k"], n: int) -> float:
    """Return distinct recommended items / (k · n), in [0, 1] where n is the number of lists (DivRatio).

    Two lists of two show three distinct items: 3 / (2 · 2). `ValueError` where n < 1.

    >>> div_ratio(np.array([[1, 2], [1, 3]]), 2)
    0.75
    """
    return len(occurrences(ranked)) / _count_places(ranked, n)


def or_ratio(ranked: Int[np.ndarray, "users k"], n: int, top: int = 3) -> float:
    """Return the share of the `top` most recommended items in all k · n places, in [0, 1] (ORRatio).

    Which of equally frequent items is "in the top" does not matter: only their counts are added.
    Items 1 (three times), 2 (twice) and any one of the others: 6 of 8 places. `ValueError` where n < 1.

    >>> or_ratio(np.array([[1, 2], [1, 3], [1, 4], [2, 5]]), 4)
    0.75
    """
    return float(np.sort(occurrences(ranked))[::-1][:top].sum()) / _count_places(ranked, n)


def _count_places(ranked: Int[np.ndarray, "users k"], n: int) -> int:
    """Return k · n, the denominator of both ratios."""
    if n < 1:
        raise ValueError(f"cannot divide by n = {n} rows; is no target in the catalogue?")
    return int(ranked.shape[1]) * n


def occurrences(ranked: Int[np.ndarray, "users k"]) -> Int[np.ndarray, " distinct"]:
    """Return how often each recommended item occurs, empty places left out."""
    return np.unique(ranked[ranked >= 0], return_counts=True)[1]


def genre_masses(
    genres: Sequence[Collection[str]], selected: Sequence[str]
) -> Float[np.ndarray, "items genres"]:
    """Return each item's unit of mass, split evenly over its genres that are selected; zeros where none is.

    >>> genre_masses([["Crime", "Drama"], ["War"], ["Drama", "War"]], ["Crime", "Drama"]).tolist()
    [[0.5, 0.5], [0.0, 0.0], [0.0, 1.0]]
    """
    column, other = {genre: place for place, genre in enumerate(selected)}, len(selected)
    items = np.arange(len(genres)).repeat([len(labels) for labels in genres])
    columns = [column.get(label, other) for label in chain.from_iterable(genres)]
    membership = np.zeros((len(genres), other + 1))
    membership[items, columns] = 1
    selected_only = membership[:, :other]  # the last column collects labels that are not selected
    labels_per_item = selected_only.sum(axis=1, keepdims=True)
    masses: Float[np.ndarray, "items genres"] = selected_only / np.maximum(labels_per_item, 1)
    return masses


def genre_share(item_lists: Lists, masses: Float[np.ndarray, "items genres"]) -> Float[np.ndarray, " genres"]:
    """Return the share of each selected genre in all lists together; sums to 1 (GH and GP of SPRec).

    Lists may differ in length. Items without a selected genre, and empty places, carry no mass; where
    no item carries any, every share is 0. Two items of genre 0 and one of both genres: 2.5 and 0.5 of 3.

    >>> masses = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]])
    >>> genre_share([[0, 1], [0, 2, -1]], masses).round(4).tolist()
    [0.8333, 0.1667]
    """
    rows = chain.from_iterable(item_lists)
    items = item_lists if isinstance(item_lists, np.ndarray) else np.fromiter(rows, dtype=int)
    mass = masses[items[items >= 0]].sum(axis=0)
    share: Float[np.ndarray, " genres"] = mass / (mass.sum() or 1.0)
    return share


def mgu(
    recommended_share: Float[np.ndarray, " genres"], history_share: Float[np.ndarray, " genres"]
) -> float:
    """Return the mean over genres of |GP − GH|, in [0, 2 / genres]; 0 is fair (Jiang et al. 2024, MGU).

    >>> round(mgu(np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])), 4)
    0.0667
    """
    return float(np.abs(recommended_share - history_share).mean())


def dgu(
    recommended_share: Float[np.ndarray, " genres"], history_share: Float[np.ndarray, " genres"]
) -> float:
    """Return max(GP − GH) − min(GP − GH) over genres, in [0, 2]; 0 is fair (Jiang et al. 2024, DGU).

    >>> round(dgu(np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])), 4)
    0.2
    """
    return float(np.ptp(recommended_share - history_share))


def without_history(
    ranked: Int[np.ndarray, "users wide"], histories: Lists, *, k: int
) -> Int[np.ndarray, "users k"]:
    """Return each user's first k ranked items that are not in the user's history, in their order.

    Full rankings of sequential recommenders leave the history out (Kang and McAuley 2018, section 4.2);
    SPRec's do not. A list of k plus the longest history's length always fills k places; where a shorter
    one runs out, the last places are -1. An empty place (-1) is no item and stays.
    `ValueError` where k is below 1 or above the width, or where rows do not match.

    >>> without_history(np.array([[3, 1, 2, 0], [2, -1, 0, 1]]), [[1, 5], [0, 1]], k=3).tolist()
    [[3, 2, 0], [2, -1, -1]]
    """
    if not 1 <= k <= ranked.shape[1]:
        raise ValueError(f"k = {k} does not fit lists of {ranked.shape[1]}; rank more items or lower k")
    if len(ranked) != len(histories):
        raise ValueError(f"{len(ranked)} lists but {len(histories)} histories; give one per list")
    listed = [np.isin(items, history) for items, history in zip(ranked, histories, strict=True)]
    in_history = np.array(listed, dtype=bool).reshape(ranked.shape) & (ranked >= 0)
    order = np.argsort(in_history, axis=1, kind="stable")[:, :k]
    remaining: Int[np.ndarray, "users k"] = np.take_along_axis(
        np.where(in_history, -1, ranked), order, axis=1
    )
    return remaining
