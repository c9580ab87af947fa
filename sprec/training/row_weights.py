"""Row weights of SFT: how much each training row counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from sprec.data.examples import Example
from sprec.evaluation.metrics import genre_masses, genre_share


@dataclass(frozen=True)
class ItemGenres:
    """Each item's genres, and which genres the dataset selects for its metrics."""

    of_items: Sequence[Sequence[str]]
    selected: tuple[str, ...]

    def masses(self, *, all_genres: bool) -> Float[np.ndarray, "items genres"]:
        """Return each item's unit of mass, split over its selected genres, or over all that it has."""
        # No set: its order differs between processes, and with it the last bits of sums over genres.
        every = tuple(dict.fromkeys(genre for genres in self.of_items for genre in genres))
        return genre_masses(self.of_items, every if all_genres else self.selected)


class RowWeighting(Protocol):
    """Weighs the rows of an SFT stage: a frozen dataclass, whose repr names all that it depends on."""

    @property
    def per_batch(self) -> bool:
        """Whether all rows of an optimiser step have their mean weight."""
        return False

    @property
    def all_genres(self) -> bool:
        """Whether all genres of the items count, not only the dataset's selected ones."""
        return False

    def __call__(
        self, examples: Sequence[Example], train: Sequence[Example], genres: ItemGenres
    ) -> Float[np.ndarray, " rows"]:
        """Return one weight per row of `examples`, which are a stage's sample of the rows `train`."""
        ...


@dataclass(frozen=True)
class GenreBalance:
    """RW (IFairLRS, Jiang et al. 2024): see `genre_balance`.

    As released, `accumulated` compares histories with histories and targets together, `per_batch` lets
    weights scale a step's mean loss instead of its rows, `all_genres` splits an item over all its genres, and
    `whole_training_data` counts shares in all training rows.
    """

    accumulated: bool = False
    per_batch: bool = False
    all_genres: bool = False
    whole_training_data: bool = False

    def __call__(
        self, examples: Sequence[Example], train: Sequence[Example], genres: ItemGenres
    ) -> Float[np.ndarray, " rows"]:
        """Return one weight per row."""
        counted = train if self.whole_training_data else examples
        masses = genres.masses(all_genres=self.all_genres)
        return genre_balance(examples, masses, accumulated=self.accumulated, counted=counted)


def genre_balance(
    examples: Sequence[Example],
    masses: Float[np.ndarray, "items genres"],
    *,
    accumulated: bool = False,
    counted: Sequence[Example] | None = None,
) -> Float[np.ndarray, " rows"]:
    """Return the mean, over the target's genres, of a genre's share in histories over its share in targets.

    Genres that targets show less often than histories weigh more (IFairLRS, Jiang et al. 2024). A target
    without a selected genre weighs 1. Worked by hand: both histories are half genre 0, half genre 1, three of
    four targets are genre 0, so its rows weigh (1/2) / (3/4) and the other one (1/2) / (1/4).

    >>> rows = [Example((0, 1), 0), Example((0, 1), 0), Example((0, 1), 0), Example((0, 1), 1)]
    >>> genre_balance(rows, np.eye(2)).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]

    `accumulated` takes the share in histories and targets together as the denominator, as the released code
    does, whose targets are counted on top of the histories: of those 12 items 7 are genre 0, 5 genre 1.

    >>> genre_balance(rows, np.eye(2), accumulated=True).round(3).tolist()
    [0.857, 0.857, 0.857, 1.2]

    Shares are those of the `counted` rows, or of the examples themselves.
    """
    rows = examples if counted is None else counted
    histories = [row.history for row in rows]
    items = [[*row.history, row.target] if accumulated else [row.target] for row in rows]
    # A genre that is no target's is multiplied by 0 below, and 0 · ∞ would be NaN.
    ratio = genre_share(histories, masses) / np.maximum(genre_share(items, masses), 1e-12)
    targets = np.array([example.target for example in examples])
    has_genre = masses[targets] > 0
    genres = has_genre.sum(axis=1)
    mean_ratio = (has_genre * ratio).sum(axis=1) / np.maximum(genres, 1)
    weights: Float[np.ndarray, " rows"] = np.where(genres, mean_ratio, 1.0)
    return weights
