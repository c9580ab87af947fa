"""The registry of metrics: the name, label, direction and computation of each, in the order of tables.

Scores, tables, W&B, goals and pages read it, so that a metric added here appears everywhere. A score's key
is the metric's name and the list length, as in `ndcg@5`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from sprec.evaluation import exposure_metrics as exposure
from sprec.evaluation import metrics


@dataclass(frozen=True, eq=False)
class ScoredLists:
    """What a metric is computed from: lists cut to one length, and what they are compared with.

    `history_share` is each selected genre's share in the histories (GH). `popularity` counts each item's
    training interactions; it is empty where nobody counted them. Metrics of the set of lists see `counted`:
    the lists of rows whose target is in the catalogue, as SPRec's `evaluate.py` counts them. So numerator
    and denominator of a ratio speak of the same rows, and no ratio exceeds 1.
    """

    ranked: Int[np.ndarray, "users k"]
    target: Int[np.ndarray, " users"]
    masses: Float[np.ndarray, "items genres"]
    history_share: Float[np.ndarray, " genres"]
    popularity: Int[np.ndarray, " items"]

    @cached_property
    def counted(self) -> Int[np.ndarray, "known k"]:
        """The lists of the rows whose target is in the catalogue (N' of them)."""
        return self.ranked[self.target >= 0]

    @cached_property
    def recommended_share(self) -> Float[np.ndarray, " genres"]:
        """Each selected genre's share in the counted lists (GP)."""
        return metrics.genre_share(self.counted, self.masses)


Values = Float[np.ndarray, " users"]
Compute = Callable[[ScoredLists], Values | float | None]


@dataclass(frozen=True)
class Metric:
    """One metric. `compute` returns a value per user, whose mean is the score, or one for the set of lists.

    None instead of a value says that the metric is undefined for these lists; it is left out then.
    `compute` itself is None for what a run measures on generated titles and not on lists. `in_tables` says
    whether tables have a column for it, `has_cutoff` whether it is stated per list length,
    `needs_popularity` whether it is left out where nobody counted interactions.
    """

    name: str
    label: str
    description: str
    compute: Compute | None = None
    higher_is_better: bool = True
    in_tables: bool = False
    has_cutoff: bool = True
    needs_popularity: bool = False

    def key(self, cutoff: int | None = None) -> str:
        """Return the key of this metric's score at a list length, or without one.

        >>> METRICS["ndcg"].key(5)
        'ndcg@5'
        """
        return f"{self.name}@{cutoff}" if cutoff else self.name


def split_key(key: str) -> tuple[str, int | None]:
    """Return the metric's name and the list length of a score's key, None where it has no length.

    >>> split_key("ndcg@5"), split_key("off_catalog")
    (('ndcg', 5), ('off_catalog', None))
    """
    name, _, cutoff = key.partition("@")
    return name, int(cutoff) if cutoff.isdigit() else None


def label_of(key: str) -> str:
    """Return what people read above a score; an unknown key is its own label.

    >>> label_of("or_ratio@5"), label_of("off_catalog"), label_of("novelty@5")
    ('OR@5', 'off-catalogue', 'novelty@5')
    """
    name, cutoff = split_key(key)
    label = METRICS[name].label if name in METRICS else name
    return label if cutoff is None else f"{label}@{cutoff}"


def direction_of(key: str) -> int:
    """Return 1 where more of a score is better, −1 where less is, 0 for a score that nobody here knows.

    >>> direction_of("hr@1"), direction_of("or_ratio@1"), direction_of("novelty@1")
    (1, -1, 0)
    """
    name, _ = split_key(key)
    if name not in METRICS:
        return 0
    return 1 if METRICS[name].higher_is_better else -1


def _of_items(compute: Callable[[ScoredLists], float]) -> Compute:
    """Return a metric that is undefined where no item is recommended: 0 would look like the best value."""
    return lambda lists: compute(lists) if (lists.counted >= 0).any() else None


def _of_genres(compute: Callable[[ScoredLists], float]) -> Compute:
    """Return a metric that is undefined where no item of the lists or of the histories has a genre."""
    return lambda lists: (
        compute(lists) if lists.recommended_share.any() and lists.history_share.any() else None
    )


def _group_hit_rate(lists: ScoredLists, group: Bool[np.ndarray, " items"]) -> float | None:
    return exposure.group_hit_rate(lists.ranked, lists.target, group)


_ALL = (
    Metric(
        "hr", "HR", "users whose list holds the target, of all rows",
        lambda lists: metrics.hit(lists.ranked, lists.target), in_tables=True,
    ),
    Metric(
        "ndcg", "NDCG", "1 / log2(rank + 2) of the target, ranks from 0, mean over all rows",
        lambda lists: metrics.ndcg(lists.ranked, lists.target), in_tables=True,
    ),
    Metric(
        "mrr", "MRR", "1 / place of the target, places from 1, mean over all rows",
        lambda lists: metrics.reciprocal_rank(lists.ranked, lists.target),
    ),
    Metric(
        "div_ratio", "Div", "distinct recommended items / (K · N')",
        _of_items(lambda lists: metrics.div_ratio(lists.counted, len(lists.counted))), in_tables=True,
    ),
    Metric(
        "or_ratio", "OR", "occurrences of the three most recommended items / (K · N')",
        _of_items(lambda lists: metrics.or_ratio(lists.counted, len(lists.counted))),
        higher_is_better=False, in_tables=True,
    ),
    Metric(
        "mgu", "MGU", "mean over genres of |share in lists − share in histories|",
        _of_genres(lambda lists: metrics.mgu(lists.recommended_share, lists.history_share)),
        higher_is_better=False, in_tables=True,
    ),
    Metric(
        "dgu", "DGU", "largest minus smallest difference of a genre's share in lists and in histories",
        _of_genres(lambda lists: metrics.dgu(lists.recommended_share, lists.history_share)),
        higher_is_better=False, in_tables=True,
    ),
    Metric(
        "coverage", "coverage", "share of the catalogue that is recommended to anybody",
        _of_items(lambda lists: exposure.coverage(lists.counted, len(lists.popularity))),
        needs_popularity=True,
    ),
    Metric(
        "gini", "Gini", "Gini index of how often each item is recommended",
        _of_items(lambda lists: exposure.gini(lists.counted, len(lists.popularity))),
        higher_is_better=False, needs_popularity=True,
    ),
    Metric(
        "entropy", "entropy", "Shannon entropy of the recommended items, in nats",
        _of_items(lambda lists: exposure.entropy(lists.counted)), needs_popularity=True,
    ),
    Metric(
        "popularity", "popularity", "mean popularity percentile of the recommended items",
        _of_items(lambda lists: exposure.mean_popularity_percentile(lists.counted, lists.popularity)),
        higher_is_better=False, needs_popularity=True,
    ),
    Metric(
        "head_hr", "head HR", "HR over users whose target is among the most popular items",
        lambda lists: _group_hit_rate(lists, exposure.head_items(lists.popularity)), needs_popularity=True,
    ),
    Metric(
        "tail_hr", "tail HR", "HR over users whose target is not among the most popular items",
        lambda lists: _group_hit_rate(lists, ~exposure.head_items(lists.popularity)), needs_popularity=True,
    ),
    Metric(
        "off_catalog", "off-catalogue", "share of generated titles that no catalogue item has",
        higher_is_better=False, in_tables=True, has_cutoff=False,
    ),
)  # fmt: skip
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""All metrics by name, in the order of tables."""
