"""Negatives sampled from the whole catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.random import Generator

from sprec.data.examples import Example
from sprec.negatives.base import NegativeSampler, SamplerContext, TitleLists


@dataclass(frozen=True)
class Random(NegativeSampler):
    """Uniform over the catalogue, never the target or an item of the history."""

    count: int = 1

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return `count` distinct titles per example, none where the catalogue has too few left."""
        titles = []
        for example in examples:
            unseen = context.unseen_items(example)
            enough = len(unseen) >= self.count
            items = rng.choice(unseen, self.count, replace=False) if enough else unseen[:0]
            titles.append(context.titles_of(items))
        return titles


@dataclass(frozen=True)
class Popular(NegativeSampler):
    """In proportion to (count in the training rows) ** `exponent`, never target or history.

    An item that no training row has is never sampled, unless `exponent` is 0: then all are alike.
    `ValueError` for an exponent below 0.
    """

    count: int = 1
    exponent: float = 1.0

    def __post_init__(self) -> None:
        if self.exponent < 0:
            raise ValueError(f"negatives.exponent = {self.exponent}; it must be 0 or more")

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return `count` distinct titles per example, none where too few consumed items are left."""
        weights = context.popularity.astype(float) ** self.exponent
        return [self._titles(example, context, weights, rng) for example in examples]

    def _titles(
        self, example: Example, context: SamplerContext, weights: Float[np.ndarray, " items"], rng: Generator
    ) -> list[str]:
        unseen = context.unseen_items(example)
        # numpy refuses to draw more items than there are with a weight.
        unseen = unseen[weights[unseen] > 0]
        if len(unseen) < self.count:
            return []
        share = weights[unseen] / weights[unseen].sum()
        return context.titles_of(rng.choice(unseen, self.count, replace=False, p=share))
