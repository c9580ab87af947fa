"""Attention for short sequences over rows that share a prefix.

On CPUs it goes block by block (`block_attention`): PyTorch's fused kernel is slower there with gradients.
On CUDA fused kernels attend: flash where plain causality is all, else the memory-efficient one.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sprec.llm.engines.fast import block_attention
from sprec.llm.engines.fast.prefix_cache import HIDDEN, AnswerKVCache
from sprec.llm.engines.fast.shared_prompt_batch import PADDING, SharedPromptBatch

NAME = "sprec_short"
STEP = 64
"""Lengths of packed sequences are multiples of this: products of each new length cost 20 MB that are kept."""
LINE = 32
"""Keys per query come in multiples of this: in bfloat16 softmax over other lengths is slower on CPUs."""


@dataclass(frozen=True)
class PackedBatch:
    """How one sequence `[prefix | row 0 | row 1 | …]` without padding stands for a batch of rows.

    `padded[row, column]` is the place among the rows' tokens, or their number where there is none;
    `packed` are the flat numbers of the real places; `bias` is 0 where a query sees a key, else `HIDDEN`.
    `idle` tokens at the end, which nobody sees, make the length a multiple of `STEP`; hidden places at the
    end of each row make its keys a multiple of `LINE`.
    """

    prefix: int
    idle: int
    padded: Int[Tensor, "batch width"]
    packed: Int[Tensor, " real"]
    bias: Float[Tensor, "batch 1 width all"]

    @classmethod
    def of(cls, batch: SharedPromptBatch, dtype: torch.dtype) -> "PackedBatch":
        """Return the layout of a batch; scores are computed in `dtype`."""
        missing = -(len(batch.prefix) + batch.segments.shape[1]) % LINE
        real = nn.functional.pad(batch.segments != PADDING, (0, missing))
        places = real.flatten().nonzero()[:, 0]
        idle = -(len(batch.prefix) + len(places)) % STEP
        padded = torch.full_like(real, len(places) + idle, dtype=torch.long)
        padded[real] = torch.arange(len(places), device=padded.device)
        seen = nn.functional.pad(batch.visible(), (0, missing, 0, missing))
        return cls(len(batch.prefix), idle, padded, places, _bias(seen, dtype))

    @property
    def real(self) -> Bool[Tensor, "batch all"]:
        """Return which places of the padded rows hold tokens, the prefix ahead in each."""
        own = self.padded < len(self.packed) + self.idle
        return torch.cat([own.new_ones(len(own), self.prefix), own], dim=1)

    def unpack_to_rows(
        self, packed: Float[Tensor, "1 groups tokens size"]
    ) -> Float[Tensor, "batch groups all size"]:
        """Return keys or values of one sequence as those of the padded rows, the prefix repeated in each."""
        prefix = packed[:, :, : self.prefix].expand(len(self.padded), -1, -1, -1)
        own = _pad(packed[0, :, self.prefix :].transpose(0, 1), self).transpose(1, 2)
        return torch.cat([prefix, own], dim=2)


def _bias(seen: Bool[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, HIDDEN)


class _Pad(torch.autograd.Function):
    """From packed to padded rows; each real token stands in one place, so the gradient is a plain look-up."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, packed_batch: PackedBatch) -> Tensor:
        """Return the padded rows, zeros where there is no token."""
        ctx.packed_batch = packed_batch
        return _pad(tokens, packed_batch)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient by the packed tokens."""
        return _pack(gradient[0], ctx.packed_batch), None


class _Pack(torch.autograd.Function):
    """From padded rows to packed."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, packed_batch: PackedBatch) -> Tensor:
        """Return the real tokens, one after the other, and zeros for the idle ones."""
        ctx.packed_batch = packed_batch
        return _pack(rows, packed_batch)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient by the padded rows."""
        return _pad(gradient[0], ctx.packed_batch), None


def _pad(
    tokens: Float[Tensor, "tokens *size"], packed_batch: PackedBatch
) -> Float[Tensor, "batch width *size"]:
    with_zero = torch.cat([tokens, tokens.new_zeros(1, *tokens.shape[1:])])
    return with_zero.index_select(0, packed_batch.padded.flatten()).view(
        *packed_batch.padded.shape, *tokens.shape[1:]
    )


def _pack(
    rows: Float[Tensor, "batch width *size"], packed_batch: PackedBatch
) -> Float[Tensor, "tokens *size"]:
    found = rows.flatten(0, 1).index_select(0, packed_batch.packed)
    return torch.cat([found, found.new_zeros(packed_batch.idle, *found.shape[1:])])


def short_attention(
    module: nn.Module,
    query: Float[Tensor, "batch heads width size"],
    key: Float[Tensor, "batch groups all size"],
    value: Float[Tensor, "batch groups all size"],
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    packed_batch: PackedBatch | None = None,
    answers: AnswerKVCache | None = None,
    **_: object,
) -> tuple[Float[Tensor, "batch width heads size"], None]:
    """Return the attended values.

    `attention_mask` is boolean (true = seen) or None for plain causality; with a `packed_batch` the one
    sequence is attended to as the rows that it stands for, and `answers` see their prompts and themselves.
    """
    rate = dropout if module.training else 0.0
    if packed_batch is not None:
        return _attend_packed(query * scaling, key, value, packed_batch, rate), None
    if answers is not None:
        layer: Any = module.layer_idx
        return answers.attend(layer, query * scaling, key, value), None
    if attention_mask is None:
        attention_mask = _causal(query.shape[2], key.shape[2], query.device)
    return _attend(query * scaling, key, value, _bias(attention_mask.bool(), query.dtype), rate), None


def _causal(width: int, all_keys: int, device: torch.device) -> Bool[Tensor, "width all"]:
    return torch.ones(width, all_keys, dtype=torch.bool, device=device).tril(all_keys - width)


def _attend(
    query: Float[Tensor, "batch heads width size"],
    key: Float[Tensor, "batch groups all size"],
    value: Float[Tensor, "batch groups all size"],
    bias: Float[Tensor, "*shape all"],
    dropout: float,
) -> Float[Tensor, "batch width heads size"]:
    """Return the attended values; `bias` hides at least the keys that come after each query."""
    if query.is_cuda:
        return fused(query, key, value, bias, dropout)
    if not dropout:
        return block_attention.attend(query, key, value, bias)
    heads = query.shape[1] // key.shape[1]
    keys, values = (each.repeat_interleave(heads, dim=1) for each in (key, value))
    weights = nn.functional.dropout((query @ keys.transpose(2, 3) + bias).softmax(-1), dropout)
    return (weights @ values).transpose(1, 2)


def _attend_causal(
    query: Float[Tensor, "batch heads width size"],
    key: Float[Tensor, "batch groups width size"],
    value: Float[Tensor, "batch groups width size"],
    dropout: float,
) -> Float[Tensor, "batch width heads size"]:
    if query.is_cuda:
        return fused(query, key, value, None, dropout)
    width = query.shape[2]
    return _attend(query, key, value, _bias(_causal(width, width, query.device), query.dtype), dropout)


def fused(
    query: Float[Tensor, "batch heads width size"],
    key: Float[Tensor, "batch groups all size"],
    value: Float[Tensor, "batch groups all size"],
    bias: Float[Tensor, "*shape all"] | None,
    dropout: float,
) -> Float[Tensor, "batch width heads size"]:
    """Return the attended values by PyTorch's fused kernels; without a `bias` attention is causal."""
    repeats = query.shape[1] // key.shape[1]
    keys, values = (each.repeat_interleave(repeats, dim=1) for each in (key, value))
    mask = None if bias is None else bias.expand(len(query), query.shape[1], -1, -1)
    found: Tensor = nn.functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=mask, dropout_p=dropout, is_causal=bias is None, scale=1.0
    )
    return found.transpose(1, 2)


