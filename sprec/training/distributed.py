"""What the processes of one tuning share; each function is the identity where there is one process only."""

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from sprec.llm.token_rows import microbatches


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """Return how many processes tune together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def shared(widths: Sequence[int], tokens: int, *, even: bool = False) -> list[list[int]]:
    """Return the microbatches of this process's rows among rows of these widths, none where it gets no row.

    Rows go round the processes from the longest to the shortest, so that all have about equally many tokens.
    With `even` all processes get equally many microbatches, of which the last ones may be empty.
    """
    order = sorted(range(len(widths)), key=lambda i: (-widths[i], i))
    parts = [_microbatches(sorted(order[first :: count()]), widths, tokens) for first in range(count())]
    most = max(map(len, parts)) if even else 0
    own = parts[rank()]
    return [*own, *([] for _ in range(most - len(own)))]


def _microbatches(own: Sequence[int], widths: Sequence[int], tokens: int) -> list[list[int]]:
    return [[own[i] for i in group] for group in microbatches([widths[i] for i in own], tokens)]


def summed(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the sum over the processes of equally shaped tensors; the given one is overwritten."""
    if count() > 1:
        dist.all_reduce(values)
    return values


def sum_gradients(weights: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its sum over the processes; one that a process lacks counts as zero."""
    if count() == 1:
        return
    trained = [weight for weight in weights if weight.requires_grad]
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in trained]
    flat = summed(torch.cat([gradient.flatten() for gradient in gradients]))
    for weight, part in zip(trained, flat.split([each.numel() for each in trained]), strict=True):
        weight.grad = part.view_as(weight)
