"""Metrics of exposure: how many items are recommended, how evenly, and how popular they are.

Lists and targets are those of `sprec.evaluation.metrics`: -1 is an empty place, or a target that the
catalogue does not have. `popularity[item]` counts the interactions with an item in the training rows.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from sprec.evaluation.metrics import hit, occurrences


def coverage(ranked: Int[np.ndarray, "users k"], items: int) -> float:
    """Return the share of the catalogue's `items` that is recommended to anybody, in [0, 1].

    Catalogue coverage (Ge et al. 2010). It grows with the number of users.

    >>> coverage(np.array([[1, 2], [1, -1]]), 8)
    0.25
    """
    return len(occurrences(ranked)) / items


def gini(ranked: Int[np.ndarray, "users k"], items: int) -> float:
    """Return the Gini index of how often each of `items` is recommended: 0 all alike, 1 − 1/items one only.

    >>> gini(np.array([[1, 2], [1, 1]]), 4)
    0.625
    """
    # Imported here: it brings polars, which a report's tables need not wait for.
    from sprec.data.facts import gini_index

    counts = occurrences(ranked)
    return gini_index(np.pad(counts, (0, items - len(counts))))


def entropy(ranked: Int[np.ndarray, "users k"]) -> float:
    """Return the Shannon entropy of the recommended items in nats: 0 one item only, log(items) all alike.

    >>> round(entropy(np.array([[1, 2], [2, 1]])), 4)
    0.6931
    """
    counts = occurrences(ranked)
    # Only items that occur are counted, so no logarithm is of 0.
    share = counts / max(counts.sum(), 1)
    return max(0.0, float(-(share * np.log(share)).sum()))  # of one item it would be -0.0


def popularity_percentiles(popularity: Int[np.ndarray, " items"]) -> Float[np.ndarray, " items"]:
    """Return the share of the catalogue that is less popular than each item; of equals, half counts.

    In (0, 1), and 1/2 on average whatever the distribution. An item counts as its own equal: of four
    items, the two of count 5 stand above one item and are two equals, so (1 + 2/2) / 4.

    >>> popularity_percentiles(np.array([5, 9, 5, 0])).tolist()
    [0.5, 0.875, 0.5, 0.125]
    """
    ordered = np.sort(popularity)
    below, up_to = (np.searchsorted(ordered, popularity, side) for side in ("left", "right"))
    return (below + up_to) / (2 * len(popularity))


def mean_popularity_percentile(
    ranked: Int[np.ndarray, "users k"], popularity: Int[np.ndarray, " items"]
) -> float:
    """Return the mean popularity percentile of all recommended items; 1/2 is what random lists have.

    Average recommendation popularity (Yin et al. 2012) in percentiles, so that datasets compare.
    Without any recommendation it is 0.

    >>> mean_popularity_percentile(np.array([[1, 0], [1, -1]]), np.array([5, 9, 5, 0]))
    0.75
    """
    recommended = popularity_percentiles(popularity)[ranked[ranked >= 0]]
    return float(recommended.sum() / max(len(recommended), 1))


def head_items(popularity: Int[np.ndarray, " items"], share: float = 0.2) -> Bool[np.ndarray, " items"]:
    """Return which items are the head: the fewest that have at least `share` of all interactions.

    The short head of Abdollahpouri et al. 2021 (User-centered evaluation of popularity bias), who take
    20 %. All other items are the tail here, those without any interaction too. Equally popular
    items enter by the lower id. `ValueError` without interactions or for a share outside (0, 1).
    Of 10 interactions, item 1 has 4 and item 0 has 3: at 50 % both are needed.

    >>> head_items(np.array([3, 4, 2, 1]), 0.5).tolist()
    [True, True, False, False]
    """
    if not 0 < share < 1:
        raise ValueError(f"share = {share} leaves no head or no tail; take one between 0 and 1")
    if not popularity.sum():
        raise ValueError("no item has an interaction; count popularity on the training rows")
    order = np.argsort(-popularity, kind="stable")
    before = popularity[order].cumsum() - popularity[order]
    is_head = np.zeros(len(popularity), dtype=bool)
    is_head[order[before < share * popularity.sum()]] = True
    return is_head


def group_hit_rate(
    ranked: Int[np.ndarray, "users k"],
    target: Int[np.ndarray, " users"],
    group: Bool[np.ndarray, " items"],
) -> float | None:
    """Return HR@k over the users whose target is in the group of items, in [0, 1]; None without any.

    A target that the catalogue does not have is in no group.

    >>> ranked, target = np.array([[0, 1], [2, 1], [2, 0]]), np.array([0, 0, 1])
    >>> group_hit_rate(ranked, target, np.array([True, False, False]))
    0.5
    """
    # A target of −1 would look up the last item's group.
    in_group = (target >= 0) & group[target]
    return float(hit(ranked[in_group], target[in_group]).mean()) if in_group.any() else None
