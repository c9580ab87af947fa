"""Recommenders without an LLM, as arms: from a dataset and rows to ranked items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int
from numpy.random import Generator

from sprec.data.dataset import Dataset
from sprec.data.examples import Examples
from sprec.evaluation.metrics import without_history

if TYPE_CHECKING:
    from sprec.baselines.sequential import FitSettings, NextItemModel


@dataclass(frozen=True)
class MostPopular:
    """The k items with the most training interactions: the same for every user, or without their own."""

    exclude_history: bool = False

    def __call__(
        self, dataset: Dataset, rows: Examples, *, k: int, rng: Generator
    ) -> Int[np.ndarray, "users k"]:
        """Return the popularity list once per row."""
        return rank_popular(dataset, rows, k, exclude_history=self.exclude_history)


def rank_popular(
    dataset: Dataset, rows: Examples, k: int, *, exclude_history: bool
) -> Int[np.ndarray, "users k"]:
    """Return the k most popular items for each row; `exclude_history` leaves out the user's own."""
    histories = rows.frame["history"].to_list()
    wide = k + max(map(len, histories), default=0) * exclude_history
    ranked = np.tile(dataset.most_popular(wide), (len(rows), 1))
    return without_history(ranked, histories, k=min(k, ranked.shape[1])) if exclude_history else ranked


@dataclass(frozen=True)
class SequentialRecommender:
    """A model of item ids, trained on all training rows and stopped on all validation rows.

    `model` makes the untrained model for a number of items, such as `sprec.baselines.sasrec.sasrec`.
    """

    model: Callable[..., NextItemModel]
    settings: FitSettings
    exclude_history: bool = False

    def __call__(
        self, dataset: Dataset, rows: Examples, *, k: int, rng: Generator
    ) -> Int[np.ndarray, "users k"]:
        """Return the k items that the trained model scores highest."""
        from sprec.baselines.sequential import fit, rank_items  # its classes need torch

        model = self.model(len(dataset.catalog), rng=rng)
        fit(model, dataset.split.train, dataset.stopping_rows, self.settings, rng=rng)
        return rank_items(model, rows.frame["history"].to_list(), k, exclude_history=self.exclude_history)
