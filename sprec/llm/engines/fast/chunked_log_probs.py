"""Log-probabilities of given tokens, some tokens at a time: no table of tokens × vocabulary is kept.

With 128,000 words and 2,048 predicted tokens that table and its gradient would be 2 GB in float32.
"""

from itertools import zip_longest
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sprec.llm.packed import Packed

TABLE = 2**22
"""Logits whose softmax is taken at a time: 16 MB in float32, which stay in memory that is at hand."""
TABLES = 4
"""Tables of logits that one product with a frozen layer makes: its weights are read less often."""


def token_log_probs(
    head: nn.Module,
    hidden: Float[Tensor, "tokens size"],
    labels: Int[Tensor, " tokens"],
    *,
    table: int = TABLE,
) -> Float[Tensor, " tokens"]:
    """Return log p(label) under the output layer `head` at each hidden state, in nats.

    At most `table` logits are in float32 at a time, `TABLES` times as many in the format of the weights. A
    frozen layer without bias gets its gradient in the same pass; any other layer's logits are computed again
    for the gradient.
    """
    weight = head.weight
    assert isinstance(weight, Tensor)
    tokens = max(table // len(weight), 1)
    parts = zip(hidden.split(tokens), labels.split(tokens), strict=True)
    if isinstance(head, Packed):
        return torch.cat([_plain(head, part, label) for part, label in parts])
    if getattr(head, "bias", None) is None and not weight.requires_grad:
        apply: Any = _Frozen.apply
        found: Tensor = apply(hidden, weight, labels, tokens)
        return found
    return torch.cat([checkpoint(_plain, head, part, label, use_reentrant=False) for part, label in parts])


def _plain(
    head: nn.Module, hidden: Float[Tensor, "tokens size"], labels: Int[Tensor, " tokens"]
) -> Float[Tensor, " tokens"]:
    scores: Tensor = head(hidden)
    return scores.float().log_softmax(-1).gather(1, labels[:, None])[:, 0]


class _Frozen(torch.autograd.Function):
    """The gradient of log p(y) by the hidden state is w_y − Σ_v p(v) w_v; the pass that has p keeps it."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, tokens: int) -> Tensor:
        """Return log p(label), so many tokens at a time; results have their places before the first table."""
        found = hidden.new_empty(len(hidden), dtype=torch.float32)
        slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else hidden[:0]
        given = (hidden, labels, found, slopes)
        for part, label, value, slope in zip_longest(*(each.split(TABLES * tokens) for each in given)):
            scores = part.to(weight.dtype) @ weight.T
            tables = (each.split(tokens) for each in (scores, label, value))
            for table, own, place in zip(*tables, strict=True):
                _score(table, own, place, residual=len(slopes) > 0)
            if len(slopes):
                slope.copy_(scores @ weight)
        ctx.save_for_backward(slopes)
        return found

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient by the hidden states."""
        (slopes,) = ctx.saved_tensors
        return slopes * gradient[0][:, None].to(slopes.dtype), None, None, None


def _score(
    scores: Float[Tensor, "tokens vocabulary"],
    labels: Int[Tensor, " tokens"],
    found: Float[Tensor, " tokens"],
    *,
    residual: bool,
) -> None:
    """Write log p(label) to `found` and, where it is asked for, 1[y] − p over the scores."""
    log_probs = scores.float().log_softmax(-1)
    found.copy_(log_probs.gather(1, labels[:, None])[:, 0])
    if residual:
        rest = log_probs.exp_().neg_()
        rest[torch.arange(len(labels), device=labels.device), labels] += 1
        scores.copy_(rest)
