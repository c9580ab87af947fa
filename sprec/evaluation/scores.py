"""Everything a table states about one model, and the values per user behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sprec.evaluation.exposure_metrics import coverage, entropy, gini, group_hit, head, mean_percentile
from sprec.evaluation.metrics import (
    Lists,
    dgu,
    div_ratio,
    genre_share,
    hit,
    mgu,
    ndcg,
    or_ratio,
    reciprocal_rank,
)


@dataclass(frozen=True)
class Scores:
    """Metrics of one model on one set of rows.

    `values` is keyed `hr@K ndcg@K div_ratio@K or_ratio@K mgu@K dgu@K` for each cutoff K, and where the
    items' popularity was given also `mrr@K coverage@K gini@K entropy@K popularity@K head_hr@K tail_hr@K`.
    `n` counts the rows (N), `n_in_catalog` those whose target is in the catalogue (N'); `per_user` holds
    one value per row for `hr@K`, `ndcg@K` and `mrr@K`, in the order of the rows.
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
    *,
    popularity: Int[np.ndarray, " items"] | None = None,
) -> Scores:
    """Return the scores of these lists at each cutoff (Gao et al. 2025; see `sprec.evaluation.metrics`).

    `ranked` is at least as wide as the largest cutoff, `histories` are the rows' item ids of any
    length, `masses` comes from `genre_masses`. Accuracy is averaged over all rows, `div_ratio` and
    `or_ratio` are divided by k times the rows whose target is in the catalogue. `popularity` counts each
    item's training interactions and adds MRR and exposure (see `exposure_metrics`); `head_hr`
    or `tail_hr` is left out where no target is of that group. `ValueError` for a cutoff out of range,
    no row, or rows that do not match.

    >>> ranked, target, masses = np.array([[0, 1], [0, 2]]), np.array([0, 2]), np.eye(3)
    >>> found = score(ranked, target, [[0, 1], [2]], masses, cutoffs=(1, 2))
    >>> {name: round(value, 4) for name, value in found.values.items() if name.startswith(("hr", "div"))}
    {'hr@1': 0.5, 'div_ratio@1': 0.5, 'hr@2': 1.0, 'div_ratio@2': 0.75}
    """
    _check(ranked, target, histories, cutoffs)
    if popularity is not None and len(popularity) != len(masses):
        raise ValueError(
            f"popularity of {len(popularity)} items, genres of {len(masses)}; give both per item"
        )
    n_in_catalog = int((target >= 0).sum())
    history_share = genre_share(histories, masses)
    values: dict[str, float] = {}
    per_user: dict[str, Float[np.ndarray, " users"]] = {}
    for k in cutoffs:
        top = ranked[:, :k]
        accuracy = {"hr": hit(top, target), "ndcg": ndcg(top, target)}
        exposure: dict[str, float | None] = {}
        if popularity is not None:
            accuracy["mrr"] = reciprocal_rank(top, target)
            exposure = _exposure(top, target, popularity)
        per_user |= {f"{name}@{k}": each for name, each in accuracy.items()}
        found = {name: float(each.mean()) for name, each in accuracy.items()}
        found |= {"div_ratio": div_ratio(top, n_in_catalog), "or_ratio": or_ratio(top, n_in_catalog)}
        share = genre_share(top, masses)
        found |= {"mgu": mgu(share, history_share), "dgu": dgu(share, history_share)}
        values |= {f"{name}@{k}": each for name, each in (found | exposure).items() if each is not None}
    return Scores(values=values, n=len(target), n_in_catalog=n_in_catalog, per_user=per_user)


def _exposure(
    top: Int[np.ndarray, "users k"],
    target: Int[np.ndarray, " users"],
    popularity: Int[np.ndarray, " items"],
) -> dict[str, float | None]:
    """Return what the lists show of the catalogue, and HR on its head and tail (None without a target)."""
    popular = head(popularity)
    return {
        "coverage": coverage(top, len(popularity)),
        "gini": gini(top, len(popularity)),
        "entropy": entropy(top),
        "popularity": mean_percentile(top, popularity),
        "head_hr": group_hit(top, target, popular),
        "tail_hr": group_hit(top, target, ~popular),
    }


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
