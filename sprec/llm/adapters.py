"""Low-rank adapters (Hu et al. 2022): y = W x + s B A x, with products that add in place, and merged."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from peft.tuners.lora import Linear
from torch import Tensor, nn

from sprec.llm.packed import Packed, gains

ADAPTER = "default"
SHARED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Projections of a layer that read the same tensor, in the order of their calls."""


class _LowRank(torch.autograd.Function):
    """W x + s B A x for frozen W, of several layers that read x; parts of a sum meet inside the products.

    `weight` and `down` hold the rows of all layers, `ups` one s B each.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, down: Tensor, *ups: Tensor) -> tuple[Tensor, ...]:
        """Return the output of each layer."""
        flat = inputs.reshape(-1, inputs.shape[-1])
        low = flat @ down.T
        ctx.save_for_backward(flat, weight, down, low, *ups)
        whole = (flat @ weight.T).addmm_(low, torch.block_diag(*ups).T)
        return torch.split(whole.view(*inputs.shape[:-1], -1), [len(up) for up in ups], dim=-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by inputs, `down` and `ups`."""
        flat, weight, down, low, *ups = ctx.saved_tensors
        outers = [gradient.reshape(-1, gradient.shape[-1]) for gradient in gradients]
        back = torch.cat([outer @ up for outer, up in zip(outers, ups, strict=True)], dim=1)
        lows = low.split([up.shape[1] for up in ups], dim=1)
        inner = _inner(outers, weight, back, down) if ctx.needs_input_grad[0] else None
        shaped = None if inner is None else inner.view(*gradients[0].shape[:-1], -1)
        risen = [outer.T @ part for outer, part in zip(outers, lows, strict=True)]
        return shaped, None, back.T @ flat, *risen


def _inner(outers: Sequence[Tensor], weight: Tensor, back: Tensor, down: Tensor) -> Tensor:
    """Return the gradient by the inputs, from those by the outputs and by the low-rank states."""
    found = back @ down
    for outer, part in zip(outers, weight.split([outer.shape[1] for outer in outers]), strict=True):
        found.addmm_(outer, part)
    return found


class _Together:
    """Adapted layers that read the same tensor: the first one's call computes all, the others' fetch theirs.

    Weights of the layers become parts of one tensor, so that nothing is held twice.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = layers
        self.weight = torch.cat([layer.base_layer.weight.data for layer in layers])
        sizes = [len(layer.base_layer.weight) for layer in layers]
        for layer, part in zip(layers, self.weight.split(sizes), strict=True):
            layer.base_layer.weight.data = part
        self._held: tuple[Tensor, tuple[Tensor, ...]] | None = None

    def forward(
        self, place: int, inputs: Float[Tensor, "*batch inner"], **_: object
    ) -> Float[Tensor, "*batch outer"]:
        """Return what peft's own forward of the layer at `place` returns."""
        layer = self.layers[place]
        if layer.disable_adapters:
            base: Tensor = layer.base_layer(inputs)
            return base
        if self._held is None or self._held[0] is not inputs:
            self._held = inputs, self._all(inputs)
        found = self._held[1][place]
        if place == len(self.layers) - 1:
            self._held = None
        return found

    def _all(self, inputs: Tensor) -> tuple[Tensor, ...]:
        dtype = self.weight.dtype
        down = torch.cat([layer.lora_A[ADAPTER].weight for layer in self.layers]).to(dtype)
        ups = [(layer.lora_B[ADAPTER].weight * layer.scaling[ADAPTER]).to(dtype) for layer in self.layers]
        apply: Any = _LowRank.apply
        found: tuple[Tensor, ...] = apply(inputs.to(dtype), self.weight, down, *ups)
        return found


def quicken(model: nn.Module) -> bool:
    """Replace the forward of plain adapters, without dropout or bias, by one with the same result.

    Call it when the model is on its device: layers that read the same tensor then share one product. Returns
    whether all adapters are plain, so that no forward of peft's is left.
    """
    every = _layers(model)
    layers = {name: layer for name, layer in every.items() if _plain(layer)}
    for names in _sharing(list(layers)):
        together = _Together([layers[name] for name in names])
        for place, layer in enumerate(together.layers):
            layer.forward = partial(together.forward, place)
    return len(layers) == len(every)


def _plain(layer: Any) -> bool:
    adapter = ADAPTER not in layer.lora_variant and not layer.lora_bias[ADAPTER]
    without_dropout = isinstance(layer.lora_dropout[ADAPTER], nn.Identity)
    weight = layer.base_layer.weight
    frozen = weight.is_floating_point() and not weight.requires_grad and layer.base_layer.bias is None
    return adapter and without_dropout and frozen


def _sharing(names: Sequence[str]) -> list[list[str]]:
    """Return the names in groups that read the same tensor, in the order in which they are called."""
    left, groups = dict.fromkeys(names), []
    for name in names:
        parent, _, own = name.rpartition(".")
        siblings = next((group for group in SHARED if own in group), (own,))
        full = [f"{parent}.{sibling}" if parent else sibling for sibling in siblings]
        group = full if all(other in left for other in full) else [name]
        if name in left:
            groups.append(group)
            for other in group:
                del left[other]
    return groups


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
            _replace(model, name, _with(layer.base_layer, _sum(layer, kept[name])))
        yield
    finally:
        for name, layer in layers.items():
            layer.base_layer.weight.data = kept[name]
            _replace(model, name, layer)


def _with(base: Any, weight: Tensor) -> nn.Module:
    """Return the layer with other weights, laid out for the processor where that is faster."""
    if gains(weight):
        return Packed(weight, base.bias)
    base.weight.data = weight
    layer: nn.Module = base
    return layer


@torch.no_grad()
def _sum(layer: Any, weight: Tensor) -> Tensor:
    """Return W + s B A in the format of W."""
    if not _plain(layer):
        delta: Tensor = layer.get_delta_weight(ADAPTER)
        return (weight.float() + delta.float()).to(weight.dtype)
    down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight * layer.scaling[ADAPTER]
    return torch.addmm(weight, up.to(weight.dtype), down.to(weight.dtype))


def _layers(model: nn.Module) -> dict[str, Any]:
    return {name: module for name, module in model.named_modules() if isinstance(module, Linear)}


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)
