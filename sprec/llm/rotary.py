"""Layers that turn queries and keys by their positions (Su et al. 2021) in fewer passes over memory.

After the attention of the last layer nobody sees a token but the output layer, so that the rest of that layer
is computed for the tokens alone that are asked for.
"""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sprec.llm.engines.fast.attention import short_attention
from sprec.llm.fusion import Fuse, eager

KINDS = {"LlamaAttention", "MistralAttention", "Qwen2Attention"}
"""Classes of transformers that do no more to queries and keys than to turn them by their positions."""
LAYERS = {"LlamaDecoderLayer", "MistralDecoderLayer", "Qwen2DecoderLayer"}
"""Classes of transformers that add attention and a gated layer to their input, each after a norm."""


def _turned(
    states: Float[Tensor, "batch tokens heads size"],
    cos: Float[Tensor, "batch tokens 1 size"],
    sin: Float[Tensor, "batch tokens 1 size"],
) -> Float[Tensor, "batch tokens heads size"]:
    """Return a · cos − b · sin and b · cos + a · sin for the halves a and b of each state."""
    half = states.shape[-1] // 2
    found = states * cos
    found[..., :half].addcmul_(states[..., half:], sin[..., :half], value=-1)
    found[..., half:].addcmul_(states[..., :half], sin[..., half:])
    return found


class _Turn(torch.autograd.Function):
    """A turn is orthogonal: its gradient is turned back."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, cos: Tensor, sin: Tensor, fuse: Fuse) -> Tensor:
        """Return the turned states."""
        ctx.save_for_backward(cos, sin)
        ctx.fuse = fuse
        found: Tensor = fuse(_turned)(states.detach(), cos, sin)
        return found

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient by the states."""
        cos, sin = ctx.saved_tensors
        return ctx.fuse(_turned)(gradient[0], cos, -sin), None, None, None


def _forward(
    module: Any,
    fuse: Fuse,
    hidden_states: Float[Tensor, "batch width size"],
    position_embeddings: tuple[Tensor, Tensor],
    attention_mask: Tensor | None = None,
    past_key_values: Any = None,
    asked: Int[Tensor, " asked"] | None = None,
    **named: Any,
) -> tuple[Float[Tensor, "batch width size"], None]:
    """Return what the module's own forward returns, for the tokens that are asked for or for all."""
    shape = (*hidden_states.shape[:-1], -1, module.head_dim)
    projections = (module.q_proj, module.k_proj, module.v_proj)
    query, key, value = (projection(hidden_states).view(shape) for projection in projections)
    cos, sin = (each.unsqueeze(2) for each in position_embeddings)
    turn: Any = _Turn.apply
    query, key, value = (
        each.transpose(1, 2) for each in (turn(query, cos, sin, fuse), turn(key, cos, sin, fuse), value)
    )
    if past_key_values is not None:
        key, value = past_key_values.update(key, value, module.layer_idx)
    dropout = module.attention_dropout
    mixed, _ = short_attention(module, query, key, value, attention_mask, module.scaling, dropout, **named)
    return module.o_proj(_of(mixed.flatten(2), asked)), None


def _of(states: Float[Tensor, "batch width size"], asked: Int[Tensor, " asked"] | None) -> Tensor:
    return states if asked is None else states.index_select(1, asked)


def _last(
    layer: Any,
    hidden_states: Float[Tensor, "batch width size"],
    predicting: Int[Tensor, " asked"] | None = None,
    **named: Any,
) -> Float[Tensor, "batch asked size"]:
    """Return what the layer's own forward returns, for the tokens that predict or for all."""
    attended, _ = layer.self_attn(layer.input_layernorm(hidden_states), asked=predicting, **named)
    hidden = _of(hidden_states, predicting) + attended
    found: Tensor = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    return found


def quicken(model: nn.Module, fuse: Fuse = eager) -> None:
    """Replace the forward of the attention layers of `KINDS`, and of a last layer that has one."""
    for module in model.modules():
        if type(module).__name__ in KINDS:
            module.forward = partial(_forward, module, fuse)
    for layers in (each for each in model.modules() if isinstance(each, nn.ModuleList)):
        if shortened(layers[-1]):
            layers[-1].forward = partial(_last, layers[-1])


def shortened(layer: nn.Module) -> bool:
    """Return whether a last layer of this kind returns the tokens alone that predict."""
    attention = getattr(layer, "self_attn", None)
    return type(attention).__name__ in KINDS and type(layer).__name__ in LAYERS
