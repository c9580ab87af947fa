"""How long and how fast a stage trains: epochs, batches, learning rate, the order of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from numpy.random import Generator
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Schedule:
    """AdamW with linear warm-up over `warmup_steps` and linear decay to zero.

    SFT predicts what `loss_on` names: "title", "history" or "sequence" (`with_loss_on`). With `eval_every`,
    validation loss is computed after every so many steps and after the last one; the best weights are kept.
    """

    epochs: int
    batch_rows: int
    learning_rate: float
    warmup_steps: int
    clip_norm: float
    batch_tokens: int
    loss_on: str = "title"
    eval_every: int | None = None

    def describe(self) -> dict[str, Any]:
        """Return the settings that are in use, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def optimizer(self, weights: Sequence[Tensor], steps: int) -> tuple[torch.optim.AdamW, LambdaLR]:
        """Return AdamW and its learning rate over `steps` optimiser steps."""
        optimizer = adamw(weights, self.learning_rate)
        warmup = max(self.warmup_steps, 1)
        decay = max(steps - warmup, 1)
        factor = LambdaLR(optimizer, lambda step: min((step + 1) / warmup, max(0.0, (steps - step) / decay)))
        return optimizer, factor

    def batches(self, rows: int, rng: Generator) -> list[list[int]]:
        """Return the row numbers of each optimiser step of the stage."""
        return list(index_stream(rows, self.epochs, self.batch_rows, rng))


def adamw(weights: Sequence[Tensor], learning_rate: float) -> torch.optim.AdamW:
    """Return AdamW without weight decay (Loshchilov and Hutter 2019)."""
    return torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0, fused=True)


def index_stream(rows: int, epochs: int, batch: int, rng: Generator) -> Iterator[list[int]]:
    """Yield the row numbers of each optimiser step: a new order in each epoch, all of them fixed by `rng`."""
    # One flat stream over all epochs: Lightning's own epochs replay and drop batches when a fit is resumed.
    for _ in range(epochs):
        order = rng.permutation(rows).tolist()
        yield from (order[start : start + batch] for start in range(0, rows, batch))
