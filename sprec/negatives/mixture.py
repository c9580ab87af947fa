"""Negatives from several strategies in given shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from sprec.data.examples import Example
from sprec.generation.model_work import ModelWork
from sprec.negatives.base import NegativeSampler, SamplerContext, TitleLists


@dataclass(frozen=True)
class Mixture(NegativeSampler):
    """Each example's negatives come from one of the `parts`, sampled in proportion to its share.

    `ValueError` where the names of parts and shares differ, a share is negative, all are 0, or a part has
    another `count`.
    """

    parts: Mapping[str, NegativeSampler]
    shares: Mapping[str, float]
    count: int = 1

    def __post_init__(self) -> None:
        if set(self.parts) != set(self.shares):
            raise ValueError(f"negatives.shares names {sorted(self.shares)}; name {sorted(self.parts)}")
        if min(self.shares.values(), default=-1) < 0 or not sum(self.shares.values()):
            raise ValueError(f"negatives.shares = {dict(self.shares)}; none may be negative, nor all be 0")
        counts = {name: part.count for name, part in self.parts.items()}
        if set(counts.values()) != {self.count}:
            raise ValueError(f"parts of a mixture propose {counts} titles; each needs count: {self.count}")

    @property
    def work(self) -> ModelWork:
        """The average of the parts."""
        total = sum(self.shares.values())
        return ModelWork.mean((self.shares[name] / total, part.work) for name, part in self.parts.items())

    @property
    def uses_genres(self) -> bool:
        """Whether the selected genres count for any part."""
        return any(part.uses_genres for part in self.parts.values())

    @property
    def titles_per_prompt(self) -> int:
        """The most that any part needs."""
        return max(part.titles_per_prompt for part in self.parts.values())

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return what the part sampled for each example proposes."""
        shares = [self.shares[name] for name in self.parts]
        owners = rng.choice(len(shares), len(examples), p=[share / sum(shares) for share in shares])
        titles: TitleLists = [[] for _ in examples]
        # A generator for each part: what one samples does not depend on how much the others do.
        for number, (part, own) in enumerate(zip(self.parts.values(), rng.spawn(len(shares)), strict=True)):
            rows = [row for row, owner in enumerate(owners) if owner == number]
            proposals = part([examples[row] for row in rows], context, own) if rows else []
            for row, proposal in zip(rows, proposals, strict=True):
                titles[row] = proposal
        return titles
