"""Floating-point operations that a step cannot do without; a multiplication and an addition are two.

Only a Llama's matrix products count: projections, attention, output layer. The prefix that all prompts share
counts once per optimiser step, the rest of a prompt once per row, and answers one by one. Logits, and what
the last layer does beyond keys, values and attention, count at predicted tokens only. Frozen weights need
no gradient of their own, only that of their input; with rank 0 all weights are trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sprec.llm.token_rows import TokenRow, common_prefix_length

INNER = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")
"""What configurations call the width inside an MLP; without one it is four times the hidden size."""


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a Llama with adapters of `rank` on all projections; `groups` are its key-value heads."""

    layers: int
    hidden: int
    inner: int
    heads: int
    groups: int
    head_size: int
    vocabulary: int
    rank: int

    @classmethod
    def of(cls, config: Any, rank: int) -> "ModelShape":
        """Return the sizes of a transformers configuration."""
        heads = config.num_attention_heads
        # Gemma and Qwen3 have heads whose sizes do not add up to the hidden size.
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        # Older architectures have as many key heads as query heads, and other names for the inner size.
        groups = getattr(config, "num_key_value_heads", None) or heads
        inner = next((getattr(config, name) for name in INNER if getattr(config, name, None)), None)
        sizes = (config.num_hidden_layers, config.hidden_size, inner or 4 * config.hidden_size)
        return cls(*sizes, heads, groups, size, config.vocab_size, rank)

    @property
    def _projections(self) -> list[tuple[int, int]]:
        queries, keys = self.heads * self.head_size, self.groups * self.head_size
        outer = [(self.hidden, queries), (self.hidden, keys), (self.hidden, keys), (queries, self.hidden)]
        return [*outer, *[(self.hidden, self.inner)] * 2, (self.inner, self.hidden)]

    @property
    def _late(self) -> list[tuple[int, int]]:
        """Projections of the last layer that only predicted tokens need: all but those of keys and values."""
        queries, _, _, *others = self._projections
        return [queries, *others]

    @property
    def weights(self) -> int:
        """Weights of all projections, without adapters and output layer."""
        return self.layers * sum(a * b for a, b in self._projections)

    @property
    def adapter_weights(self) -> int:
        """Weights of all adapters."""
        return self.layers * self.rank * sum(a + b for a, b in self._projections)

    def projected(self, size: "PassSize") -> int:
        """Return the FLOPs of all projections."""
        late = sum(a * b for a, b in self._late)
        return 2 * ((self.weights - late) * size.tokens + late * size.predicted)

    def adapted(self, size: "PassSize") -> int:
        """Return the FLOPs of all adapters."""
        late = self.rank * sum(a + b for a, b in self._late)
        return 2 * ((self.adapter_weights - late) * size.tokens + late * size.predicted)

    @property
    def words(self) -> int:
        """Weights of the output layer."""
        return self.hidden * self.vocabulary

    @property
    def tuned(self) -> int:
        """Weights that training changes: those of the adapters, or without adapters all."""
        return self.adapter_weights if self.rank else self.weights + self.words

    @property
    def cached(self) -> int:
        """Numbers of keys and values that one token leaves behind."""
        return 2 * self.layers * self.groups * self.head_size


@dataclass(frozen=True)
class PassSize:
    """The size of a pass: tokens read, (query, key) pairs that attention sees, tokens predicted."""

    tokens: int
    pairs: int
    predicted: int


def count_pass(rows: Sequence[TokenRow]) -> PassSize:
    """Return what is asked of the model by one optimiser step on these rows.

    Prompts (1, 2, 3) and (1, 2, 4) share two tokens; the answer of two tokens is read up to its first. Pairs:
    1 + 2 in the prefix, then 3 + 4 in each row.

    >>> count_pass([TokenRow((1, 2, 3), ((7, 8),)), TokenRow((1, 2, 4), ((7, 9),))])
    PassSize(tokens=6, pairs=17, predicted=4)
    """
    shared = common_prefix_length([row.prompt for row in rows])
    tokens, pairs = shared, _triangle(0, shared)
    for row in rows:
        pairs += _triangle(shared, len(row.prompt) - shared)
        tokens += row.width - shared
        pairs += sum(_triangle(len(row.prompt), len(answer) - 1) for answer in row.answers)
    return PassSize(tokens, pairs, sum(len(answer) for row in rows for answer in row.answers))


def _triangle(before: int, own: int) -> int:
    """Return how many keys `own` tokens in a row see, `before` others ahead of them."""
    return before * own + own * (own + 1) // 2


def forward_flops(shape: ModelShape, size: PassSize) -> int:
    """Return the FLOPs of a pass without gradients, adapters merged."""
    # Two products, queries by keys and weights by values, of two operations per number each.
    attention = 4 * shape.layers * shape.heads * shape.head_size * size.pairs
    return shape.projected(size) + attention + 2 * shape.words * size.predicted


def training_flops(shape: ModelShape, size: PassSize) -> int:
    """Return the FLOPs of a pass with the gradient of what is tuned.

    A frozen product costs as much again for its input's gradient; attention, adapters and weights that are
    tuned twice as much again.
    """
    attention = 4 * shape.layers * shape.heads * shape.head_size * size.pairs
    frozen = 2 * forward_flops(shape, size) + attention
    if shape.rank:
        return frozen + 3 * shape.adapted(size)
    return frozen + shape.projected(size) + 2 * shape.words * size.predicted
