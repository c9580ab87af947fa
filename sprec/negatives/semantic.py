"""Negatives whose titles read like, or unlike, what the user consumed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.random import Generator

from sprec.data.examples import Example
from sprec.generation.model_work import ModelWork
from sprec.negatives.base import NegativeSampler, SamplerContext, TitleLists
from sprec.progress import track


@dataclass(frozen=True)
class Semantic(NegativeSampler):
    """Titles by the cosine of their embeddings to the target's or, on average, to the history's.

    `similar` takes the nearest, else the farthest; never the target or an item of the history.
    """

    similar: bool
    to: Literal["target", "history"] = "target"
    count: int = 1

    @property
    def work(self) -> ModelWork:
        """No title but the catalogue's, which count as one of each example."""
        return ModelWork(embedded=1)

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return the `count` titles of the extreme, most extreme first; ties go to the lower id."""
        vectors = context.vectors  # before the loop, because embedding shows progress of its own
        rows = track(examples, "semantic negatives", len(examples))
        return [self._titles(example, context, vectors) for example in rows]

    def _titles(
        self, example: Example, context: SamplerContext, vectors: Float[np.ndarray, "items size"]
    ) -> list[str]:
        unseen = context.unseen_items(example)
        # A mean of unit vectors is shorter than 1; all items share that factor, so their order stays.
        cosines = vectors[unseen] @ self._anchor(example, vectors)
        order = np.argsort(-cosines if self.similar else cosines, kind="stable")
        return context.titles_of(unseen[order[: self.count]])

    def _anchor(
        self, example: Example, vectors: Float[np.ndarray, "items size"]
    ) -> Float[np.ndarray, " size"]:
        items = [example.target] if self.to == "target" else list(example.history)
        mean: Float[np.ndarray, " size"] = vectors[items].mean(0)
        return mean
