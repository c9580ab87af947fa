"""Root-mean-square norms with frozen scales, in half the passes over memory (Zhang and Sennrich 2019)."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sprec.llm.fusion import Fuse, eager

KINDS = {"LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm"}
"""Classes of transformers that compute scale · x / rms(x), the quotient in float32."""


def _normed(
    inputs: Float[Tensor, "tokens size"], scale: Float[Tensor, " size"], epsilon: float
) -> tuple[Float[Tensor, "tokens size"], Float[Tensor, "tokens size"], Float[Tensor, "tokens 1"]]:
    """Return scale · y, y = x / rms(x) and 1 / rms(x)."""
    wide = inputs.float()
    inverse = torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
    normed = (wide * inverse).to(inputs.dtype)
    return scale * normed, normed, inverse


def _slope(
    gradient: Float[Tensor, "tokens size"],
    normed: Float[Tensor, "tokens size"],
    inverse: Float[Tensor, "tokens 1"],
    scale: Float[Tensor, " size"],
) -> Float[Tensor, "tokens size"]:
    """Return the gradient by x."""
    outer = gradient * scale
    along = (outer * normed).sum(-1, keepdim=True, dtype=torch.float32) / outer.shape[-1]
    across = outer.addcmul_(normed, along.to(outer.dtype), value=-1)
    return across.float().mul_(inverse).to(outer.dtype)


class _Norm(torch.autograd.Function):
    """With y = x / rms(x), the gradient by x is (g − y · mean(g · y)) / rms(x), g that of y."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, scale: Tensor, epsilon: float, fuse: Fuse) -> Tensor:
        """Return scale · x / rms(x)."""
        found, normed, inverse = fuse(_normed)(inputs.detach().flatten(0, -2), scale, epsilon)
        ctx.save_for_backward(normed, inverse, scale)
        ctx.fuse = fuse
        output: Tensor = found.view(inputs.shape)
        return output

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient by x."""
        slope: Tensor = ctx.fuse(_slope)(gradient[0].flatten(0, -2), *ctx.saved_tensors)
        return slope.view(gradient[0].shape), None, None, None


def _forward(module: Any, fuse: Fuse, inputs: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch size"]:
    """Return what the module's own forward returns."""
    apply: Any = _Norm.apply
    found: Tensor = apply(inputs, module.weight, module.variance_epsilon, fuse)
    return found


def quicken(model: nn.Module, fuse: Fuse = eager) -> None:
    """Replace the forward of the norms of `KINDS` whose scales are frozen."""
    for module in model.modules():
        scale: Any = getattr(module, "weight", None)
        if type(module).__name__ in KINDS and not scale.requires_grad:
            module.forward = partial(_forward, module, fuse)
