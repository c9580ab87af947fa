"""Root-mean-square norms with frozen scales, in half the passes over memory (Zhang and Sennrich 2019)."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

KINDS = {"LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm"}
"""Classes of transformers that compute scale · x / rms(x), the quotient in float32."""


class _Norm(torch.autograd.Function):
    """With y = x / rms(x), the gradient by x is (g − y · mean(g · y)) / rms(x), g that of y."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, scale: Tensor, epsilon: float) -> Tensor:
        """Return scale · x / rms(x)."""
        wide = inputs.float()
        inverse = torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
        normed = (wide * inverse).to(inputs.dtype)
        ctx.save_for_backward(normed, inverse, scale)
        return scale * normed

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient by x."""
        normed, inverse, scale = ctx.saved_tensors
        outer = gradient[0] * scale
        along = (outer * normed).sum(-1, keepdim=True, dtype=torch.float32) / outer.shape[-1]
        across = torch.addcmul(outer, normed, along.to(outer.dtype), value=-1)
        return (across * inverse).to(outer.dtype), None, None


def _forward(module: Any, inputs: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch size"]:
    """Return what the module's own forward returns."""
    apply: Any = _Norm.apply
    found: Tensor = apply(inputs, module.weight, module.variance_epsilon)
    return found


def quicken(model: nn.Module) -> None:
    """Replace the forward of the norms of `KINDS` whose scales are frozen."""
    for module in model.modules():
        scale: Any = getattr(module, "weight", None)
        if type(module).__name__ in KINDS and not scale.requires_grad:
            module.forward = partial(_forward, module)
