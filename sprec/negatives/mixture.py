"""Negatives from several strategies in given shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from sprec.data.examples import Example
from sprec.negatives.base import NegativeSampler, SamplerContext


@dataclass(frozen=True)
class Mixture(NegativeSampler):
    """Each example's negatives come from one of the `parts`, drawn in proportion to its share.

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
            raise ValueError(f"parts of a mixture draw {counts} titles; each needs count: {self.count}")

    @property
    def uses_model(self) -> bool:
        """Whether any part does."""
        return any(part.uses_model for part in self.parts.values())

    @property
    def uses_decoding(self) -> bool:
        """Whether any part does."""
        return any(part.uses_decoding for part in self.parts.values())

    @property
    def uses_embeddings(self) -> bool:
        """Whether any part does."""
        return any(part.uses_embeddings for part in self.parts.values())

    def __call__(
        self, examples: Sequence[Example], context: SamplerContext, rng: Generator
    ) -> list[list[str]]:
        """Return what the part drawn for each example proposes."""
        shares = [self.shares[name] for name in self.parts]
        owners = rng.choice(len(shares), len(examples), p=[share / sum(shares) for share in shares])
        drawn: list[list[str]] = [[] for _ in examples]
        for number, (part, own) in enumerate(zip(self.parts.values(), rng.spawn(len(shares)), strict=True)):
            rows = [row for row, owner in enumerate(owners) if owner == number]
            titles = part([examples[row] for row in rows], context, own) if rows else []
            for row, found in zip(rows, titles, strict=True):
                drawn[row] = found
        return drawn
