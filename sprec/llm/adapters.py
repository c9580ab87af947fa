"""Low-rank adapters (Hu et al. 2022) by peft: where they sit, and computing with them merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

ALL_LINEAR = "all-linear"
"""peft's word for every linear layer but the output layer."""


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters of a rank; rank 0 tunes every weight instead.

    `target_modules` are the last names of the adapted layers, such as `q_proj`, or `ALL_LINEAR`.
    """

    rank: int
    alpha: int
    dropout: float
    target_modules: str | Sequence[str] = ALL_LINEAR


def add_adapters(base_model: Any, lora: Lora) -> nn.Module:
    """Return the model with adapters, float32 whatever the base is.

    `ValueError` for a target that is nowhere, and for one whose weights are those of another layer.
    """
    from peft import LoraConfig, get_peft_model  # takes seconds; stored stages do without it

    targets = lora.target_modules
    settings = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )
    if not isinstance(targets, str):
        names = {name.rpartition(".")[2] for name, _ in base_model.named_modules()}
        if missing := [target for target in targets if target.rpartition(".")[2] not in names]:
            raise ValueError(
                f"base_llm.lora.target_modules: no layer is called {', '.join(missing)} in "
                f"{type(base_model).__name__}; use {ALL_LINEAR}"
            )
    model: nn.Module = get_peft_model(base_model, settings)
    _refuse_tied_targets(base_model)
    return model


def _refuse_tied_targets(base_model: Any) -> None:
    """Raise `ValueError` where an adapter sits on the input or output embedding and these share weights.

    Merged, such an adapter would change both layers, and apart from the weights only its own.
    """
    from peft.tuners.lora import LoraLayer

    embedding, head = base_model.get_input_embeddings(), base_model.get_output_embeddings()
    weights = [getattr(layer, "weight", None) for layer in (embedding, head)]
    if weights[0] is not weights[1] or not any(isinstance(layer, LoraLayer) for layer in (embedding, head)):
        return
    modules = list(base_model.named_modules())
    names = [
        name.rpartition(".")[2] for layer in (embedding, head) for name, module in modules if module is layer
    ]
    raise ValueError(
        f"base_llm.lora.target_modules: {' and '.join(names)} of {type(base_model).__name__} share their "
        f"weights, so that an adapter on one would change both once merged; name other layers or use "
        f"{ALL_LINEAR}"
    )


def without_input_casting(model: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which adapters read what autocast gives them.

    peft would cast it to float32 and back.
    """
    from peft.helpers import disable_input_dtype_casting

    context: AbstractContextManager[None] = disable_input_dtype_casting(model)
    return context


@dataclass(frozen=True)
class AdaptedWeights:
    """How many layers of each name have adapters, and the share of the base model's weights in them."""

    adapted_modules: dict[str, int]
    adapted_share: float

    @classmethod
    def of(cls, base_model: Any) -> AdaptedWeights:
        """Return what is adapted in a model; nothing where all weights are tuned."""
        from peft.tuners.lora import LoraLayer

        modules: dict[str, int] = {}
        adapted = 0
        for name, layer in base_model.named_modules():
            if isinstance(layer, LoraLayer):
                own = name.rpartition(".")[2]
                modules[own] = modules.get(own, 0) + 1
                adapted += sum(weight.numel() for weight in _base_layer(layer).parameters())
        whole = sum(weight.numel() for name, weight in base_model.named_parameters() if "lora_" not in name)
        return cls(modules, adapted / whole)


@contextmanager
def merged_adapters(model: nn.Module) -> Iterator[None]:
    """Compute with W + s B A in place of W and its adapter; W comes back untouched, to the last bit.

    Costs one more copy of the adapted weights while it lasts. In bfloat16 the sum is rounded to 8 bits, as
    the base weights are. Layers with 4-bit weights, which a sum would round anew, keep their adapters apart.
    """
    from peft.tuners.lora import Linear

    layers: list[Any] = [module for module in model.modules() if type(module) is Linear]
    originals: list[Tensor] = [_base_layer(layer).weight.data for layer in layers]
    try:
        for layer, original in zip(layers, originals, strict=True):
            # peft merges in place and takes the product away again, which would leave rounding errors in W.
            _base_layer(layer).weight.data = original.clone()
            with torch.no_grad():
                layer.merge()
        yield
    finally:
        for layer, original in zip(layers, originals, strict=True):
            layer.merged_adapters.clear()
            _base_layer(layer).weight.data = original


def _base_layer(layer: Any) -> Any:
    return layer.get_base_layer()


@contextmanager
def without_dropout(network: nn.Module) -> Iterator[None]:
    """Train without dropout inside, as TRL's preference trainers do (`disable_dropout`).

    Beside `nn.Dropout` that is every rate which a module, or the configuration that it holds, names so:
    OPT has no such layers and hands `self.dropout` to `F.dropout`.
    """
    rates = list(_dropout_rates(network))
    try:
        for owner, name, _ in rates:
            setattr(owner, name, 0.0)
        yield
    finally:
        for owner, name, rate in rates:
            setattr(owner, name, rate)


def _dropout_rates(network: nn.Module) -> Iterator[tuple[Any, str, float]]:
    """Yield owner, name and value of each rate above 0."""
    modules = list(network.modules())
    configs = {id(config): config for module in modules if (config := getattr(module, "config", None))}
    for owner in (*modules, *configs.values()):
        for name, value in list(vars(owner).items()):
            is_rate = "drop" in name or (name == "p" and isinstance(owner, torch.nn.Dropout))
            if is_rate and isinstance(value, float) and value > 0:
                yield owner, name, value
