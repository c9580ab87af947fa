"""What is done to recommendation lists before they are measured."""

from itertools import chain

import numpy as np
from jaxtyping import Bool, Int

from sprec.evaluation.metrics import Lists


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
    gone = _belongs(ranked, histories) & (ranked >= 0)
    order = np.argsort(gone, axis=1, kind="stable")[:, :k]
    kept: Int[np.ndarray, "users k"] = np.take_along_axis(np.where(gone, -1, ranked), order, axis=1)
    return kept


def _belongs(ranked: Int[np.ndarray, "users wide"], histories: Lists) -> Bool[np.ndarray, "users wide"]:
    """Return which places show an item of the same user's history, in memory linear in both."""
    users = np.arange(len(ranked))
    items = np.fromiter(chain.from_iterable(histories), dtype=int)
    owners = np.repeat(users, [len(history) for history in histories])
    pitch = max(ranked.max(initial=0), items.max(initial=0)) + 2  # -1 of one user is no item of another
    return np.isin(ranked + pitch * users[:, None], items + pitch * owners)
