"""The popularity list: the row that every table must have."""

import numpy as np
from jaxtyping import Int


def most_popular(popularity: Int[np.ndarray, " items"], *, users: int, k: int) -> Int[np.ndarray, "users k"]:
    """Return the k items with most training interactions, the same for all; ties go to the lower id.

    >>> most_popular(np.array([1, 3, 3]), users=1, k=2).tolist()
    [[1, 2]]
    """
    top = np.argsort(-popularity, kind="stable")[:k]
    return np.tile(top, (users, 1))
