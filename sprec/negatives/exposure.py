"""Among what the model would recommend: the items that training showed it least, or most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int
from numpy.random import Generator

from sprec.data.examples import Example
from sprec.negatives.base import NegativeSampler, SamplerContext


def by_exposure(
    examples: Sequence[Example], context: SamplerContext, *, width: int
) -> list[Int[np.ndarray, " items"]]:
    """Return each example's `width` beams without target and history, least frequent in training first.

    Equally frequent items stay in the model's order, most probable first.
    """
    found = context.best_items(examples, k=width)
    kept = [
        beams[np.isin(beams, [-1, example.target, *example.history], invert=True)]
        for example, beams in zip(examples, found, strict=True)
    ]
    return [beams[np.argsort(context.popularity[beams], kind="stable")] for beams in kept]


@dataclass(frozen=True)
class Exposure(NegativeSampler):
    """The least or most frequent of the model's `width` beams, never target or history.

    `cluster` keeps the items "in" the user's `top_genres` weightiest genres, or those "out" of them.
    """

    exposure: Literal["low", "high"]
    cluster: Literal["any", "in", "out"] = "any"
    count: int = 1
    width: int = 10
    top_genres: int = 3
    uses_model: ClassVar[bool] = True

    def __call__(
        self, examples: Sequence[Example], context: SamplerContext, rng: Generator
    ) -> list[list[str]]:
        """Return up to `count` titles per example, most extreme first; fewer where the cluster has fewer."""
        ordered = by_exposure(examples, context, width=self.width)
        step = 1 if self.exposure == "low" else -1
        chosen = [
            self._clustered(example, items[::step], context)
            for example, items in zip(examples, ordered, strict=True)
        ]
        return [context.titles_of(items[: self.count]) for items in chosen]

    def _clustered(
        self, example: Example, items: Int[np.ndarray, " items"], context: SamplerContext
    ) -> Int[np.ndarray, " kept"]:
        if self.cluster == "any":
            return items
        inside = context.in_top_genres(example, self.top_genres)[items]
        kept: Int[np.ndarray, " kept"] = items[inside == (self.cluster == "in")]
        return kept


@dataclass(frozen=True)
class Balanced(NegativeSampler):
    """Titles from both halves of the model's `width` beams sorted by exposure, never target or history.

    Of an odd `count`, or an odd number of beams, the less exposed half gives and has the one more.
    """

    count: int = 2
    width: int = 10
    uses_model: ClassVar[bool] = True

    def __call__(
        self, examples: Sequence[Example], context: SamplerContext, rng: Generator
    ) -> list[list[str]]:
        """Return `count` titles per example, drawn uniformly from each half, the less exposed first."""
        titles = []
        for items in by_exposure(examples, context, width=self.width):
            half, low = (len(items) + 1) // 2, (self.count + 1) // 2
            picks = [*rng.permutation(items[:half])[:low], *rng.permutation(items[half:])[: self.count - low]]
            titles.append(context.titles_of(picks))
        return titles
