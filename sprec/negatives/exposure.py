"""Among what the model would recommend: the items that training showed it least, or most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy.random import Generator

from sprec.data.examples import Example
from sprec.generation.model_work import ModelWork
from sprec.negatives.base import NegativeSampler, SamplerContext, TitleLists, refuse_below_one


def beams_by_exposure(
    examples: Sequence[Example], context: SamplerContext, *, width: int, first: Literal["low", "high"] = "low"
) -> list[Int[np.ndarray, " items"]]:
    """Return each example's `width` beams without target and history, by how often training shows them.

    The least frequent ones come first, or the most frequent ones where `first` is "high".

    Equally frequent items stay in the model's order, most probable first.
    """
    candidates = [
        beams[np.isin(beams, [-1, example.target, *example.history], invert=True)]
        for example, beams in zip(examples, context.best_items(examples, k=width), strict=True)
    ]
    sign = 1 if first == "low" else -1  # reversing a sorted list would turn the order of ties around
    return [items[np.argsort(sign * context.popularity[items], kind="stable")] for items in candidates]


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

    def __post_init__(self) -> None:
        refuse_below_one(self, "width", "top_genres")

    @property
    def work(self) -> ModelWork:
        """One beam search."""
        return ModelWork(beam_widths={self.width: 1.0})

    @property
    def uses_genres(self) -> bool:
        """Whether a cluster of genres is chosen."""
        return self.cluster != "any"

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return up to `count` titles per example, most extreme first; fewer where the cluster has fewer."""
        ordered = beams_by_exposure(examples, context, width=self.width, first=self.exposure)
        chosen = [
            self._in_cluster(example, items, context)
            for example, items in zip(examples, ordered, strict=True)
        ]
        return [context.titles_of(items[: self.count]) for items in chosen]

    def _in_cluster(
        self, example: Example, items: Int[np.ndarray, " items"], context: SamplerContext
    ) -> Int[np.ndarray, " selected"]:
        if self.cluster == "any":
            return items
        inside = context.in_top_genres(example, self.top_genres)[items]
        selected: Int[np.ndarray, " selected"] = items[inside == (self.cluster == "in")]
        return selected


@dataclass(frozen=True)
class Balanced(NegativeSampler):
    """Titles from both halves of the model's `width` beams sorted by exposure, never target or history.

    Of an odd `count`, or an odd number of beams, the less exposed half gets the one more.
    """

    count: int = 2
    width: int = 10

    def __post_init__(self) -> None:
        refuse_below_one(self, "width")

    @property
    def work(self) -> ModelWork:
        """One beam search."""
        return ModelWork(beam_widths={self.width: 1.0})

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return `count` titles per example, sampled uniformly from each half, the less exposed first."""
        titles = []
        for items in beams_by_exposure(examples, context, width=self.width):
            half, low = (len(items) + 1) // 2, (self.count + 1) // 2
            picks = [*rng.permutation(items[:half])[:low], *rng.permutation(items[half:])[: self.count - low]]
            titles.append(context.titles_of(picks))
        return titles