def _attend_packed(
    query: Float[Tensor, "1 heads real size"],
    key: Float[Tensor, "1 groups real size"],
    value: Float[Tensor, "1 groups real size"],
    packed_batch: PackedBatch,
    dropout: float,
) -> Float[Tensor, "1 real heads size"]:
    """Return the attended values: the prefix sees itself, each row sees the prefix and itself."""
    shared = packed_batch.prefix
    pad: Any = _Pad.apply
    pack: Any = _Pack.apply
    first_query, first_key, first_value = (each[:, :, :shared] for each in (query, key, value))
    rows = [pad(each[0, :, shared:].transpose(0, 1), packed_batch) for each in (query, key, value)]
    own_query, own_key, own_value = (each.transpose(1, 2) for each in rows)
    count = len(packed_batch.padded)
    keys, values = (
        torch.cat([head.expand(count, -1, -1, -1), own], dim=2)
        for head, own in ((first_key, own_key), (first_value, own_value))
    )
    mixed: Tensor = pack(_attend(own_query, keys, values, packed_batch.bias, dropout), packed_batch)[None]
    if not shared:
        return mixed
    first = _attend_causal(first_query, first_key, first_value, dropout)
    return torch.cat([first, mixed], dim=1)


def register() -> None:
    """Make the function known to transformers under `NAME`."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, short_attention)
