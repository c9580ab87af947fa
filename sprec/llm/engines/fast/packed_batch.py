"""One sequence without padding that stands for a batch of rows, and the ways between the two."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sprec.llm.engines.fast.shared_prompt_batch import PADDING, SharedPromptBatch

HIDDEN = -1e4
"""What is added to scores of keys that a query must not see; finite, since −inf rows would give NaN."""
LENGTH_STEP = 64
"""Lengths of packed sequences are multiples of this: products of each new length cost 20 MB for good."""
KEYS_STEP = 32
"""Keys per query come in multiples of this: in bfloat16 softmax over other lengths is slower on CPUs."""


@dataclass(frozen=True)
class PackedBatch:
    """How one sequence `[prefix | row 0 | row 1 | …]` without padding stands for a batch of rows.

    `padded[row, column]` is the place among the rows' tokens, or their number where there is none; `places`
    are the flat numbers of the real places in the padded rows. `bias` is 0 where a query sees a key, else
    `HIDDEN`. `idle` tokens at the end, which nobody sees, fill the length up to a multiple of `LENGTH_STEP`.
    `longest` counts the tokens of the longest prompt with one answer.
    """

    prefix: int
    idle: int
    padded: Int[Tensor, "batch width"]
    places: Int[Tensor, " real"]
    bias: Float[Tensor, "batch 1 width all"]
    longest: int

    @classmethod
    def of(cls, batch: SharedPromptBatch, dtype: torch.dtype) -> "PackedBatch":
        """Return the layout of a batch; scores are computed in `dtype`."""
        # Rounding lengths up keeps the number of different shapes small: oneDNN holds code for each.
        missing = -(len(batch.prefix) + batch.segments.shape[1]) % KEYS_STEP
        real = nn.functional.pad(batch.segments != PADDING, (0, missing))
        places = real.flatten().nonzero()[:, 0]
        idle = -(len(batch.prefix) + len(places)) % LENGTH_STEP
        padded = torch.full_like(real, len(places) + idle, dtype=torch.long)
        padded[real] = torch.arange(len(places), device=padded.device)
        # Padded queries see nothing at all; their softmax is even and their output is dropped.
        seen = nn.functional.pad(batch.visible(), (0, missing, 0, missing))
        longest = int(batch.positions.max()) + 1
        return cls(len(batch.prefix), idle, padded, places, additive_mask(seen, dtype), longest)

    @property
    def real(self) -> Bool[Tensor, "batch all"]:
        """Return which places of the padded rows hold tokens, the prefix ahead in each."""
        own = self.padded < len(self.places) + self.idle
        return torch.cat([own.new_ones(len(own), self.prefix), own], dim=1)

    def unpack_to_rows(
        self, sequence: Float[Tensor, "1 groups tokens size"]
    ) -> Float[Tensor, "batch groups all size"]:
        """Return keys or values of one sequence as those of padded rows, the prefix repeated in each."""
        # Here the prefix is copied to every row: decoding needs each prompt's keys in one piece.
        prefix = sequence[:, :, : self.prefix].expand(len(self.padded), -1, -1, -1)
        own = _pad(sequence[0, :, self.prefix :].transpose(0, 1), self).transpose(1, 2)
        return torch.cat([prefix, own], dim=2)


def additive_mask(seen: Bool[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    """Return 0 where a key is seen and `HIDDEN` elsewhere."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, HIDDEN)


def causal_mask(width: int, device: torch.device) -> Bool[Tensor, "width width"]:
    """Return which keys each query sees where it sees all up to its own."""
    return torch.ones(width, width, dtype=torch.bool, device=device).tril()


def pad_rows(
    tokens: Float[Tensor, "tokens *size"], packed: PackedBatch
) -> Float[Tensor, "batch width *size"]:
    """Return the padded rows of a sequence, zeros where there is no token."""
    apply: Any = _LookUp.apply
    rows: Tensor = apply(tokens, packed, _pad, _unpad)
    return rows


def unpad_rows(
    rows: Float[Tensor, "batch width *size"], packed: PackedBatch
) -> Float[Tensor, "tokens *size"]:
    """Return the real tokens of padded rows, one after the other, and zeros for the idle ones."""
    apply: Any = _LookUp.apply
    tokens: Tensor = apply(rows, packed, _unpad, _pad)
    return tokens


_Way = Callable[[Tensor, PackedBatch], Tensor]


class _LookUp(torch.autograd.Function):
    # Each real token stands in exactly one place, so that the gradient of one way is the other way: a
    # look-up. Autograd would make a scatter of it, which is several times slower.
    @staticmethod
    def forward(ctx: Any, values: Tensor, packed: PackedBatch, way: _Way, way_back: _Way) -> Tensor:
        """Return the values in their other places."""
        ctx.packed, ctx.way_back = packed, way_back
        return way(values, packed)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient in the places where the values were."""
        return ctx.way_back(gradient[0], ctx.packed), None, None, None


def _pad(tokens: Float[Tensor, "tokens *size"], packed: PackedBatch) -> Float[Tensor, "batch width *size"]:
    # One row of zeros past the end serves all places without a token.
    with_zero = torch.cat([tokens, tokens.new_zeros(1, *tokens.shape[1:])])
    return with_zero.index_select(0, packed.padded.flatten()).view(*packed.padded.shape, *tokens.shape[1:])


def _unpad(rows: Float[Tensor, "batch width *size"], packed: PackedBatch) -> Float[Tensor, "tokens *size"]:
    real = rows.flatten(0, 1).index_select(0, packed.places)
    return torch.cat([real, real.new_zeros(packed.idle, *real.shape[1:])])
