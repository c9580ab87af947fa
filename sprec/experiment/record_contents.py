"""What a record holds beside scores, so that a number can be checked, compared and looked at later."""

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
CURVE_POINTS = 200
CURVE_DIGITS = 6
PREDICTION_ROWS = 100  # of the tracker's table; the stage's folder holds all


def sample_users(rows: Sequence[Example]) -> tuple[SampledUser, ...]:
    """Return `SAMPLED_USERS` rows spaced evenly over all, or all if there are fewer."""
    return tuple(
        SampledUser(place, tuple(rows[place].history), rows[place].target)
        for place in _spaced_evenly(len(rows), SAMPLED_USERS)
    )


def recorded_items(dataset: Dataset, *ids: Int[np.ndarray, "..."]) -> dict[str, RecordedItem]:
    """Return the items of these ids, by id as text, with those of their genres that MGU and DGU count.

    An id of -1 is no item.
    """
    counted_genres = frozenset(dataset.genres)
    unique_ids = np.unique(np.concatenate([np.ravel(array) for array in ids]))
    return {
        str(item): RecordedItem(
            dataset.catalog.titles[item],
            tuple(genre for genre in dataset.catalog.genres[item] if genre in counted_genres),
            int(dataset.popularity[item]),
        )
        for item in unique_ids.tolist()
        if item >= 0
    }


def items_of_users(dataset: Dataset, users: Sequence[SampledUser]) -> dict[str, RecordedItem]:
    """Return the items of these users' histories and targets."""
    return recorded_items(dataset, *(np.array([*user.history, user.target]) for user in users))


def history_genres(dataset: Dataset, rows: Sequence[Example]) -> dict[str, float]:
    """Return GH: each selected genre's share in the rows' histories (see `metrics.genre_share`)."""
    masses = genre_masses(dataset.catalog.genres, dataset.genres)
    share = genre_share([row.history for row in rows], masses)
    return dict(zip(dataset.genres, share.tolist(), strict=True))


def thin_curve(path: Path) -> Mapping[str, tuple[float, ...]]:
    """Return each column of a stage's curve at `CURVE_POINTS` evenly spaced steps with first and last.

    Steps count that have a value: few have a validation loss, and one is the step whose weights were kept.
    """
    columns = [column.drop_nulls() for column in pl.read_parquet(path)]
    places = [_spaced_evenly(len(column), CURVE_POINTS) for column in columns]
    return {
        column.name: tuple(float(f"{value:.{CURVE_DIGITS}g}") for value in column[rows].to_list())
        for column, rows in zip(columns, places, strict=True)
    }


def prediction_table(
    dataset: Dataset, rows: Sequence[Example], predictions: pl.DataFrame
) -> tuple[list[str], list[list[str]]]:
    """Return columns and the first `PREDICTION_ROWS` rows of a table of predictions, with titles as text."""
    titles = dataset.catalog.titles
    shown = predictions.head(PREDICTION_ROWS)
    lines = [
        [
            ", ".join(titles[i] for i in row.history),
            titles[row.target],
            written or "",
            ", ".join(titles[i] for i in ranked if i >= 0),
        ]
        for row, written, ranked in zip(rows, shown["written"], shown["ranked"].to_list(), strict=False)
    ]
    return ["history", "target", "written", "recommended"], lines


def _spaced_evenly(count: int, most: int) -> list[int]:
    """Return at most `most` of the numbers below `count`, evenly spaced.

    >>> _spaced_evenly(9, 3), _spaced_evenly(2, 3)
    ([0, 4, 8], [0, 1])
    """
    places: list[int] = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
    return places
