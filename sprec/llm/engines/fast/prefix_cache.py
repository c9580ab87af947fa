"""Answers that continue prompts: a prompt's keys and values are held once, however many answers it has."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

HIDDEN = -1e4


@dataclass
class PromptKVCache:
    """Keys and values of read prompts by layer; `bias` is 0 at their tokens and `HIDDEN` elsewhere."""

    keys: list[Float[Tensor, "prompts groups all size"]]
    values: list[Float[Tensor, "prompts groups all size"]]
    bias: Float[Tensor, "prompts all"]
    lengths: Int[Tensor, " prompts"]

    @classmethod
    def of(cls, cache: Any, real: Bool[Tensor, "prompts all"]) -> "PromptKVCache":
        """Return the prompts of a filled cache; `real` says which keys are tokens."""
        keys, values = ([getattr(each, name) for each in cache.layers] for name in ("keys", "values"))
        bias = torch.zeros(real.shape, dtype=keys[0].dtype, device=real.device).masked_fill_(~real, HIDDEN)
        return cls(keys, values, bias, real.sum(1))

    def __len__(self) -> int:
        return len(self.lengths)

    def select(self, chosen: Int[Tensor, " fewer"]) -> "PromptKVCache":
        """Return copies of some of the prompts."""
        keys, values = ([each[chosen] for each in layers] for layers in (self.keys, self.values))
        return PromptKVCache(keys, values, self.bias[chosen], self.lengths[chosen])


class AnswerKVCache:
    """One row per answer: the prompt that it continues, and keys and values of its own tokens.

    It is the cache of a pass (`past_key_values`) and what `short_attention` attends with (`answers`). All
    rows have read equally many tokens.
    """

    def __init__(self, prompts: PromptKVCache, owner: Int[Tensor, " rows"]) -> None:
        self.prompts, self.owner, self.read = prompts, owner, 0
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []

    @cached_property
    def _grid(self) -> "_Grid":
        return _Grid.of(self.owner, len(self.prompts))

    def select_rows(self, rows: Int[Tensor, " fewer"]) -> "AnswerKVCache":
        """Return these rows, in this order, repeated where named twice; prompts that few need are let go."""
        owner, prompts = self.owner[rows], self.prompts
        needed = owner.unique()
        if 2 * len(needed) <= len(prompts):
            owner, prompts = torch.searchsorted(needed, owner), prompts.select(needed)
        found = AnswerKVCache(prompts, owner)
        found.read = self.read
        found._keys = [each[rows] for each in self._keys]
        found._values = [each[rows] for each in self._values]
        return found

    def step(self, model: Any, tokens: Int[Tensor, "rows width"]) -> Float[Tensor, "rows width size"]:
        """Return the last hidden states of the next tokens of each row."""
        width = tokens.shape[1]
        ahead = torch.arange(self.read, self.read + width, device=tokens.device)
        hidden: Tensor = model(
            tokens,
            position_ids=self.prompts.lengths[self.owner, None] + ahead,
            past_key_values=self,
            use_cache=True,
            answers=self,
        ).last_hidden_state
        self.read += width
        return hidden

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Add keys and values of a layer and return all of the rows' own, as transformers asks a cache."""
        if layer == len(self._keys):
            self._keys.append(key)
            self._values.append(value)
        else:
            self._keys[layer] = torch.cat([self._keys[layer], key], dim=2)
            self._values[layer] = torch.cat([self._values[layer], value], dim=2)
        return self._keys[layer], self._values[layer]

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
        joined = query.reshape(rows, groups, -1, size)
        causal = torch.ones(width, own, dtype=torch.bool, device=query.device).tril(own - width)
        inner = (joined @ key.transpose(2, 3)).view(rows, heads, width, own).masked_fill(~causal, HIDDEN)
        grid = self._grid
        keys, values = self.prompts.keys[layer], self.prompts.values[layer]
        outer = grid.multiply(joined, keys.transpose(2, 3)).view(rows, heads, width, -1)
        outer = outer + self.prompts.bias[self.owner, None, None]
        weights = torch.cat([outer, inner], dim=3).softmax(-1).view(rows, groups, joined.shape[2], -1)
        before, after = weights.split([keys.shape[2], own], dim=3)
        mixed = grid.multiply(before, values) + after @ value
        attended: Tensor = mixed.view(rows, heads, width, size).transpose(1, 2)
        return attended


@dataclass(frozen=True)
class _Grid:
    """Rows laid out by prompt, `slots` places each; `place` is where each row stands."""

    prompts: int
    slots: int
    place: Int[Tensor, " rows"]

    @classmethod
    def of(cls, owner: Int[Tensor, " rows"], prompts: int) -> "_Grid":
        """Return the layout of rows whose prompts these are."""
        order = owner.argsort(stable=True)
        counts = torch.bincount(owner, minlength=prompts)
        first = counts.cumsum(0) - counts
        place = torch.empty_like(owner)
        slots = int(counts.max())
        place[order] = (
            owner[order] * slots + torch.arange(len(owner), device=owner.device) - first[owner[order]]
        )
        return cls(prompts, slots, place)

    def multiply(
        self,
        rows: Float[Tensor, "rows groups lines inner"],
        shared: Float[Tensor, "prompts groups inner outer"],
    ) -> Float[Tensor, "rows groups lines outer"]:
        """Return each row times the matrices of its prompt; rows of one prompt stand in one product."""
        groups, lines, inner = rows.shape[1:]
        laid = rows.new_zeros(self.prompts * self.slots, groups, lines, inner).index_copy_(
            0, self.place, rows
        )
        laid = laid.view(self.prompts, self.slots, groups, lines, inner).transpose(1, 2)
        found = laid.reshape(self.prompts, groups, -1, inner) @ shared
        apart = found.view(self.prompts, groups, self.slots, lines, -1).transpose(1, 2)
        return apart.reshape(-1, groups, lines, found.shape[-1]).index_select(0, self.place)
