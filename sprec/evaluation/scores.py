"""Everything a table states about one model, and the values per user behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sprec.evaluation.metrics import Lists, dgu, div_ratio, genre_share, hit, mgu, ndcg, or_ratio


@dataclass(frozen=True)
class Scores:
    """Metrics of one model on one set of rows.

    `values` is keyed `hr@K ndcg@K div_ratio@K or_ratio@K mgu@K dgu@K` for each cutoff K; `n` counts the
    rows (N), `n_in_catalog` those whose target is in the catalogue (N'); `per_user` holds one value per
    row for `hr@K` and `ndcg@K`, in the order of the rows.
    """

    values: dict[str, float]
    n: int
    n_in_catalog: int
    per_user: dict[str, Float[np.ndarray, " users"]]


def score(
    ranked: Int[np.ndarray, "users k"],
    target: Int[np.ndarray, " users"],
    histories: Lists,
    masses: Float[np.ndarray, "items genres"],
    cutoffs: Sequence[int] = (1, 5),
) -> Scores:
    """Return the scores of these lists at each cutoff (Gao et al. 2025; see `sprec.evaluation.metrics`).

    `ranked` is at least as wide as the largest cutoff, `histories` are the rows' item ids of any
    length, `masses` comes from `genre_masses`. Accuracy is averaged over all rows, `div_ratio` and
    `or_ratio` are divided by k times the rows whose target is in the catalogue. `ValueError` for
    a cutoff out of range, no row, or rows that do not match.

    >>> ranked, target, masses = np.array([[0, 1], [0, 2]]), np.array([0, 2]), np.eye(3)
    >>> found = score(ranked, target, [[0, 1], [2]], masses, cutoffs=(1, 2))
    >>> {name: round(value, 4) for name, value in found.values.items() if name.startswith(("hr", "div"))}
    {'hr@1': 0.5, 'div_ratio@1': 0.5, 'hr@2': 1.0, 'div_ratio@2': 0.75}
    """
    _check(ranked, target, histories, cutoffs)
    n_in_catalog = int((target >= 0).sum())
    history_share = genre_share(histories, masses)
    values: dict[str, float] = {}
    per_user: dict[str, Float[np.ndarray, " users"]] = {}
    for k in cutoffs:
        top = ranked[:, :k]
        accuracy = {f"hr@{k}": hit(top, target), f"ndcg@{k}": ndcg(top, target)}
        share = genre_share(top, masses)
        per_user |= accuracy
        values |= {name: float(each.mean()) for name, each in accuracy.items()}
        values |= {
            f"div_ratio@{k}": div_ratio(top, n_in_catalog),
            f"or_ratio@{k}": or_ratio(top, n_in_catalog),
            f"mgu@{k}": mgu(share, history_share),
            f"dgu@{k}": dgu(share, history_share),
        }
    return Scores(values=values, n=len(target), n_in_catalog=n_in_catalog, per_user=per_user)


def _check(
    ranked: Int[np.ndarray, "users k"],
    target: Int[np.ndarray, " users"],
    histories: Lists,
    cutoffs: Sequence[int],
) -> None:
    """Raise `ValueError` where the inputs cannot belong together."""
    sizes = {len(ranked), len(target), len(histories)}
    if len(sizes) > 1 or not len(ranked):
        counted = f"{len(ranked)} lists, {len(target)} targets, {len(histories)} histories"
        raise ValueError(f"{counted}; give one of each per row, and at least one row")
    if min(cutoffs) < 1 or max(cutoffs) > ranked.shape[1]:
        wide = ranked.shape[1]
        raise ValueError(f"cutoffs {list(cutoffs)} do not fit lists of {wide}; take 1 to {wide}")
