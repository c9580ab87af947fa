"""Figures that describe a dataset: how many items, how unequal, how new its test targets are. Pure."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sprec.data.dataset import Dataset, count_popularity
from sprec.data.examples import Examples
from sprec.data.splits import SPLIT_NAMES

LIST_LENGTH = 5


def dataset_facts(dataset: Dataset) -> dict[str, float | int]:
    """Return the figures by which papers describe and compare datasets, by name.

    `users` is 0 where rows have none, as released. `items_without_selected_genre` have no part in MGU and
    DGU. `share of` a genre is that of the interactions whose item has it.

    `interactions` are the items of all rows' histories and targets; where rows have users, whose
    windows overlap, each interaction of a user counts once (see `count_popularity`). Of the items that
    occur there are `distinct_items`; `top_1_percent_share` and `top_10_percent_share` are the
    shares of all interactions that the most frequent of them have, and `gini` in [0, 1) says how
    unequal they are. `test_targets_in_train` is the share of test rows whose target occurs in the
    training rows. `most_popular_hr@5` is the share of test rows whose target is among the five items
    of `most_popular`.
    """
    frames = {name: getattr(dataset.split, name).frame for name in SPLIT_NAMES}
    parts = list(frames.values())
    counts = _counts(pl.concat(parts), items=len(dataset.catalog))
    targets = dataset.split.test.frame["target"].to_numpy()
    return {
        **_sizes(dataset, pl.concat(parts)),
        **{f"{name}_rows": frame.height for name, frame in frames.items()},
        "distinct_items": int((counts > 0).sum()),
        "interactions": int(counts.sum()),
        "top_1_percent_share": top_share(counts, percent=1),
        "top_10_percent_share": top_share(counts, percent=10),
        "gini": gini_index(counts[counts > 0]),
        "test_targets_in_train": float(np.isin(targets, _items(parts[0])).mean()),
        f"most_popular_hr@{LIST_LENGTH}": float(np.isin(targets, dataset.most_popular(LIST_LENGTH)).mean()),
        **_genre_shares(dataset, counts),
    }


def _sizes(dataset: Dataset, rows: pl.DataFrame) -> dict[str, float | int]:
    """Return counts of users and items, and the lengths of histories and titles."""
    catalog, histories = dataset.catalog, rows["history"].list.len()
    words = np.array([len(title.split()) for title in catalog.titles])
    return {
        "users": rows["user"].drop_nulls().n_unique(),
        "items": len(catalog),
        "items_without_genre": sum(not genres for genres in catalog.genres),
        "items_without_selected_genre": sum(
            not set(genres) & set(dataset.genres) for genres in catalog.genres
        ),
        "history_length_min": int(histories.to_numpy().min()),
        "history_length_mean": float(histories.to_numpy().mean()),
        "history_length_max": int(histories.to_numpy().max()),
        "title_words_mean": float(words.mean()),
        "title_words_max": int(words.max()),
    }


def _genre_shares(dataset: Dataset, counts: NDArray[np.int64]) -> dict[str, float]:
    """Return the share of all interactions whose item has each selected genre; items may have several."""
    has = {genre: [genre in genres for genres in dataset.catalog.genres] for genre in dataset.genres}
    return {
        f"share of {genre}": float(counts[np.array(mask)].sum() / counts.sum()) for genre, mask in has.items()
    }


def top_share(counts: NDArray[np.int64], *, percent: int) -> float:
    """Return the share of all counts that the largest `percent` of the non-zero ones has, in (0, 1].

    The number of the largest is rounded up.

    >>> top_share(np.array([6, 0, 1, 1, 2]), percent=25), top_share(np.array([6, 0, 1, 1, 2]), percent=26)
    (0.6, 0.8)
    """
    falling = np.sort(counts[counts > 0])[::-1]
    # Rounded up in whole numbers: in floats 0.07 · 100 is more than 7.
    largest = -(-percent * len(falling) // 100)
    return float(falling[:largest].sum() / falling.sum())


def gini_index(counts: NDArray[np.int64]) -> float:
    """Return the Gini index of counts, zeros too: 0 where all are equal, towards 1 where one has all.

    Counts 0, 0, 1, 3 by hand: Σ (2i − 5) · count / (4 · 4) = (1 · 1 + 3 · 3) / 16. Without any count it is 0.

    >>> gini_index(np.array([2, 2])), gini_index(np.array([3, 0, 1, 0]))
    (0.0, 0.625)
    """
    rising = np.sort(counts)
    ranks = 2 * np.arange(1, len(rising) + 1) - len(rising) - 1
    return float(ranks @ rising / (len(rising) * max(rising.sum(), 1)))


def _counts(rows: pl.DataFrame, *, items: int) -> NDArray[np.int64]:
    if rows["user"].null_count() == rows.height:
        return np.bincount(_items(rows), minlength=items)
    # Of each user's first row the history counts too, so that has to be the earliest one.
    ordered = rows.sort("user", "time", maintain_order=True)
    return count_popularity(Examples(ordered), items=items)


def _items(rows: pl.DataFrame) -> NDArray[np.int32]:
    histories = rows["history"].explode().drop_nulls()
    return np.concatenate([histories.to_numpy(), rows["target"].to_numpy()])
