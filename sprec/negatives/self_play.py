"""Self-play: what the model itself would recommend is the rejected answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from sprec.data.examples import Example
from sprec.generation.model_work import ModelWork
from sprec.negatives.base import NegativeSampler, SamplerContext, TitleLists, refuse_below_one


@dataclass(frozen=True)
class SelfPlay(NegativeSampler):
    """The previous model's own titles (Gao et al. 2025): greedy or sampled, as `decoding` says.

    `count` titles are written per example. Repeats count once, so greedy decoding gives one at most.
    """

    count: int = 1

    @property
    def work(self) -> ModelWork:
        """The titles."""
        return ModelWork(titles=self.count)

    @property
    def titles_per_prompt(self) -> int:
        """All of them."""
        return self.count

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return the written titles; an empty one is no negative."""
        titles = context.write_titles(examples, rng, count=self.count)
        return [list(dict.fromkeys(filter(None, own))) for own in titles]


@dataclass(frozen=True)
class GroundedSelfPlay(NegativeSampler):
    """The `count` catalogue titles nearest by embedding to the one that the model writes."""

    count: int = 1

    @property
    def work(self) -> ModelWork:
        """One title and its embedding."""
        return ModelWork(titles=1, embedded=1)

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return the nearest titles, nearest first; none where an empty title was written."""
        written = [titles[0] for titles in context.write_titles(examples, rng)]
        distinct = sorted(set(filter(None, written)))  # collapsed models write few different titles
        if not distinct:
            return [[] for _ in examples]
        near = context.ground(distinct, k=self.count)
        grounded = {title: context.titles_of(items) for title, items in zip(distinct, near, strict=True)}
        return [grounded.get(title, []) for title in written]


@dataclass(frozen=True)
class Beams(NegativeSampler):
    """The `count` catalogue titles most probable under the model, by a beam search of `width` or more.

    `wrong_only` passes over the target and still gives `count` titles: the model's wrong predictions
    (RosePO's self-hard negatives, Liao et al. 2024). Otherwise the target may be among them.
    """

    count: int = 1
    wrong_only: bool = False
    width: int = 10

    def __post_init__(self) -> None:
        refuse_below_one(self, "width")

    @property
    def searched(self) -> int:
        """The beams of the search: one at least for each title, and for the target that is passed over."""
        # A search of width 1 would be greedy: the most probable title may begin less probably.
        return max(self.width, self.count + self.wrong_only)

    @property
    def work(self) -> ModelWork:
        """One beam search."""
        return ModelWork(beam_widths={self.searched: 1.0})

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return the titles, most probable first."""
        beams = context.best_items(examples, k=self.searched)
        passed_over = [example.target if self.wrong_only else -1 for example in examples]
        return [
            context.titles_of([item for item in items if item not in (-1, target)][: self.count])
            for items, target in zip(beams.tolist(), passed_over, strict=True)
        ]
