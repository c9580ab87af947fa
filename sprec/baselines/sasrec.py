"""SASRec: self-attention over the ids of a history (Kang and McAuley 2018).

Unlike the paper, the loss is cross-entropy over all items in place of one sampled negative per position.
That is the stronger SASRec (Klenitskiy and Vasilev 2023), so the harder one to beat.
"""

import torch
from jaxtyping import Float
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional as F

from sprec.baselines.sequential import INITIAL_STD, NextItemModel, torch_seeded


class SASRec(NextItemModel):
    """Learned positions, then blocks of causal attention and a feed-forward layer (section 3)."""

    def __init__(
        self, items: int, *, length: int, width: int, blocks: int, heads: int, dropout: float
    ) -> None:
        super().__init__(items, length=length, width=width)
        self.position = nn.Parameter(torch.randn(length, width) * INITIAL_STD)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def states(
        self, embedded: Float[Tensor, "batch positions width"]
    ) -> Float[Tensor, "batch positions width"]:
        """Return the normalised output of the last block at each position."""
        states: Tensor = self.dropout(embedded + self.position[: embedded.shape[1]])
        for block in self.blocks:
            states = block(states)
        normalised: Tensor = self.norm(states)
        return normalised


class Block(nn.Module):
    """x + Dropout(g(LayerNorm(x))) for g attention, then for g the feed-forward layer (section 3.3)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, states: Float[Tensor, "batch positions width"]
    ) -> Float[Tensor, "batch positions width"]:
        """Return the states after both layers."""
        states = states + self.dropout(self.attend(self.attention_norm(states)))
        inner = self.dropout(F.relu(self.inner(self.forward_norm(states))))
        after: Tensor = states + self.dropout(self.outer(inner))
        return after

    def attend(
        self, states: Float[Tensor, "batch positions width"]
    ) -> Float[Tensor, "batch positions width"]:
        """Return each head's mean of the values up to each position (eqs. 2 and 3)."""
        parts = self.query_key_value(states).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen: Tensor = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        # The paper's attention ends here, without an output projection.
        return seen.transpose(1, 2).flatten(2)


def sasrec(
    items: int,
    *,
    rng: Generator,
    length: int = 10,
    width: int = 64,
    blocks: int = 2,
    heads: int = 1,
    dropout: float = 0.2,
) -> SASRec:
    """Return an untrained SASRec for a catalogue of `items`, its weights sampled with `rng`.

    Blocks, heads and dropout are the paper's for MovieLens (section 4.3). `ValueError` where
    `width` is not a multiple of `heads`.
    """
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of {heads} heads; change one of them")
    with torch_seeded(rng):
        return SASRec(items, length=length, width=width, blocks=blocks, heads=heads, dropout=dropout)
