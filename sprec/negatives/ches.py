"""Negatives by how alike the model's hidden states are for them and for the target."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sprec.data.examples import Example
from sprec.generation.model_work import ModelWork
from sprec.negatives.base import NegativeSampler, SamplerContext, TitleLists, refuse_below_one
from sprec.negatives.hidden_states import ches_scores


@dataclass(frozen=True)
class Ches(NegativeSampler):
    """The extreme of the CHES score to the target among `candidates` random items (Razin et al. 2024).

    `similar` takes the highest scores, the negatives hardest to tell apart, else the lowest; never target or
    history. Where the catalogue has fewer items left for any example, all examples have so many candidates.
    """

    similar: bool = True
    count: int = 1
    candidates: int = 50

    def __post_init__(self) -> None:
        refuse_below_one(self, "candidates")

    @property
    def work(self) -> ModelWork:
        """Hidden states of the target and the candidates."""
        return ModelWork(scored_answers={1 + self.candidates: 1.0})

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return up to `count` titles per example, most extreme first; of a tie the one sampled first."""
        unseen = [context.unseen_items(example) for example in examples]
        # One size for all: rows of one batch need equally many answers.
        size = min(self.candidates, *map(len, unseen)) if unseen else 0
        if not size:
            return [[] for _ in examples]
        pools = np.stack([rng.choice(items, size, replace=False) for items in unseen])
        targets = np.array([[example.target] for example in examples])
        scores = ches_scores(context.mean_hidden_states(examples, np.hstack([targets, pools]).tolist()))
        order = np.argsort(-scores if self.similar else scores, axis=1, kind="stable")[:, : self.count]
        return [context.titles_of(items) for items in np.take_along_axis(pools, order, axis=1)]
