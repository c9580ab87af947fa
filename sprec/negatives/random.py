"""Negatives drawn from the whole catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.random import Generator

from sprec.data.examples import Example
from sprec.negatives.base import NegativeSampler, SamplerContext


@dataclass(frozen=True)
class Random(NegativeSampler):
    """Uniform over the catalogue, never the target or an item of the history."""

    count: int = 1

    def __call__(
        self, examples: Sequence[Example], context: SamplerContext, rng: Generator
    ) -> list[list[str]]:
        """Return `count` distinct titles per example, none where the catalogue has too few left."""
        drawn = []
        for example in examples:
            free = context.unseen_items(example)
            picks = rng.choice(free, self.count, replace=False) if len(free) >= self.count else free[:0]
            drawn.append(context.titles_of(picks))
        return drawn


@dataclass(frozen=True)
class Popular(NegativeSampler):
    """In proportion to (count in the training rows) ** `exponent`, never target or history.

    An item that no training row has is never drawn, unless `exponent` is 0: then all are alike.
    `ValueError` for an exponent below 0.
    """

    count: int = 1
    exponent: float = 1.0

    def __post_init__(self) -> None:
        if self.exponent < 0:
            raise ValueError(f"negatives.exponent = {self.exponent}; it must be 0 or more")

    def __call__(
        self, examples: Sequence[Example], context: SamplerContext, rng: Generator
    ) -> list[list[str]]:
        """Return `count` distinct titles per example, none where too few consumed items are left."""
        weights = context.popularity.astype(float) ** self.exponent
        return [self._titles(example, context, weights, rng) for example in examples]

    def _titles(
        self, example: Example, context: SamplerContext, weights: Float[np.ndarray, " items"], rng: Generator
    ) -> list[str]:
        free = context.unseen_items(example)
        free = free[weights[free] > 0]
        if len(free) < self.count:
            return []
        share = weights[free] / weights[free].sum()
        return context.titles_of(rng.choice(free, self.count, replace=False, p=share))
