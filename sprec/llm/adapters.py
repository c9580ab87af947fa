"""Low-rank adapters (Hu et al. 2022): y = W x + s B A x, with products that add in place, and merged."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from peft.tuners.lora import Linear
from torch import Tensor, nn

ADAPTER = "default"


class _LowRank(torch.autograd.Function):
    """W x + s B A x for a frozen W; both terms and both parts of the gradient meet inside the products."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, down: Tensor, up: Tensor) -> Tensor:
        flat = inputs.reshape(-1, inputs.shape[-1])
        low = flat @ down.T
        ctx.save_for_backward(flat, weight, down, up, low)
        return (flat @ weight.T).addmm_(low, up.T).view(*inputs.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, None, Tensor, Tensor]:
        flat, weight, down, up, low = ctx.saved_tensors
        outer = gradient[0].reshape(-1, gradient[0].shape[-1])
        back = outer @ up
        inner = (outer @ weight).addmm_(back, down) if ctx.needs_input_grad[0] else None
        shape = (*gradient[0].shape[:-1], -1)
        return None if inner is None else inner.view(shape), None, back.T @ flat, outer.T @ low


def _forward(layer: Any, inputs: Float[Tensor, "*batch inner"], **_: object) -> Float[Tensor, "*batch outer"]:
    """Return what peft's own forward of a plain adapter without dropout returns."""
    if layer.disable_adapters:
        base: Tensor = layer.base_layer(inputs)
        return base
    weight = layer.base_layer.weight
    down = layer.lora_A[ADAPTER].weight.to(weight.dtype)
    up = (layer.lora_B[ADAPTER].weight * layer.scaling[ADAPTER]).to(weight.dtype)
    found: Tensor = _LowRank.apply(inputs.to(weight.dtype), weight, down, up)
    return found


def quicken(model: nn.Module) -> None:
    """Replace the forward of each plain adapter without dropout or bias by one with the same result."""
    for layer in _layers(model).values():
        plain = ADAPTER not in layer.lora_variant and not layer.lora_bias[ADAPTER]
        without_dropout = isinstance(layer.lora_dropout[ADAPTER], nn.Identity)
        base: Any = layer.base_layer
        if plain and without_dropout and base.bias is None and base.weight.is_floating_point():
            layer.forward = partial(_forward, layer)


@contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """Compute with W + s B A in place of W and its adapter; the old weights come back untouched.

    Costs one more copy of the adapted weights while it lasts. In bfloat16 the sum is rounded to 8 bits,
    as the base weights are.
    """
    layers = _layers(model)
    kept = {name: layer.base_layer.weight.data for name, layer in layers.items()}
    try:
        for name, layer in layers.items():
            base: Any = layer.base_layer
            delta = layer.get_delta_weight(ADAPTER).detach()
            base.weight.data = (kept[name].float() + delta.float()).to(kept[name].dtype)
            _replace(model, name, base)
        yield
    finally:
        for name, layer in layers.items():
            layer.base_layer.weight.data = kept[name]
            _replace(model, name, layer)


def _layers(model: nn.Module) -> dict[str, Any]:
    return {name: module for name, module in model.named_modules() if isinstance(module, Linear)}


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)
