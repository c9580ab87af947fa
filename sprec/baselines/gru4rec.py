"""GRU4Rec: a recurrent network over the ids of a history (Hidasi et al. 2016).

Unlike the paper, the loss is cross-entropy over all items in place of TOP1 or BPR on the batch's own
items, and the item embedding is both input and output (Hidasi and Karatzoglou 2018, section 4.1).
"""

from jaxtyping import Float
from numpy.random import Generator
from torch import Tensor, nn

from sprec.baselines.sequential import NextItemModel, torch_seeded


class GRU4Rec(NextItemModel):
    """One or more GRU layers, then a feed-forward layer back to the width of the items (section 3.1)."""

    def __init__(
        self, items: int, *, length: int, width: int, hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__(items, length=length, width=width)
        # torch drops out between layers, and warns where there is only one.
        between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(width, hidden, layers, batch_first=True, dropout=between)
        self.output = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def states(
        self, embedded: Float[Tensor, "batch positions width"]
    ) -> Float[Tensor, "batch positions width"]:
        """Return the projection of the hidden state after each position."""
        hidden, _ = self.gru(self.dropout(embedded))
        states: Tensor = self.output(self.dropout(hidden))
        return states


def gru4rec(
    items: int,
    *,
    rng: Generator,
    length: int = 10,
    width: int = 64,
    hidden: int = 128,
    layers: int = 1,
    dropout: float = 0.2,
) -> GRU4Rec:
    """Return an untrained GRU4Rec for a catalogue of `items`, its weights sampled with `rng`.

    One layer is the paper's choice (section 4); `length` is the most items of a history that are read.
    """
    with torch_seeded(rng):
        return GRU4Rec(items, length=length, width=width, hidden=hidden, layers=layers, dropout=dropout)
