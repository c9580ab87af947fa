"""Log-probabilities of labels, some tokens at a time: no table of tokens × vocabulary is ever whole.

With 128,000 words and 2,048 predicted tokens that table and its gradient would be 2 GB in float32.
"""

from itertools import zip_longest
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

TABLE_LOGITS = 2**22
"""Logits whose softmax is computed at a time: 16 MB in float32, which stay in memory that is at hand."""
TABLES = 4
"""Tables of logits that one product with a frozen layer makes: its weights are read less often."""


def token_log_probs(
    head: nn.Module,
    frozen_weight: Float[Tensor, "vocabulary size"] | None,
    hidden: Float[Tensor, "tokens size"],
    labels: Int[Tensor, " tokens"],
    *,
    vocabulary: int,
    table: int = TABLE_LOGITS,
) -> Float[Tensor, " tokens"]:
    """Return log p(label) at each hidden state, in nats.

    At most `table` logits are in float32 at a time, `TABLES` times as many in the format of the weights.

    Args:
        head: From hidden states to logits; computed again for the gradient.
        frozen_weight: The whole of `head` where it is one product with this frozen weight; its gradient is
            then computed in the same pass.
        hidden: The hidden states.
        labels: The tokens to score.
        vocabulary: Logits per token.
        table: Logits in float32 at a time.
    """
    tokens = max(table // vocabulary, 1)  # a vocabulary larger than the table goes one token at a time
    if frozen_weight is not None:
        apply: Any = _FrozenHead.apply
        log_probs: Tensor = apply(hidden, frozen_weight, labels, tokens)
        return log_probs
    # Recomputing a chunk's logits in the backward pass is cheaper than holding all of them until then.
    chunks = zip(hidden.split(tokens), labels.split(tokens), strict=True)
    return torch.cat([checkpoint(_score, head, *chunk, use_reentrant=False) for chunk in chunks])


def _score(
    head: nn.Module, hidden: Float[Tensor, "tokens size"], labels: Int[Tensor, " tokens"]
) -> Float[Tensor, " tokens"]:
    logits: Tensor = head(hidden)
    return logits.float().log_softmax(-1).gather(1, labels[:, None])[:, 0]


class _FrozenHead(torch.autograd.Function):
    """The gradient of log p(y) by the hidden state is w_y − Σ_v p(v) w_v; it is made while p is at hand."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, tokens: int) -> Tensor:
        """Return log p(label), so many tokens at a time."""
        # Results are allocated before the first table, so that tables reuse one piece of memory.
        log_probs = hidden.new_empty(len(hidden), dtype=torch.float32)
        slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else hidden[:0]
        chunked = (tensor.split(TABLES * tokens) for tensor in (hidden, labels, log_probs, slopes))
        for states, targets, results, slope in zip_longest(*chunked):
            # One product for several tables reads the weights from memory fewer times.
            logits = states.to(weight.dtype) @ weight.T
            tables = (tensor.split(tokens) for tensor in (logits, targets, results))
            for table in zip(*tables, strict=True):
                _write_log_probs(*table, residual=len(slopes) > 0)
            # The logits have become 1[y] − p by now, so this is w_y − Σ_v p(v) w_v.
            if len(slopes):
                slope.copy_(logits @ weight)
        ctx.save_for_backward(slopes)
        return log_probs

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient by the hidden states."""
        # The weight is frozen, so that the hidden states' gradient is all there is.
        (slopes,) = ctx.saved_tensors
        return slopes * gradient[0][:, None].to(slopes.dtype), None, None, None


def _write_log_probs(
    logits: Float[Tensor, "tokens vocabulary"],
    labels: Int[Tensor, " tokens"],
    results: Float[Tensor, " tokens"],
    *,
    residual: bool,
) -> None:
    """Write log p(label) to `results` and, with `residual`, 1[y] − p over the logits."""
    log_probs = logits.float().log_softmax(-1)  # in bfloat16 the normaliser would lose small terms
    results.copy_(log_probs.gather(1, labels[:, None])[:, 0])
    if residual:
        rest = log_probs.exp_().neg_()
        rest[torch.arange(len(labels), device=labels.device), labels] += 1
        logits.copy_(rest)
