"""Attention over packed rows that share a prefix, as a function that transformers calls by name.

On CPUs it goes block by block (`block_attention`), since PyTorch's fused kernel is slower there with
gradients. On CUDA fused kernels attend: flash where plain causality is all, else the memory-efficient one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sprec.llm.engines.fast import block_attention
from sprec.llm.engines.fast.packed_batch import PackedBatch, additive_mask, causal_mask, pad_rows, unpad_rows
from sprec.llm.engines.fast.prefix_cache import AnswerKVCache

NAME = "sprec_packed"
HARMLESS = frozenset({"position_ids", "use_cache", "cache_position", "output_attentions", "is_causal"})
"""Arguments that change no attention weight: positions are in queries and keys already."""

Layout = PackedBatch | AnswerKVCache
# Layers of several families (stablelm, nemotron) drop keyword arguments that they do not know, so the layout
# of a pass cannot travel through the model; it stands here while the pass lasts.
_layout: ContextVar[Layout | None] = ContextVar("layout", default=None)


class UnsupportedAttentionError(ValueError):
    """The model asks of attention what this function does not do."""


@contextmanager
def attending(config: Any, layout: Layout | None = None) -> Iterator[None]:
    """Have the layers of a model attend by this layout until the end of the block.

    Outside of such blocks the model attends as transformers has it. Without a `layout` the present one stays.
    """
    original, token = config._attn_implementation, _layout.set(layout or _layout.get())
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = original
        _layout.reset(token)


def present_layout() -> Layout | None:
    """Return the layout of the pass that is under way."""
    return _layout.get()


def packed_attention(
    module: nn.Module,
    query: Float[Tensor, "batch heads width size"],
    key: Float[Tensor, "batch groups all size"],
    value: Float[Tensor, "batch groups all size"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Float[Tensor, "batch width heads size"], None]:
    """Return the attended values under the layout of the pass.

    Raises `UnsupportedAttentionError` for any argument that would change them in another way: soft caps,
    sinks, masks, and windows that are shorter than the longest row.
    """
    # Without a layout the model would attend causally over the whole pack: wrong, and without a sign of it.
    layout = _layout.get()
    assert layout is not None, "packed attention outside of a pass"
    if attention_mask is not None:
        raise UnsupportedAttentionError(f"{type(module).__name__} makes an attention mask of its own")
    # A cache counts one new token a row; forced tails read several at once.
    further = query.shape[2] - 1 if isinstance(layout, AnswerKVCache) else 0
    _check_options(module, options, longest=layout.longest + further)
    # Scaling queries once is cheaper than scaling every score.
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if isinstance(layout, AnswerKVCache):
        number: Any = module.layer_idx
        return layout.attend(number, query, key, value), None
    return _attend_packed(query, key, value, layout, dropout if module.training else 0.0), None


def _check_options(module: nn.Module, options: dict[str, Any], *, longest: int) -> None:
    for name, setting in options.items():
        if setting is None or name in HARMLESS:
            continue
        if name == "sliding_window" and setting >= longest:
            continue  # every token of every row is inside the window
        raise UnsupportedAttentionError(
            f"{type(module).__name__} asks for {name} = {str(setting)[:40]} in attention"
        )


def _attend(
    query: Float[Tensor, "batch heads width size"],
    key: Float[Tensor, "batch groups all size"],
    value: Float[Tensor, "batch groups all size"],
    bias: Float[Tensor, "*shape all"],
    dropout: float,
) -> Float[Tensor, "batch width heads size"]:
    """Return the attended values; `bias` hides at least the keys that come after each query."""
    if query.is_cuda:
        return fused_attention(query, key, value, bias, dropout)
    # Blocks draw no random numbers; dropout of attention weights, which few models have, goes in one piece.
    if not dropout:
        return block_attention.attend(query, key, value, bias)
    heads = query.shape[1] // key.shape[1]
    keys, values = (states.repeat_interleave(heads, dim=1) for states in (key, value))
    weights = nn.functional.dropout((query @ keys.transpose(2, 3) + bias).softmax(-1), dropout)
    return (weights @ values).transpose(1, 2)


def _attend_causal(
    query: Float[Tensor, "batch heads width size"],
    key: Float[Tensor, "batch groups width size"],
    value: Float[Tensor, "batch groups width size"],
    dropout: float,
) -> Float[Tensor, "batch width heads size"]:
    if query.is_cuda:
        # Without a mask PyTorch may take its flash kernel, which knows plain causality alone.
        return fused_attention(query, key, value, None, dropout)
    width = query.shape[2]
    return _attend(query, key, value, additive_mask(causal_mask(width, query.device), query.dtype), dropout)


def fused_attention(
    query: Float[Tensor, "batch heads width size"],
    key: Float[Tensor, "batch groups all size"],
    value: Float[Tensor, "batch groups all size"],
    bias: Float[Tensor, "*shape all"] | None,
    dropout: float,
) -> Float[Tensor, "batch width heads size"]:
    """Return the attended values by PyTorch's fused kernels; without a `bias` attention is causal."""
    repeats = query.shape[1] // key.shape[1]
    keys, values = (states.repeat_interleave(repeats, dim=1) for states in (key, value))
    mask = None if bias is None else bias.expand(len(query), query.shape[1], -1, -1)
    attended: Tensor = nn.functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=mask, dropout_p=dropout, is_causal=bias is None, scale=1.0
    )
    return attended.transpose(1, 2)


def _attend_packed(
    query: Float[Tensor, "1 heads real size"],
    key: Float[Tensor, "1 groups real size"],
    value: Float[Tensor, "1 groups real size"],
    packed: PackedBatch,
    dropout: float,
) -> Float[Tensor, "1 real heads size"]:
    """Return the attended values: the prefix sees itself, each row sees the prefix and itself."""
    shared = packed.prefix
    prefix_query, prefix_key, prefix_value = (states[:, :, :shared] for states in (query, key, value))
    # Projections saw one sequence without padding; scores alone are computed on padded rows.
    rows = [pad_rows(states[0, :, shared:].transpose(0, 1), packed) for states in (query, key, value)]
    own_query, own_key, own_value = (states.transpose(1, 2) for states in rows)
    count = len(packed.padded)
    # The prefix is expanded, not copied, until it is joined with each row's own keys.
    keys, values = (
        torch.cat([first.expand(count, -1, -1, -1), own], dim=2)
        for first, own in ((prefix_key, own_key), (prefix_value, own_value))
    )
    mixed = unpad_rows(_attend(own_query, keys, values, packed.bias, dropout), packed)[None]
    if not shared:
        return mixed
    first = _attend_causal(prefix_query, prefix_key, prefix_value, dropout)
    return torch.cat([first, mixed], dim=1)


def register() -> None:
    """Make the function known to transformers under `NAME`.

    No mask function is registered for the name, so that transformers builds no masks: the layout has them.
    """
    ALL_ATTENTION_FUNCTIONS.register(NAME, packed_attention)
