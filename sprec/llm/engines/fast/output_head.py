"""From hidden states to logits by the model's own head path, scale and soft cap included."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

PROBES = 4
"""Random hidden states by which a head path is compared with its output layer."""


class OutputHead(nn.Module):
    """The head path of a causal LM; `frozen_weight` is set where it is one frozen product and nothing else.

    Several families scale or cap logits after `lm_head` (granite, cohere, gemma2), so that it is never called
    alone unless it was seen to give the same logits.
    """

    def __init__(self, base_model: Any) -> None:
        super().__init__()
        self._base = [base_model]  # in a list: the model is no submodule of its head
        self.frozen_weight = self._frozen_weight()

    def forward(self, hidden: Float[Tensor, "tokens size"]) -> Float[Tensor, "tokens vocabulary"]:
        """Return the logits, in the format of the weights."""
        base = self._base[0]
        with _standing_in(base.base_model, hidden):
            # What the decoder is given does not matter, only that the model's forward takes it.
            logits: Tensor = base(inputs_embeds=hidden[None], use_cache=False).logits[0]
        return logits

    @torch.no_grad()
    def _frozen_weight(self) -> Tensor | None:
        """Return the output layer's weight where the head path is h Wᵀ with a frozen W."""
        layer = self._base[0].get_output_embeddings()
        # A trained head needs its own gradient, and a bias is not part of the quick product.
        if type(layer) is not nn.Linear or layer.bias is not None or layer.weight.requires_grad:
            return None
        generator = torch.Generator().manual_seed(0)
        states = 10 * torch.randn(PROBES, layer.in_features, generator=generator)  # far enough to meet a cap
        states = states.to(layer.weight.device, layer.weight.dtype)
        # Equal to the last bit: a scale of 1 or a cap far away may be skipped, nothing else may.
        return layer.weight if torch.equal(self(states), layer(states)) else None


@dataclass
class _DecoderOutput(BaseModelOutputWithPast):
    """Hidden states alone: what else a family hands on (router logits, cross attentions) is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


@contextmanager
def _standing_in(decoder: Any, hidden: Float[Tensor, "tokens size"]) -> Iterator[None]:
    """Have the decoder return these hidden states, whatever it is asked."""
    output = _DecoderOutput(last_hidden_state=hidden[None])
    # An instance attribute hides the class's method and leaves no trace once it is deleted.
    decoder.forward = lambda *_, **__: output
    try:
        yield
    finally:
        del decoder.forward
