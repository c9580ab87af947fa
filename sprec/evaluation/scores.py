"""Everything that a table states about one model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sprec.evaluation.metrics import Lists, genre_share
from sprec.evaluation.registry import METRICS, ScoredLists, label_of


@dataclass(frozen=True)
class Scores:
    """Metrics of one model on one set of rows, keyed as in `ndcg@5` (see `sprec.evaluation.registry`).

    `n` counts the rows (N), `n_in_catalog` those whose target is in the catalogue (N'). `undefined` are the
    keys that have no value for these lists, see `explain_undefined`.
    """

    values: dict[str, float]
    n: int
    n_in_catalog: int
    undefined: tuple[str, ...] = ()

    def explain_undefined(self) -> str:
        """Return one line on the metrics that are left out, "" where none is."""
        if not self.undefined:
            return ""
        names = ", ".join(map(label_of, self.undefined))
        return f"undefined and left out: {names} (no recommended item, genre or target that they need)"


def score_lists(
    ranked: Int[np.ndarray, "users k"],
    target: Int[np.ndarray, " users"],
    histories: Lists,
    masses: Float[np.ndarray, "items genres"],
    cutoffs: Sequence[int] = (1, 5),
    *,
    popularity: Int[np.ndarray, " items"] | None = None,
) -> Scores:
    """Return the registry's metrics of these lists at each cutoff (Gao et al. 2025).

    Accuracy is averaged over all rows; metrics of the set of lists see the rows whose target is in the
    catalogue. A metric that is undefined for these lists is left out of `values` and named in `undefined`.
    Raises `ValueError` for a cutoff out of range, for no row, or for rows that do not match.

    Args:
        ranked: item ids, best first, at least as wide as the largest cutoff.
        target: item id of each row's target, -1 where the catalogue does not have it.
        histories: item ids of each row's history, of any length.
        masses: each item's mass per genre, from `genre_masses`.
        cutoffs: list lengths.
        popularity: training interactions of each item; None leaves out metrics of exposure.

    >>> ranked, target, masses = np.array([[0, 1], [0, 2]]), np.array([0, 2]), np.eye(3)
    >>> scores = score_lists(ranked, target, [[0, 1], [2]], masses, cutoffs=(1, 2))
    >>> {name: round(value, 4) for name, value in scores.values.items() if name.startswith(("hr", "div"))}
    {'hr@1': 0.5, 'div_ratio@1': 0.5, 'hr@2': 1.0, 'div_ratio@2': 0.75}
    """
    _check_rows(ranked, target, histories, cutoffs)
    if popularity is not None and len(popularity) != len(masses):
        raise ValueError(
            f"popularity of {len(popularity)} items, genres of {len(masses)}; give both per item"
        )
    history_share = genre_share(histories, masses)
    counts = np.zeros(0, dtype=int) if popularity is None else popularity
    values: dict[str, float] = {}
    undefined = []
    for k in cutoffs:
        lists = ScoredLists(ranked[:, :k], target, masses, history_share, counts)
        for metric in METRICS.values():
            if metric.compute is None or (metric.needs_popularity and popularity is None):
                continue
            value = metric.compute(lists)
            if value is None:
                undefined.append(metric.key(k))
            else:
                values[metric.key(k)] = float(np.mean(value))
    n_in_catalog = int((target >= 0).sum())
    return Scores(values, len(target), n_in_catalog, tuple(undefined))


def _check_rows(
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
        width = ranked.shape[1]
        raise ValueError(f"cutoffs {list(cutoffs)} do not fit lists of {width}; take 1 to {width}")
