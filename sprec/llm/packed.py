"""Weights laid out once as the processor multiplies them (oneDNN), in place of at every product.

Merged weights are: they are copies anyway. Training goes without, as it would hold its weights twice.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

OPERATIONS: Any = torch.ops.mkldnn


def gains(weight: Tensor) -> bool:
    """Return whether the layout is faster: for bfloat16 on a CPU that multiplies it in hardware."""
    if weight.dtype != torch.bfloat16 or weight.device.type != "cpu":
        return False
    return hasattr(OPERATIONS, "_linear_pointwise") and bool(OPERATIONS._is_mkldnn_bf16_supported())


class Packed(nn.Module):
    """W x + b, without gradients; holds its own copy of W."""

    def __init__(self, weight: Float[Tensor, "outer inner"], bias: Float[Tensor, " outer"] | None) -> None:
        super().__init__()
        self.layout: Tensor = OPERATIONS._reorder_linear_weight(weight.detach().contiguous())
        self.bias = bias

    def forward(self, inputs: Float[Tensor, "*batch inner"]) -> Float[Tensor, "*batch outer"]:
        """Return the outputs."""
        given = inputs.to(self.layout.dtype)
        found: Tensor = OPERATIONS._linear_pointwise(given, self.layout, self.bias, "none", [], "")
        return found
