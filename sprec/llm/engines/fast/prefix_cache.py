"""Keys and values of prompts, held once however many answers continue them."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sprec.llm.engines.fast.packed_batch import HIDDEN, PackedBatch, additive_mask


@dataclass
class KVRecorder:
    """A cache for one pass over packed prompts: transformers writes each layer's keys and values into it."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Record keys and values of a layer and return them as they are."""
        # A layer that shares another one's cache would be recorded out of turn.
        assert layer == len(self.keys), f"layer {layer} writes after {len(self.keys)} layers"
        self.keys.append(key)
        self.values.append(value)
        return key, value

    def get_seq_length(self, *_: Any) -> int:
        """Return 0: nothing was read before this pass."""
        return 0


@dataclass
class PromptKVCache:
    """Keys and values of prompts by layer; `bias` is 0 at their tokens and `HIDDEN` elsewhere."""

    keys: list[Float[Tensor, "prompts groups all size"]]
    values: list[Float[Tensor, "prompts groups all size"]]
    bias: Float[Tensor, "prompts all"]
    lengths: Int[Tensor, " prompts"]

    @classmethod
    def of(cls, recorded: KVRecorder, packed: PackedBatch) -> "PromptKVCache":
        """Return the cache of prompts that were read as one packed sequence."""
        keys, values = (
            [packed.unpack_to_rows(layer) for layer in layers] for layers in (recorded.keys, recorded.values)
        )
        return cls(keys, values, additive_mask(packed.real, keys[0].dtype), packed.real.sum(1))

    def __len__(self) -> int:
        return len(self.lengths)

    def select(self, prompts: Int[Tensor, " selected"]) -> "PromptKVCache":
        """Return copies of these prompts."""
        keys, values = ([layer[prompts] for layer in layers] for layers in (self.keys, self.values))
        return PromptKVCache(keys, values, self.bias[prompts], self.lengths[prompts])


class AnswerKVCache:
    """One row per answer: the prompt that it continues, and keys and values of its own tokens.

    It is the cache of a pass (`past_key_values`) and the layout by which `packed_attention` attends. All rows
    have read equally many tokens of their own.
    """

    def __init__(self, prompts: PromptKVCache, owner: Int[Tensor, " rows"]) -> None:
        self.prompts, self.owner, self.own_tokens = prompts, owner, 0
        # Lists grow in the first pass, layer by layer, since the number of layers is the model's affair.
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []

    @property
    def longest(self) -> int:
        """Tokens of the longest row, its prompt included."""
        return int(self.prompts.lengths.max()) + self.own_tokens + 1

    # Rows and their prompts stay the same for the life of this object: `select_rows` makes another.
    @cached_property
    def _grid(self) -> "_PromptGrid":
        return _PromptGrid.of(self.owner, len(self.prompts))

    def select_rows(self, rows: Int[Tensor, " selected"]) -> "AnswerKVCache":
        """Return these rows, in this order and as often as named."""
        owner, prompts = self.owner[rows], self.prompts
        needed = owner.unique()
        # Copying prompts costs time and leaving them costs memory: copy once half of them are done with.
        if 2 * len(needed) <= len(prompts):
            owner, prompts = torch.searchsorted(needed, owner), prompts.select(needed)
        selected = AnswerKVCache(prompts, owner)
        selected.own_tokens = self.own_tokens
        selected._keys = [layer[rows] for layer in self._keys]
        selected._values = [layer[rows] for layer in self._values]
        return selected

    def next_positions(self, width: int) -> Int[Tensor, "rows width"]:
        """Return the positions of the next `width` tokens of each row."""
        ahead = torch.arange(self.own_tokens, self.own_tokens + width, device=self.owner.device)
        return self.prompts.lengths[self.owner, None] + ahead

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Add keys and values of a layer and return all of the rows' own, as transformers asks of a cache."""
        if layer == len(self._keys):
            self._keys.append(key)
            self._values.append(value)
        else:
            self._keys[layer] = torch.cat([self._keys[layer], key], dim=2)
            self._values[layer] = torch.cat([self._values[layer], value], dim=2)
        return self._keys[layer], self._values[layer]

    def get_seq_length(self, *_: Any) -> int:
        """Return how many tokens of their own the rows have read."""
        return self.own_tokens

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "rows heads width size"],
        key: Float[Tensor, "rows groups own size"],
        value: Float[Tensor, "rows groups own size"],
    ) -> Float[Tensor, "rows width heads size"]:
        """Return the attended values: each row sees its prompt, and its own tokens up to itself."""
        rows, heads, width, size = query.shape
        groups, own = key.shape[1], key.shape[2]
        # Heads of one group share keys, so that they stand beside the queries in one product.
        joined = query.reshape(rows, groups, -1, size)
        causal = torch.ones(width, own, dtype=torch.bool, device=query.device).tril(own - width)
        inner = (joined @ key.transpose(2, 3)).view(rows, heads, width, own).masked_fill(~causal, HIDDEN)
        keys, values = self.prompts.keys[layer], self.prompts.values[layer]
        outer = self._grid.multiply(joined, keys.transpose(2, 3)).view(rows, heads, width, -1)
        outer = outer + self.prompts.bias[self.owner, None, None]
        # One softmax over the prompt's keys and the row's own, which lie in different tensors.
        weights = torch.cat([outer, inner], dim=3).softmax(-1).view(rows, groups, joined.shape[2], -1)
        of_prompt, of_answer = weights.split([keys.shape[2], own], dim=3)
        mixed = self._grid.multiply(of_prompt, values) + of_answer @ value
        attended: Tensor = mixed.view(rows, heads, width, size).transpose(1, 2)
        return attended


@dataclass(frozen=True)
class _PromptGrid:
    """Rows laid out by prompt, `slots` places for each prompt; `place` is where each row stands."""

    prompts: int
    slots: int
    place: Int[Tensor, " rows"]

    @classmethod
    def of(cls, owner: Int[Tensor, " rows"], prompts: int) -> "_PromptGrid":
        """Return the layout of rows whose prompts these are."""
        order = owner.argsort(stable=True)  # stable, so that equal inputs give equal layouts
        counts = torch.bincount(owner, minlength=prompts)
        first = counts.cumsum(0) - counts
        slots = int(counts.max())
        rank = torch.arange(len(owner), device=owner.device) - first[owner[order]]
        place = torch.empty_like(owner)
        place[order] = owner[order] * slots + rank
        return cls(prompts, slots, place)

    def multiply(
        self,
        rows: Float[Tensor, "rows groups lines inner"],
        shared: Float[Tensor, "prompts groups inner outer"],
    ) -> Float[Tensor, "rows groups lines outer"]:
        """Return each row times the matrix of its prompt; rows of one prompt stand in one product."""
        groups, lines, inner = rows.shape[1:]
        # Copying a prompt's keys to each of its rows would cost more memory than a grid that is partly empty.
        empty = rows.new_zeros(self.prompts * self.slots, groups, lines, inner)
        grid = empty.index_copy_(0, self.place, rows)
        grid = grid.view(self.prompts, self.slots, groups, lines, inner).transpose(1, 2)
        products = grid.reshape(self.prompts, groups, -1, inner) @ shared
        by_slot = products.view(self.prompts, groups, self.slots, lines, -1).transpose(1, 2)
        return by_slot.reshape(-1, groups, lines, products.shape[-1]).index_select(0, self.place)
