"""In-batch negatives: what other users of the same batch consumed next."""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from sprec.data.examples import Example
from sprec.negatives.base import NegativeSampler, SamplerContext, TitleLists, refuse_below_one


@dataclass(frozen=True)
class InBatch(NegativeSampler):
    """Targets of other rows in a batch of `batch_rows`, never the own target or an item of the history.

    Batches are sampled here and are not the optimiser's. A small batch may hold too few other targets.
    """

    count: int = 1
    batch_rows: int = 16

    def __post_init__(self) -> None:
        refuse_below_one(self, "batch_rows")

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return up to `count` distinct titles per example, uniform over the batch's other targets."""
        titles: TitleLists = [[] for _ in examples]
        order = rng.permutation(len(examples)).tolist()
        for start in range(0, len(order), self.batch_rows):
            rows = order[start : start + self.batch_rows]
            targets = {examples[row].target for row in rows}
            for row in rows:
                # A set has no order of its own, and the draw must depend on the generator alone.
                others = sorted(targets - {*examples[row].history, examples[row].target})
                # Of an empty list numpy makes an array of floats, which are no ids.
                titles[row] = context.titles_of(rng.permutation(others)[: self.count].astype(int))
        return titles
