"""Self-play: what the model itself would recommend is the rejected answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from numpy.random import Generator

from sprec.data.examples import Example
from sprec.generation.grounding import find_nearest
from sprec.negatives.base import NegativeSampler, SamplerContext


@dataclass(frozen=True)
class SelfPlay(NegativeSampler):
    """The previous model's own titles (Gao et al. 2025): greedy or sampled, as `decoding` says.

    `count` titles are written per example. Repeats count once, so greedy decoding gives one at most.
    """

    count: int = 1
    uses_model: ClassVar[bool] = True
    uses_decoding: ClassVar[bool] = True

    @property
    def titles_per_prompt(self) -> int:
        """All of them."""
        return self.count

    def __call__(
        self, examples: Sequence[Example], context: SamplerContext, rng: Generator
    ) -> list[list[str]]:
        """Return the written titles; an empty one is no negative."""
        written = context.write_titles(examples, rng, count=self.count)
        return [list(dict.fromkeys(filter(None, titles))) for titles in written]


@dataclass(frozen=True)
class GroundedSelfPlay(NegativeSampler):
    """The `count` catalogue titles nearest by embedding to the one that the model writes."""

    count: int = 1
    uses_model: ClassVar[bool] = True
    uses_decoding: ClassVar[bool] = True
    uses_embeddings: ClassVar[bool] = True

    def __call__(
        self, examples: Sequence[Example], context: SamplerContext, rng: Generator
    ) -> list[list[str]]:
        """Return the nearest titles, nearest first; none where an empty title was written."""
        written = [titles[0] for titles in context.write_titles(examples, rng)]
        distinct = sorted(set(filter(None, written)))
        if not distinct:
            return [[] for _ in examples]
        near = find_nearest(context.embed(distinct), context.vectors, k=self.count)
        grounded = {title: context.titles_of(items) for title, items in zip(distinct, near, strict=True)}
        return [grounded.get(title, []) for title in written]


@dataclass(frozen=True)
class Beams(NegativeSampler):
    """The `count` catalogue titles that the model finds most probable, by beam search.

    `wrong_only` passes over the target, and then each example has all of them: the model's wrong
    predictions (RosePO's self-hard negatives, Liao et al. 2024). Otherwise the target may be among them.
    """

    count: int = 1
    wrong_only: bool = False
    uses_model: ClassVar[bool] = True

    def __call__(
        self, examples: Sequence[Example], context: SamplerContext, rng: Generator
    ) -> list[list[str]]:
        """Return the titles, most probable first."""
        found = context.best_items(examples, k=self.count + self.wrong_only)
        passed = [example.target if self.wrong_only else -1 for example in examples]
        return [
            context.titles_of([item for item in items if item not in (-1, target)][: self.count])
            for items, target in zip(found.tolist(), passed, strict=True)
        ]
