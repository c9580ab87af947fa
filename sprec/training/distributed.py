"""What the processes that train together share; with one process each function is the identity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float

from sprec.llm.token_rows import microbatches

if TYPE_CHECKING:
    from torch import Tensor, nn


def rank() -> int:
    """Return the number of this process, from 0."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def world_size() -> int:
    """Return how many processes train together."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def own_microbatches(widths: Sequence[int], tokens: int, *, even: bool = False) -> list[list[int]]:
    """Return this process's share of the rows, given by their widths in tokens, as microbatches.

    With `even`, all processes get equally many microbatches, the last of which may be empty.
    """
    # Dealt out from the longest row to the shortest, the rows give all processes about equally many tokens.
    order = sorted(range(len(widths)), key=lambda i: (-widths[i], i))
    shares = [
        _microbatches(sorted(order[start :: world_size()]), widths, tokens) for start in range(world_size())
    ]
    own, most = shares[rank()], max(map(len, shares)) if even else 0
    return [*own, *([] for _ in range(most - len(own)))]


def _microbatches(rows: Sequence[int], widths: Sequence[int], tokens: int) -> list[list[int]]:
    return [[rows[i] for i in group] for group in microbatches([widths[i] for i in rows], tokens)]


def sum_over_processes(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the sum of equally shaped tensors over the processes, computed in place."""
    if world_size() > 1:
        torch.distributed.all_reduce(values)
    return values


def sum_gradients(weights: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its sum over the processes; a missing gradient counts as zero."""
    if world_size() == 1:
        return
    trained = [weight for weight in weights if weight.requires_grad]
    gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in trained]
    # One exchange of one flat buffer: hundreds of small ones would each wait for the slowest process.
    flat = sum_over_processes(torch.cat([gradient.flatten() for gradient in gradients]))
    for weight, total in zip(trained, flat.split([weight.numel() for weight in trained]), strict=True):
        weight.grad = total.view_as(weight)
