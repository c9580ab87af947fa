"""Negative samplers: which titles an example's answer is preferred to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator

from sprec.data.catalog import Catalog
from sprec.data.examples import Example


class Writer(Protocol):
    """Lets the model write one title per example."""

    def __call__(self, examples: Sequence[Example], rng: Generator) -> list[str]:
        """Return the titles."""
        ...


class NegativeSampler(Protocol):
    """Proposes the rejected titles of each example, or none where it has none."""

    uses_model: bool

    def __call__(
        self, examples: Sequence[Example], catalog: Catalog, write: Writer, rng: Generator
    ) -> list[list[str]]:
        """Return one list of titles per example."""
        ...


@dataclass(frozen=True)
class SelfPlay:
    """The previous model's own title (Gao et al. 2025): greedy or sampled, as `decoding` says."""

    uses_model: bool = True

    def __call__(
        self, examples: Sequence[Example], catalog: Catalog, write: Writer, rng: Generator
    ) -> list[list[str]]:
        """Return the written titles; an empty one is no negative."""
        return [[title] if title else [] for title in write(examples, rng)]


@dataclass(frozen=True)
class Random:
    """Uniform over the catalogue, never the target or an item of the history."""

    count: int = 1
    uses_model: bool = False

    def __call__(
        self, examples: Sequence[Example], catalog: Catalog, write: Writer, rng: Generator
    ) -> list[list[str]]:
        """Return `count` distinct titles per example, none where the catalogue has too few left."""
        drawn = []
        for example in examples:
            free = np.setdiff1d(np.arange(len(catalog)), [*example.history, example.target])
            picks = rng.choice(free, self.count, replace=False) if len(free) >= self.count else free[:0]
            drawn.append([catalog.titles[item] for item in picks])
        return drawn
