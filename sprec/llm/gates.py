"""Gated layers that keep less for the gradient: silu(gate) · up is computed again instead of being kept.

Of a DPO step on eight pairs with SmolLM2-135M that is 236 of the 1,055 MB kept, and the values are the same
to the last bit.
"""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

KINDS = {"LlamaMLP", "MistralMLP", "Qwen2MLP", "Qwen3MLP"}
"""Classes of transformers that compute down(silu(gate(x)) · up(x))."""
ACTIVATIONS = {"SiLU", "SiLUActivation"}


class _Gated(torch.autograd.Function):
    """silu(gate) · up, of which nothing but gate and up is kept."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        """Return the product."""
        ctx.save_for_backward(gate, up)
        return silu(gate) * up

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients by gate and up."""
        gate, up = ctx.saved_tensors
        by_gate: Tensor = torch.ops.aten.silu_backward(gradient[0] * up, gate)
        return by_gate, gradient[0] * silu(gate)


def _forward(module: Any, inputs: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch size"]:
    """Return what the module's own forward returns."""
    gate, up = module.gate_proj(inputs), module.up_proj(inputs)
    apply: Any = _Gated.apply
    product: Tensor = apply(gate, up)
    place, parts = product.untyped_storage().data_ptr(), (gate.detach(), up.detach())

    def kept(tensor: Tensor) -> Tensor | torch.Size:
        """Return the tensor, or its shape where it is the product."""
        return tensor.shape if tensor.untyped_storage().data_ptr() == place else tensor

    def again(kept: Tensor | torch.Size) -> Tensor:
        """Return the tensor, computed again where its shape was kept."""
        return kept if isinstance(kept, Tensor) else (silu(parts[0]) * parts[1]).view(kept)

    with torch.autograd.graph.saved_tensors_hooks(kept, again):
        found: Tensor = module.down_proj(product)
    return found


def quicken(model: nn.Module) -> None:
    """Replace the forward of the gated layers of `KINDS`."""
    for module in model.modules():
        activation: Any = getattr(module, "act_fn", None)
        if type(module).__name__ in KINDS and type(activation).__name__ in ACTIVATIONS:
            module.forward = partial(_forward, module)
