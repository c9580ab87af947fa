"""What a record keeps beside scores, so that a number can be checked, compared and looked at later."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int

from sprec.data.dataset import Dataset
from sprec.data.examples import Example
from sprec.evaluation.metrics import genre_masses, genre_share
from sprec.records.recorded_items import RecordedItem
from sprec.records.run_record import SampledUser

SAMPLED_USERS = 20
"""Users whose history, target and written titles every record holds."""
POINTS = 200
"""Points of a curve at most."""
DIGITS = 6


def sample_users(rows: Sequence[Example]) -> tuple[SampledUser, ...]:
    """Return `SAMPLED_USERS` rows spread evenly over all, or all where there are fewer."""
    return tuple(
        SampledUser(place, tuple(rows[place].history), rows[place].target)
        for place in _spread(len(rows), SAMPLED_USERS)
    )


def items(dataset: Dataset, *ids: Int[np.ndarray, "..."]) -> dict[str, RecordedItem]:
    """Return the items of these ids, by id as text; -1 is none. `genres` are the selected ones."""
    selected = frozenset(dataset.genres)
    found = np.unique(np.concatenate([np.ravel(each) for each in ids]))
    return {
        str(item): RecordedItem(
            dataset.catalog.titles[item],
            tuple(genre for genre in dataset.catalog.genres[item] if genre in selected),
            int(dataset.popularity[item]),
        )
        for item in found.tolist()
        if item >= 0
    }


def items_of_users(dataset: Dataset, rows: Sequence[SampledUser]) -> dict[str, RecordedItem]:
    """Return the items of these rows' histories and targets."""
    return items(dataset, *(np.array([*row.history, row.target]) for row in rows))


def history_genres(dataset: Dataset, rows: Sequence[Example]) -> dict[str, float]:
    """Return GH: each selected genre's share in the rows' histories (see `metrics.genre_share`)."""
    masses = genre_masses(dataset.catalog.genres, dataset.genres)
    share = genre_share([row.history for row in rows], masses)
    return dict(zip(dataset.genres, share.tolist(), strict=True))


def curve(path: Path) -> Mapping[str, tuple[float, ...]]:
    """Return each column of a stage's curve at `POINTS` steps spread evenly, first and last among them."""
    frame = pl.read_parquet(path)
    thin = frame[_spread(frame.height, POINTS)]
    return {
        name: tuple(float(f"{value:.{DIGITS}g}") for value in thin[name].to_list()) for name in thin.columns
    }


def _spread(count: int, most: int) -> list[int]:
    """Return at most `most` of the numbers below `count`, evenly spaced.

    >>> _spread(9, 3), _spread(2, 3)
    ([0, 4, 8], [0, 1])
    """
    places: list[int] = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
    return places
